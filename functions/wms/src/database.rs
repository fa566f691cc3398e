//! One statement, one round trip: its text is an `.sql` file of the function, its parameters and results are texts.
//!
//! Texts, since hosts differ in how they type a parameter, and the statement's own casts make them all agree.
//! What PostgreSQL refuses comes back as the problem that a client should see; the reason goes to the log.

use crate::faults::Step;
use crate::{Faults, Kind, Name, Problem, settings};
use serde::Serialize;
use serde::de::DeserializeOwned;
use spin_sdk::pg::{Connection, DbError, Error, ParameterValue, PgError, QueryError};

const UNIQUE_VIOLATION: &str = "23505";

/// The unique key of a link's two ends (migration 2).
const LINK_KEY: &str = "lot_genealogy_parent_child_key";

/// A way to the database.
#[expect(
    missing_debug_implementations,
    reason = "the SDK's connection has none"
)]
pub struct Database(Connection);

/// A row of a result.
#[expect(missing_debug_implementations, reason = "the SDK's row has none")]
pub struct Row(spin_sdk::pg::Row);

/// Who is to blame for a value that the database refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Values {
    /// We are: they passed rules of ours that leave nothing to refuse.
    Known,
    OfBody,
}

/// A parameter.
pub fn text(value: impl ToString) -> ParameterValue {
    ParameterValue::Str(value.to_string())
}

/// A parameter that may be NULL.
pub fn maybe(value: Option<impl ToString>) -> ParameterValue {
    value.map_or(ParameterValue::DbNull, text)
}

/// A closed set of names as one parameter, for `string_to_array($1, ',')`.
pub fn list<N: Name>(names: &[N]) -> ParameterValue {
    text(N::join(names, ","))
}

/// A parameter for `jsonb_to_record`.
pub fn json(value: &impl Serialize) -> Result<ParameterValue, Problem> {
    serde_json::to_string(value)
        .map(ParameterValue::Str)
        .map_err(|error| internal(&format!("a draft can't be written: {error}")))
}

// === impl Database ===

impl Database {
    pub async fn connect() -> Result<Self, Problem> {
        let url = settings::database_url().await?;
        let connection =
            Connection::open(url)
                .await
                .map_err(|error| match problem(error, Values::Known) {
                    // Whatever keeps us from the database, the client can only come again.
                    other if other.kind() == Kind::Internal => unavailable("no connection"),
                    problem => problem,
                })?;
        Ok(Self(connection))
    }

    /// Runs a statement whose values are all known to fit. When its rows are here, it is committed.
    pub async fn query(
        &self,
        statement: &str,
        parameters: Vec<ParameterValue>,
    ) -> Result<Vec<Row>, Problem> {
        self.run(statement, parameters, Values::Known).await
    }

    /// Runs a statement that writes what a body holds: a value that the database refuses is a fault of the body.
    pub async fn write(
        &self,
        statement: &str,
        parameters: Vec<ParameterValue>,
    ) -> Result<Vec<Row>, Problem> {
        self.run(statement, parameters, Values::OfBody).await
    }

    async fn run(
        &self,
        statement: &str,
        parameters: Vec<ParameterValue>,
        values: Values,
    ) -> Result<Vec<Row>, Problem> {
        let problem = |error| problem(error, values);
        let result = self.0.query(statement, parameters).await.map_err(problem)?;
        let rows = result.collect().await.map_err(problem)?;
        Ok(rows.into_iter().map(Row).collect())
    }
}

// === impl Row ===

impl Row {
    /// A text, or NULL.
    pub fn maybe(&self, column: &str) -> Result<Option<String>, Problem> {
        self.0
            .get(column)
            .ok_or_else(|| internal(&format!("the result has no text column {column}")))
    }

    pub fn text(&self, column: &str) -> Result<String, Problem> {
        self.maybe(column)?
            .ok_or_else(|| internal(&format!("the column {column} is NULL")))
    }

    /// A boolean; NULL is false.
    pub fn flag(&self, column: &str) -> Result<bool, Problem> {
        let flag = self.0.get::<Option<bool>>(column);
        Ok(flag
            .ok_or_else(|| internal(&format!("the result has no boolean column {column}")))?
            .unwrap_or(false))
    }

    /// A JSON document, or NULL.
    pub fn document<T: DeserializeOwned>(&self, column: &str) -> Result<Option<T>, Problem> {
        let Some(document) = self.maybe(column)? else {
            return Ok(None);
        };
        serde_json::from_str(&document).map_err(|error| {
            internal(&format!(
                "the document {column} is not what it should be: {error}"
            ))
        })
    }

    pub fn name<N: Name>(&self, column: &str) -> Result<N, Problem> {
        N::parse(&self.text(column)?)
            .ok_or_else(|| internal(&format!("the column {column} holds an unknown name")))
    }
}

/// Something that can't be, and is.
pub fn internal(reason: &str) -> Problem {
    eprintln!("{reason}");
    Kind::Internal.because("Something went wrong here; the log has the details.")
}

/// The client can only come again.
pub fn unavailable(reason: &str) -> Problem {
    eprintln!("database unavailable: {reason}");
    Kind::DatabaseUnavailable.because("The database can't be reached or is busy; try again soon.")
}

fn problem(error: Error, values: Values) -> Problem {
    match error {
        // The host's text may name the address, so it stays out of our log.
        Error::PgError(PgError::ConnectionFailed(_)) => unavailable("no connection"),
        Error::PgError(PgError::QueryFailed(QueryError::DbError(error))) => refusal(&error, values),
        // Without an SQLSTATE there was no answer: the connection broke.
        Error::PgError(PgError::QueryFailed(QueryError::Text(_))) => {
            unavailable("the connection broke")
        }
        Error::PgError(PgError::BadParameter(reason) | PgError::ValueConversionFailed(reason))
        | Error::Decode(reason) => internal(&reason),
        Error::PgError(PgError::Other(reason)) => internal(&reason),
    }
}

fn refusal(error: &DbError, values: Values) -> Problem {
    if let Some(kind) = broken_rule(&error.code) {
        return kind.because(&*error.message);
    }
    match (error.code.get(..2), error.code.as_str()) {
        (_, UNIQUE_VIOLATION) if error.message.contains(LINK_KEY) => {
            Kind::LinkDuplicate.because("A lot can be another's parent only once.")
        }
        // No connection, no resources, an operator's hand; a deadlock, a lock's timeout, a standby that takes no writes.
        (Some("08" | "53" | "57"), _) | (_, "40001" | "40P01" | "55P03" | "25006") => {
            unavailable(&format!("SQLSTATE {}: {}", error.code, error.message))
        }
        // A value that passed our rules and not those of the column: the client's, and no reason for a 5xx.
        (Some("22" | "23"), _) if values == Values::OfBody => {
            eprintln!("SQLSTATE {}: {}", error.code, error.message);
            let mut faults = Faults::default();
            faults.add(
                vec![Step::Field("body")],
                "value_error",
                "holds a value that can't be stored",
            );
            Problem::invalid(faults)
        }
        _ => internal(&format!("SQLSTATE {}: {}", error.code, error.message)),
    }
}

/// The documents of one column, NULLs left out: the rows of a list.
pub fn documents<T: DeserializeOwned>(rows: &[Row], column: &str) -> Result<Vec<T>, Problem> {
    rows.iter()
        .filter_map(|row| row.document(column).transpose())
        .collect()
}

/// The rules that the database's triggers keep (migrations 3, 15 and 16). Their messages are written for clients.
pub fn broken_rule(code: &str) -> Option<Kind> {
    match code {
        "WM001" => Some(Kind::LinkToItself),
        "WM002" => Some(Kind::LinkCycle),
        "WM003" => Some(Kind::ParentRejected),
        "WM004" => Some(Kind::ParentOverdrawn),
        "WM005" => Some(Kind::RunNotActive),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(code: &str) -> Kind {
        kind_for(code, Values::OfBody)
    }

    fn kind_for(code: &str, values: Values) -> Kind {
        let message = "secret detail".to_owned();
        let error = DbError {
            as_text: message.clone(),
            severity: "ERROR".to_owned(),
            code: code.to_owned(),
            message,
            detail: None,
            extras: Vec::new(),
        };
        refusal(&error, values).kind()
    }

    #[test]
    fn tells_a_busy_database_from_a_wrong_value_and_from_our_fault() {
        for code in ["08006", "08P01", "53300", "57P01", "57014", "40P01"] {
            assert_eq!(kind(code), Kind::DatabaseUnavailable, "{code}");
        }
        for code in ["22P02", "22003", "23503", "23514"] {
            assert_eq!(kind(code), Kind::Invalid, "{code}");
        }
        for code in ["42P01", "42501", "XX000", ""] {
            assert_eq!(kind(code), Kind::Internal, "{code}");
        }
        assert_eq!(kind("WM004"), Kind::ParentOverdrawn);
    }

    #[test]
    fn a_body_is_blamed_only_where_there_is_one() {
        assert_eq!(kind_for("22008", Values::Known), Kind::Internal);
        assert_eq!(kind_for("57014", Values::Known), Kind::DatabaseUnavailable);
    }

    #[test]
    fn a_connection_error_keeps_its_text_to_itself() {
        let url = "postgres://app:hunter2@db/flowviz".to_owned();
        let problem = problem(
            Error::PgError(PgError::ConnectionFailed(url)),
            Values::Known,
        );
        assert_eq!(problem.kind(), Kind::DatabaseUnavailable);
        assert!(!format!("{problem:?}").contains("hunter2"));
    }
}
