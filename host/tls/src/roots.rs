//! The authorities whose certificates are trusted.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_rustls::rustls::RootCertStore;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use crate::TlsError;

/// More than any bundle of authorities has.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// `sslrootcert`, or what takes its place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Roots {
    /// A file of PEM certificates. Read for each connection, so that a new authority needs no restart.
    File(PathBuf),
    /// Those that this machine trusts; `SSL_CERT_FILE` and `SSL_CERT_DIR` say otherwise, as for OpenSSL.
    System,
    Given(Arc<[CertificateDer<'static>]>),
}

// === impl Roots ===

impl Roots {
    pub(crate) fn named(name: &str) -> Self {
        match name {
            "system" => Self::System,
            path => Self::File(path.into()),
        }
    }

    /// Certificates that came as a text.
    pub fn given(pem: &str) -> Result<Self, TlsError> {
        certificates(pem.as_bytes())
            .map(|certificates| Self::Given(certificates.into()))
            .ok_or(TlsError::RootPem)
    }

    /// Reads the disk.
    pub(crate) fn load(&self) -> Result<RootCertStore, TlsError> {
        let mut store = RootCertStore::empty();
        match self {
            Self::File(path) => {
                let pem = read(path).map_err(|_| TlsError::RootFile)?;
                for certificate in certificates(&pem).ok_or(TlsError::RootFile)? {
                    store.add(certificate).map_err(|_| TlsError::RootFile)?;
                }
            }
            Self::System => {
                // Some that can't be used are no matter.
                let found = rustls_native_certs::load_native_certs().certs;
                store.add_parsable_certificates(found);
                if store.is_empty() {
                    return Err(TlsError::NoSystemRoots);
                }
            }
            Self::Given(certificates) => {
                for certificate in certificates.iter() {
                    store
                        .add(certificate.clone())
                        .map_err(|_| TlsError::RootPem)?;
                }
            }
        }
        Ok(store)
    }
}

/// The path may be a guest's idea: nothing but a file is opened, and no more of it read than certificates need.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    if !path.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let mut content = Vec::new();
    let length = File::open(path)?
        .take(MAX_BYTES + 1)
        .read_to_end(&mut content)?;
    if length as u64 > MAX_BYTES {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(content)
}

/// One at least.
fn certificates(pem: &[u8]) -> Option<Vec<CertificateDer<'static>>> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    found.ok().filter(|found| !found.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_file_of_certificates_will_do() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let good = rcgen::generate_simple_self_signed(["db.test".to_owned()])
            .unwrap()
            .cert
            .pem();
        std::fs::write(path("good"), format!("# ours\n{good}{good}")).unwrap();
        std::fs::write(path("empty"), "").unwrap();
        std::fs::write(path("secret"), "root:x:0:0").unwrap();
        std::fs::write(path("cut"), good.get(..200).unwrap()).unwrap();
        std::fs::write(
            path("garbled"),
            "-----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n",
        )
        .unwrap();
        std::fs::write(path("large"), good.repeat(10_000)).unwrap();

        assert_eq!(Roots::File(path("good")).load().unwrap().len(), 2);
        for bad in ["empty", "secret", "cut", "garbled", "large", "absent", ""] {
            let loaded = Roots::File(path(bad)).load().map(drop);
            assert_eq!(loaded, Err(TlsError::RootFile), "{bad}");
        }
        assert_eq!(
            Roots::File("/dev/zero".into()).load().map(drop),
            Err(TlsError::RootFile)
        );
        assert_eq!(Roots::given(&good).unwrap().load().unwrap().len(), 1);
        assert_eq!(Roots::given("nonsense"), Err(TlsError::RootPem));
    }
}
