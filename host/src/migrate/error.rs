//! Why a run was refused or failed: one sentence each, which holds its cause already, and never the database's URL.

use std::fmt;
use std::path::PathBuf;

use tokio_postgres::error::{DbError, ErrorPosition};

use super::statements::{line_of_character, line_of_statement};

#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    #[error(transparent)]
    Url(#[from] pg_tls::ParameterError),

    #[error("can't connect to PostgreSQL at {address}: {reason}")]
    Connect { address: String, reason: String },

    #[error(
        "{address} is a connection pooler such as PgBouncer: migrations need PostgreSQL itself, because they hold a lock on their session"
    )]
    Pooler { address: String },

    #[error("{path}: {error}", path = path.display())]
    File {
        path: PathBuf,
        error: std::io::Error,
    },

    #[error("there are no migrations in {}", dir.display())]
    NoMigrations { dir: PathBuf },

    #[error("{file}: a migration is named NNNN_what_it_does.sql")]
    FileName { file: String },

    #[error("{one} and {other} have the same number")]
    SameVersion { one: String, other: String },

    #[error(
        "{file} has been changed since it was applied: undo the change and write a new migration"
    )]
    Changed { file: String },

    #[error("{file} comes before {newest:04}, which is applied: give it a higher number")]
    OutOfOrder { file: String, newest: i32 },

    #[error(
        "{version:04} {name} is applied in this database, but there is no such file: this program is older than the database"
    )]
    UnknownApplied { version: i32, name: String },

    #[error(
        "{file} ends its transaction itself (COMMIT or ROLLBACK), so what it did may have to be undone by hand"
    )]
    EndsTransaction { file: String },

    #[error("{file}, line {line}: {error}")]
    Statement {
        file: String,
        line: usize,
        error: SqlError,
    },

    #[error("the database failed: {0}")]
    Database(SqlError),

    #[error("a demonstration password can't be hashed: {0}")]
    Password(argon2::password_hash::Error),
}

/// What the database said, with its SQLSTATE.
#[derive(Debug)]
pub struct SqlError(tokio_postgres::Error);

// === impl MigrateError ===

impl MigrateError {
    /// An error in a file of which `completed` statements had succeeded.
    pub(super) fn statement(
        file: &str,
        sql: &str,
        completed: usize,
        error: tokio_postgres::Error,
    ) -> Self {
        let line = match error.as_db_error().and_then(DbError::position) {
            Some(ErrorPosition::Original(character)) => Some(line_of_character(sql, *character)),
            // In a function's own code, or while running (a constraint): the statement that led there.
            Some(ErrorPosition::Internal { .. }) | None => line_of_statement(sql, completed),
        };
        Self::Statement {
            file: file.to_owned(),
            line: line.unwrap_or(1),
            error: SqlError(error),
        }
    }
}

impl From<tokio_postgres::Error> for MigrateError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(SqlError(error))
    }
}

// === impl SqlError ===

impl From<tokio_postgres::Error> for SqlError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self(error)
    }
}

impl fmt::Display for SqlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(error) = self.0.as_db_error() else {
            return write!(f, "{}", chain(&self.0));
        };
        write!(f, "{} (SQLSTATE {})", error.message(), error.code().code())?;
        if let Some(detail) = error.detail() {
            write!(f, ". {detail}")?;
        }
        if let Some(hint) = error.hint() {
            write!(f, " Hint: {hint}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SqlError {}

/// The whole chain of causes in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
