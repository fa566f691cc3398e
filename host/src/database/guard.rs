//! Statements that change a session refused: behind a pool the session belongs to everyone. The next statement of the same function
//! may run in another session, and the next function in this one, with the other's `search_path`.
//!
//! It looks at the first words only. A function such as `set_config(..., false)` or `pg_advisory_lock` gets through, and does the
//! same harm.

use super::error::DatabaseError;

/// What can be said instead, by the statement's first word. `SET` is looked at more closely.
const REFUSED: [(&str, &str); 9] = [
    (
        "SET",
        "use SET LOCAL in a transaction, or ALTER ROLE ... SET",
    ),
    ("RESET", "no session setting can have been made"),
    ("DISCARD", "no session setting can have been made"),
    ("LISTEN", "notifications can't be received through a pool"),
    ("UNLISTEN", "notifications can't be received through a pool"),
    ("PREPARE", "give parameters with the statement itself"),
    ("EXECUTE", "give parameters with the statement itself"),
    ("DEALLOCATE", "give parameters with the statement itself"),
    ("LOAD", "use session_preload_libraries on the server"),
];

/// What makes a `SET` end with its transaction.
const SET_FOR_A_TRANSACTION: [&str; 3] = ["LOCAL", "TRANSACTION", "CONSTRAINTS"];

pub(super) fn check(statement: &str) -> Result<(), DatabaseError> {
    let (first, rest) = word(statement);
    let Some((_, instead)) = REFUSED
        .iter()
        .find(|(word, _)| first.eq_ignore_ascii_case(word))
    else {
        return Ok(());
    };
    let second = word(rest).0;
    if first.eq_ignore_ascii_case("SET")
        && SET_FOR_A_TRANSACTION
            .iter()
            .any(|word| second.eq_ignore_ascii_case(word))
    {
        return Ok(());
    }
    Err(DatabaseError::Session { instead })
}

/// The first word, and what follows it.
fn word(text: &str) -> (&str, &str) {
    let text = skip_blank(text);
    let end = text
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// Skips white space and comments. Comments in `/*` and `*/` nest.
fn skip_blank(mut text: &str) -> &str {
    loop {
        text = text.trim_start();
        if let Some(comment) = text.strip_prefix("--") {
            text = comment.split_once('\n').map_or("", |(_, rest)| rest);
        } else if let Some(comment) = text.strip_prefix("/*") {
            text = skip_comment(comment);
        } else {
            return text;
        }
    }
}

fn skip_comment(mut text: &str) -> &str {
    let mut depth = 1;
    while depth > 0 {
        let Some(at) = text.find(['/', '*']) else {
            return "";
        };
        let Some(next) = text.get(at..) else {
            return "";
        };
        if let Some(rest) = next.strip_prefix("/*") {
            depth += 1;
            text = rest;
        } else if let Some(rest) = next.strip_prefix("*/") {
            depth -= 1;
            text = rest;
        } else {
            text = next.get(1..).unwrap_or_default();
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_outlive_its_transaction_is_refused() {
        for statement in [
            "SET search_path = x",
            " set\tTimeZone TO 'UTC'",
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
            "-- why\nSET ROLE x",
            "/* a /* b */ * c */ LISTEN lots",
            "RESET ALL",
            "prepare p as select 1",
            "DISCARD ALL;",
        ] {
            assert!(check(statement).is_err(), "{statement}");
        }
    }

    #[test]
    fn everything_else_passes() {
        for statement in [
            "SET LOCAL statement_timeout = '1s'",
            "SET /* here */ TRANSACTION READ ONLY",
            "set constraints all deferred",
            "SELECT 'SET x'",
            "SETTINGS",
            "UPDATE t SET x = 1",
            "/* SET x */ SELECT 1",
            "-- SET x",
            "/* never closed",
            "NOTIFY lots",
            "",
            "é",
        ] {
            assert_eq!(check(statement), Ok(()), "{statement}");
        }
    }
}
