//! The handshake, once the server has agreed to it.

use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::binding;
use crate::verifier::Verifier;
use crate::{TlsError, Trust};

pub use tokio_rustls::client::TlsStream;

/// Everything that connections to one server need. Cheap to clone.
#[derive(Clone)]
pub struct Connector {
    connector: TlsConnector,
    name: ServerName<'static>,
}

/// RFC 5929's `tls-server-end-point`: ties a login to the server's certificate, so that nobody in between can pass it on.
/// `None` if the standard doesn't say how, for this certificate's signature.
pub fn server_end_point<S>(stream: &TlsStream<S>) -> Option<Vec<u8>> {
    let (_, connection) = stream.get_ref();
    binding::server_end_point(connection.peer_certificates()?.first()?)
}

/// When the server's certificate ends to be valid, in seconds since 1970.
pub fn expires<S>(stream: &TlsStream<S>) -> Option<i64> {
    let (_, connection) = stream.get_ref();
    let certificate = connection.peer_certificates()?.first()?;
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

// === impl Connector ===

impl Connector {
    pub async fn new(trust: &Trust, host: &str) -> Result<Self, TlsError> {
        let name = ServerName::try_from(host)
            .map_err(|_| TlsError::Name)?
            .to_owned();
        let trust = trust.clone();
        let config = tokio::task::spawn_blocking(move || config(&trust));
        let config = config
            .await
            .map_err(|_| TlsError::Handshake("it was broken off".to_owned()))??;
        Ok(Self {
            connector: Arc::new(config).into(),
            name,
        })
    }

    pub async fn handshake<S>(&self, socket: S) -> Result<TlsStream<S>, TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        Ok(self.connector.connect(self.name.clone(), socket).await?)
    }
}

impl std::fmt::Debug for Connector {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Connector(..)")
    }
}

/// Reads the roots from the disk.
fn config(trust: &Trust) -> Result<ClientConfig, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Verifier::new(trust, provider.signature_verification_algorithms)?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        // What is dangerous here is to check less, which `sslmode` may ask for.
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    // PostgreSQL resumes no session, and each connection has a configuration of its own.
    config.resumption = Resumption::disabled();
    Ok(config)
}
