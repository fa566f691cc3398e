//! TLS to PostgreSQL, as libpq's connection strings ask for it: `sslmode`, `sslrootcert`, `channel_binding`.
//!
//! What it promises:
//! - **The words mean what they mean to libpq**, in both forms of connection strings. What isn't supported is refused, never skipped.
//! - **Nothing weaker than asked.** Only `prefer`, the default, goes on without TLS.
//! - **No text here holds an address, a name from a certificate or a password.**
//!
//! Used by the host's pool, which speaks the protocol itself, and by whoever connects with `tokio-postgres` ([`connect`]).

mod binding;
mod driver;
mod error;
mod handshake;
mod parameters;
mod request;
mod roots;
mod verifier;

pub use driver::connect;
pub use error::{ParameterError, TlsError};
pub use handshake::{Connector, TlsStream, expires, server_end_point};
pub use parameters::parse;
pub use request::is_offered;
pub use roots::Roots;

/// How the way to the server is protected.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Encryption {
    /// `disable`
    Never,
    /// `prefer`: without TLS if the server offers none, or if it comes to nothing. Keeps out who only listens.
    IfPossible(Trust),
    /// `require`, `verify-ca`, `verify-full`
    Always(Trust),
}

/// Whose certificate will do. That the server holds the certificate's key is checked in any case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Trust {
    /// Keeps out who only listens, but not who pretends to be the server.
    Anyone,
    /// Whoever an authority among the roots has issued one for.
    Chain(Roots),
    /// Only the host that was asked for.
    ChainAndName(Roots),
}

// === impl Encryption ===

impl Encryption {
    /// Whether what it needs is there, such as the file of `sslrootcert`. Reads the disk.
    pub fn check(&self) -> Result<(), TlsError> {
        match self {
            Self::Never | Self::IfPossible(Trust::Anyone) | Self::Always(Trust::Anyone) => Ok(()),
            Self::IfPossible(Trust::Chain(roots) | Trust::ChainAndName(roots))
            | Self::Always(Trust::Chain(roots) | Trust::ChainAndName(roots)) => {
                roots.load().map(drop)
            }
        }
    }
}

// === impl Trust ===

impl Trust {
    /// Whether a connection made with it leads to who it should lead to.
    pub fn verifies(&self) -> bool {
        !matches!(self, Self::Anyone)
    }
}
