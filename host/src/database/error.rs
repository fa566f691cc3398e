//! What can go wrong between a function and its database. No text here holds an address, a password or a parameter's value.

use std::time::Duration;

use super::address::AddressError;
use super::reader::{Malformed, Reader};

/// Why a statement got no answer, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatabaseError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("too many different databases are in use")]
    TooManyPools,
    /// No connection could be made. The text says why.
    #[error("can't connect to the database: {0}")]
    Connect(String),
    /// The server, or the pooler before it, doesn't let us in.
    #[error("the database refused the connection: {0}")]
    Refused(Box<ServerError>),
    /// The connection ended while a statement was under way: nobody knows whether the statement took effect.
    #[error("the connection to the database was lost: {0}")]
    Lost(String),
    /// The server answered with an error, and the connection lives on.
    #[error("{0}")]
    Server(Box<ServerError>),
    /// All connections were in use for as long as a statement may wait.
    #[error("no database connection was free within {} ms", .0.as_millis())]
    PoolTimeout(Duration),
    /// The function holds all the connections that it may, and did for as long as a statement may wait.
    #[error(
        "the function has had {quota} connections in use, all that it may (db_quota), for {} ms", .wait.as_millis()
    )]
    QuotaTimeout { quota: usize, wait: Duration },
    #[error("the result is larger than {0} bytes")]
    TooLarge(usize),
    /// The rows of all the function's statements together.
    #[error(
        "the rows that the function has asked for and not yet taken are more than {0} bytes (db_buffer)"
    )]
    BufferFull(usize),
    #[error(
        "a statement that changes the session is refused, since sessions are shared: {instead}"
    )]
    Session { instead: &'static str },
    #[error("COPY is not supported")]
    Copy,
    /// Two things at once in one transaction. Guests can avoid it, waiting can't.
    #[error(
        "another statement of this connection's transaction is still under way: read its rows to the end, or drop them, first"
    )]
    Busy,
    /// The transaction ended by a lost connection, or because one of its statements was cut short. It had no effect.
    #[error("this connection's transaction was lost: open another connection, and start again")]
    TransactionLost,
    #[error("a statement has at most 65535 parameters and no zero byte")]
    Unsendable,
    #[error("the database did not answer within {} ms", .0.as_millis())]
    Deadline(Duration),
}

/// An error as PostgreSQL reports it: see the fields of `ErrorResponse` in its protocol's documentation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerError {
    pub severity: String,
    /// SQLSTATE
    pub code: String,
    pub message: String,
    pub detail: Option<String>,
    /// The other fields, by name, in the server's order.
    pub extras: Vec<(&'static str, String)>,
}

// === impl DatabaseError ===

impl DatabaseError {
    /// The database, or the way to it, failed; it isn't the statement's own fault.
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Connect(_)
            | Self::Refused(_)
            | Self::Lost(_)
            | Self::TransactionLost
            | Self::PoolTimeout(_)
            | Self::QuotaTimeout { .. }
            | Self::Deadline(_) => true,
            // Insufficient resources, operator intervention, system error, internal error.
            Self::Server(error) => ["53", "57", "58", "XX"]
                .iter()
                .any(|class| error.code.starts_with(class)),
            _ => false,
        }
    }

    /// No connection could be made, and one may be before long. A wrong password stays wrong.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Connect(_) => true,
            // Starting up, shutting down, out of something; and a pooler that can't reach the server.
            Self::Refused(error) => ["53", "57", "58"]
                .iter()
                .any(|class| error.code.starts_with(class)),
            _ => false,
        }
    }
}

impl From<Malformed> for DatabaseError {
    fn from(malformed: Malformed) -> Self {
        Self::Lost(malformed.to_string())
    }
}

impl From<std::io::Error> for DatabaseError {
    fn from(error: std::io::Error) -> Self {
        Self::Lost(io_reason(&error))
    }
}

/// The reason without anything that the system adds to it, such as an address.
pub(super) fn io_reason(error: &std::io::Error) -> String {
    error.kind().to_string()
}

// === impl ServerError ===

impl ServerError {
    /// Reads the body of an `ErrorResponse`.
    pub(super) fn parse(body: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(body);
        let mut error = Self::default();
        loop {
            let field = reader.u8()?;
            if field == 0 {
                return Ok(error);
            }
            let value = String::from_utf8_lossy(reader.cstr()?).into_owned();
            let name = match field {
                // 'V' is the severity that is never translated; it comes after 'S'.
                b'S' | b'V' => {
                    error.severity = value;
                    continue;
                }
                b'C' => {
                    error.code = value;
                    continue;
                }
                b'M' => {
                    error.message = value;
                    continue;
                }
                b'D' => {
                    error.detail = Some(value);
                    continue;
                }
                b'H' => "hint",
                b'P' => "position",
                b'p' => "internal_position",
                b'q' => "internal_query",
                b'W' => "where_",
                b's' => "schema",
                b't' => "table",
                b'c' => "column",
                b'd' => "datatype",
                b'n' => "constraint",
                b'F' => "file",
                b'L' => "line",
                b'R' => "routine",
                // "Frontends should silently ignore fields of unrecognized type."
                _ => continue,
            };
            error.extras.push((name, value));
        }
    }

    /// A named statement is unknown, or can't be used since a table has changed. It hasn't run.
    pub fn is_stale_name(&self) -> bool {
        const UNKNOWN: &str = "26000";
        const CHANGED: (&str, &str) = ("0A000", "RevalidateCachedQuery");
        let routine = self
            .extras
            .iter()
            .any(|(name, value)| *name == "routine" && value == CHANGED.1);
        self.code == UNKNOWN || self.code == CHANGED.0 && routine
    }

    /// After this the server closes the connection.
    pub fn is_fatal(&self) -> bool {
        matches!(self.severity.as_str(), "FATAL" | "PANIC")
    }
}

impl std::fmt::Display for ServerError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: {} (SQLSTATE {})",
            self.severity, self.message, self.code
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_an_error_are_kept() {
        let body =
            b"SFEHLER\0VERROR\0C23505\0Mduplicate key\0DKey (id)=(1)\0tlots\0nlots_pkey\0Znew\0\0";
        let error = ServerError::parse(body).unwrap();
        assert_eq!(error.severity, "ERROR");
        assert_eq!(error.code, "23505");
        assert_eq!(error.detail.as_deref(), Some("Key (id)=(1)"));
        assert_eq!(
            error.extras,
            [
                ("table", "lots".to_owned()),
                ("constraint", "lots_pkey".to_owned())
            ]
        );
        assert_eq!(error.to_string(), "ERROR: duplicate key (SQLSTATE 23505)");
        assert!(!error.is_fatal());
        assert!(ServerError::parse(b"SERROR\0").is_err());
    }

    #[test]
    fn only_what_the_database_is_to_blame_for_is_an_outage() {
        let coded = |code: &str| {
            DatabaseError::Server(Box::new(ServerError {
                code: code.to_owned(),
                ..ServerError::default()
            }))
        };
        assert!(coded("53300").is_outage());
        assert!(coded("57014").is_outage());
        assert!(!coded("23505").is_outage());
        assert!(!DatabaseError::Busy.is_outage());
        assert!(DatabaseError::Lost(String::new()).is_outage());
    }
}
