//! Why the trail couldn't be checked: one sentence each, never with the database's URL.

use tokio_postgres::error::SqlState;

use crate::migrate::SqlError;

#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error(transparent)]
    Url(#[from] pg_tls::ParameterError),

    #[error("can't connect to the database at {address}: {reason}")]
    Connect { address: String, reason: SqlError },

    #[error("this database has no audit trail: `flowviz migrate` makes it")]
    NoTrail,

    #[error("the database failed: {0}")]
    Database(SqlError),
}

impl From<tokio_postgres::Error> for AuditError {
    fn from(error: tokio_postgres::Error) -> Self {
        if error.code() == Some(&SqlState::UNDEFINED_TABLE) {
            Self::NoTrail
        } else {
            Self::Database(error.into())
        }
    }
}
