//! What can be wrong with the wish for TLS, and with TLS itself.

use std::error::Error as _;
use std::io;

use tokio_rustls::rustls::{self, CertificateError};

/// Why a connection string can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParameterError {
    #[error("the database's connection string is not a valid one")]
    Syntax,
    #[error("`sslmode` is one of disable, prefer, require, verify-ca and verify-full")]
    Mode,
    #[error(
        "`sslmode=verify-ca` and `sslmode=verify-full` need `sslrootcert`: a file of PEM certificates, or `system` for those that \
         the machine trusts"
    )]
    NoRoots,
    #[error(
        "`sslrootcert=system` is for `sslmode=verify-full` only: anybody can get a certificate from one of so many authorities"
    )]
    WeakWithSystem,
    #[error("client certificates (`sslcert`, `sslkey`) are not supported")]
    ClientCertificate,
    #[error("only `sslnegotiation=postgres` is supported")]
    Negotiation,
}

/// Why there is no TLS.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    #[error("the server doesn't offer TLS, and `sslmode` asks for it")]
    NotOffered,
    #[error("the server doesn't answer as PostgreSQL does when asked for TLS")]
    NoAnswer,
    #[error("data came before TLS began, so somebody may be tampering with the connection")]
    EarlyData,
    /// One sentence for all reasons: the path may be a guest's idea, who is to learn nothing about the disk.
    #[error("`sslrootcert` names no readable file of PEM certificates")]
    RootFile,
    #[error("no PEM certificate was given as a root")]
    RootPem,
    #[error("`sslrootcert=system`, but this machine has no trusted certificates")]
    NoSystemRoots,
    #[error("the host's name is none that a certificate can have")]
    Name,
    #[error("the server's certificate isn't trusted: {0}")]
    Untrusted(String),
    #[error("TLS failed: {0}")]
    Handshake(String),
}

// === impl TlsError ===

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> Self {
        match error {
            rustls::Error::InvalidCertificate(error) => Self::Untrusted(reason(&error)),
            error => Self::Handshake(error.to_string()),
        }
    }
}

impl From<io::Error> for TlsError {
    fn from(error: io::Error) -> Self {
        let kind = error.kind();
        match error
            .into_inner()
            .map(|inner| inner.downcast::<rustls::Error>())
        {
            Some(Ok(error)) => (*error).into(),
            // Not what the system adds to it, such as an address.
            _ => Self::Handshake(kind.to_string()),
        }
    }
}

/// Without the names that rustls would tell.
fn reason(error: &CertificateError) -> String {
    let text = match error {
        CertificateError::UnknownIssuer => "no authority that is trusted has issued it",
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "it is for another host than the one in the connection string"
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => "it has expired",
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "it isn't valid yet"
        }
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            "it isn't meant for servers"
        }
        CertificateError::BadSignature => {
            "its signature is wrong, as when its authority has a new key"
        }
        CertificateError::BadEncoding => "it is damaged",
        // Such as an authority's own certificate in a server's place. The words are webpki's.
        CertificateError::Other(other) => {
            let cause = other.0.source().map(ToString::to_string);
            return cause.unwrap_or_else(|| other.0.to_string());
        }
        _ => "it can't be checked",
    };
    text.to_owned()
}
