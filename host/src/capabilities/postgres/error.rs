//! The host's errors as the guest's, and as the metrics count them.

use super::{DbError, Error, QueryError};
use crate::database::{DatabaseError, ServerError};
use crate::telemetry::database::Outcome;

/// SQLSTATE `too_many_connections`: what a guest sees when no connection was free in time.
const TOO_MANY_CONNECTIONS: &str = "53300";

/// SQLSTATE `out_of_memory`: what a guest sees that has asked for more rows than the host holds for it.
const OUT_OF_MEMORY: &str = "53200";

/// SQLSTATE `feature_not_supported`: what a pool can't do.
const NOT_SUPPORTED: &str = "0A000";

/// SQLSTATE `query_canceled`, by a statement timeout, by an administrator, or by the host.
const QUERY_CANCELED: &str = "57014";

const NOT_SENT: &str = "The statement was not sent.";

const GIVEN_UP: &str =
    "The statement was given up; if it was sent, it may have taken effect all the same.";

pub(super) fn to_guest(error: DatabaseError) -> Error {
    let text = error.to_string();
    match error {
        DatabaseError::Server(server) => {
            Error::QueryFailed(QueryError::DbError(db_error(*server, text)))
        }
        DatabaseError::PoolTimeout(_) | DatabaseError::QuotaTimeout { .. } => {
            hosts_own(TOO_MANY_CONNECTIONS, text, NOT_SENT)
        }
        DatabaseError::BufferFull(_) => hosts_own(OUT_OF_MEMORY, text, GIVEN_UP),
        DatabaseError::Session { .. } => hosts_own(NOT_SUPPORTED, text, NOT_SENT),
        DatabaseError::Deadline(_) => hosts_own(QUERY_CANCELED, text, GIVEN_UP),
        DatabaseError::Address(_)
        | DatabaseError::TooManyPools
        | DatabaseError::Connect(_)
        | DatabaseError::Refused(_)
        | DatabaseError::Lost(_)
        | DatabaseError::TransactionLost => Error::ConnectionFailed(text),
        DatabaseError::TooLarge(_) | DatabaseError::Copy => {
            Error::QueryFailed(QueryError::Text(text))
        }
        DatabaseError::Unsendable => Error::BadParameter(text),
        DatabaseError::Busy => Error::Other(text),
    }
}

/// As the server would say it, but it is the host that says so.
fn hosts_own(code: &str, message: String, detail: &str) -> Error {
    Error::QueryFailed(QueryError::DbError(DbError {
        as_text: format!("ERROR: {message} (SQLSTATE {code})"),
        severity: "ERROR".to_owned(),
        code: code.to_owned(),
        message,
        detail: Some(detail.to_owned()),
        extras: Vec::new(),
    }))
}

fn db_error(error: ServerError, as_text: String) -> DbError {
    DbError {
        as_text,
        severity: error.severity,
        code: error.code,
        message: error.message,
        detail: error.detail,
        extras: error
            .extras
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    }
}

pub(super) fn outcome(error: &DatabaseError) -> Outcome {
    match error {
        DatabaseError::PoolTimeout(_)
        | DatabaseError::QuotaTimeout { .. }
        | DatabaseError::Deadline(_) => Outcome::Timeout,
        DatabaseError::Server(server) if server.code == QUERY_CANCELED => Outcome::Timeout,
        DatabaseError::Connect(_)
        | DatabaseError::Refused(_)
        | DatabaseError::Lost(_)
        | DatabaseError::TransactionLost => Outcome::Unavailable,
        _ => Outcome::Error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_guest_sees_the_sqlstate() {
        let server = ServerError {
            severity: "ERROR".to_owned(),
            code: "23505".to_owned(),
            message: "duplicate".to_owned(),
            detail: None,
            extras: vec![("constraint", "lots_pkey".to_owned())],
        };
        let Error::QueryFailed(QueryError::DbError(error)) =
            to_guest(DatabaseError::Server(Box::new(server)))
        else {
            panic!("another error");
        };
        assert_eq!(error.code, "23505");
        assert_eq!(
            error.extras,
            [("constraint".to_owned(), "lots_pkey".to_owned())]
        );
        assert_eq!(error.as_text, "ERROR: duplicate (SQLSTATE 23505)");

        let timeout = DatabaseError::PoolTimeout(Duration::from_secs(3));
        assert_eq!(outcome(&timeout), Outcome::Timeout);
        let Error::QueryFailed(QueryError::DbError(error)) = to_guest(timeout) else {
            panic!("another error")
        };
        assert_eq!(
            (error.code.as_str(), error.message.as_str()),
            ("53300", "no database connection was free within 3000 ms")
        );

        let deadline = DatabaseError::Deadline(Duration::from_millis(1600));
        assert_eq!(outcome(&deadline), Outcome::Timeout);
        let Error::QueryFailed(QueryError::DbError(error)) = to_guest(deadline) else {
            panic!("another error")
        };
        assert_eq!(
            (error.code.as_str(), error.message.as_str()),
            ("57014", "the database did not answer within 1600 ms")
        );
    }
}
