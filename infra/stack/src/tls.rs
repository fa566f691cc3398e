//! A throw-away authority, and the certificates that it issues to the stack's servers: new ones at each start.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};

use crate::account::Account;
use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::secrets::write_private;

/// What the servers are called in their certificates, beside 127.0.0.1.
pub const SERVER_NAME: &str = "db.flowviz.test";

/// In a server's directory.
pub(crate) const CERTIFICATE: &str = "server.crt";
pub(crate) const KEY: &str = "server.key";
pub(crate) const ROOT: &str = "root.crt";

/// Issues certificates. Its key is nowhere but in this process.
#[derive(Debug)]
pub struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// An authority whose certificate lies where clients find it.
#[derive(Debug)]
pub(crate) struct Tls {
    authority: Authority,
    root: PathBuf,
}

// === impl Authority ===

impl Authority {
    pub fn new(name: &str) -> Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate()?;
        Ok(Self {
            certificate: params.self_signed(&key)?.pem(),
            issuer: Issuer::new(params, key),
        })
    }

    /// Its own certificate, as PEM: what clients have to trust.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// A certificate for [`SERVER_NAME`] and 127.0.0.1, and its key, as PEM.
    pub fn issue(&self) -> Result<(String, String)> {
        let mut params = CertificateParams::new([SERVER_NAME.to_owned()])?;
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        params.subject_alt_names.push(SanType::IpAddress(loopback));
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

// === impl Tls ===

impl Tls {
    pub(crate) fn prepare(directory: &Directory) -> Result<Self> {
        let authority = Authority::new("FlowViz local stack")?;
        let root = directory.path().join(ROOT);
        fs::write(&root, authority.certificate()).map_err(Error::file(&root))?;
        Ok(Self { authority, root })
    }

    /// Gives a server what it needs: to show who it is, and to know the others.
    pub(crate) fn equip(&self, dir: &Path, account: &Account) -> Result<()> {
        let (certificate, key) = self.authority.issue()?;
        for (name, content) in [
            (CERTIFICATE, certificate.as_str()),
            (KEY, &key),
            (ROOT, self.authority.certificate()),
        ] {
            let path = dir.join(name);
            write_private(&path, content)?;
            account.own(&path)?;
        }
        Ok(())
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// What clients say in a URL.
    pub(crate) fn parameters(&self) -> String {
        let root = self.root.to_string_lossy();
        let root = utf8_percent_encode(&root, NON_ALPHANUMERIC);
        format!("sslmode=verify-full&sslrootcert={root}")
    }
}
