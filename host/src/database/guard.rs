//! Statements that change a session refused: behind a pool the session belongs to everyone. The next statement of the same function
//! may run in another session, and the next function in this one, with the other's `search_path`, or holding the other's lock.
//!
//! It sees what a statement says, not what it does: a function in the database that sets something gets through, and does the same
//! harm.

use super::error::DatabaseError;
use super::tokens::{Token, Tokens};

const PARAMETERS: &str = "give parameters with the statement itself";
const SET_LOCAL: &str = "use SET LOCAL in a transaction, or ALTER ROLE ... SET";

/// What can be said instead, by the statement's first word. `SET`, `CREATE` and `DECLARE` are looked at more closely.
const REFUSED: [(&str, &str); 8] = [
    ("RESET", "no session setting can have been made"),
    ("DISCARD", "no session setting can have been made"),
    ("LISTEN", "notifications can't be received through a pool"),
    ("UNLISTEN", "notifications can't be received through a pool"),
    ("PREPARE", PARAMETERS),
    ("EXECUTE", PARAMETERS),
    ("DEALLOCATE", PARAMETERS),
    ("LOAD", "use session_preload_libraries on the server"),
];

/// What makes a `SET` end with its transaction.
const SET_FOR_A_TRANSACTION: [&str; 3] = ["LOCAL", "TRANSACTION", "CONSTRAINTS"];

/// What the names of PostgreSQL's functions for a session's locks begin with.
const LOCKS: [&str; 2] = ["pg_advisory_", "pg_try_advisory_"];
/// And what those have in their names whose locks end with the transaction.
const FOR_A_TRANSACTION: &str = "_xact_";

pub(super) fn check(statement: &str) -> Result<(), DatabaseError> {
    match by_first_word(statement).or_else(|| by_call(statement)) {
        Some(instead) => Err(DatabaseError::Session { instead }),
        None => Ok(()),
    }
}

fn by_first_word(statement: &str) -> Option<&'static str> {
    let mut tokens = Tokens::of(statement);
    let first = tokens.next()?;
    if first.is(&["SET"]) {
        let ends = tokens.next()?.is(&SET_FOR_A_TRANSACTION);
        return (!ends).then_some(SET_LOCAL);
    }
    if first.is(&["CREATE"]) {
        let mut kind = tokens.next()?;
        if kind.is(&["LOCAL", "GLOBAL"]) {
            kind = tokens.next()?;
        }
        return kind
            .is(&["TEMP", "TEMPORARY"])
            .then_some("use a table, or WITH in the statement, in place of a temporary one");
    }
    if first.is(&["DECLARE"]) {
        let holds = tokens
            .take_while(|token| !token.is(&["FOR"]))
            .skip_while(|token| !token.is(&["WITH"]))
            .nth(1);
        return holds
            .is_some_and(|token| token.is(&["HOLD"]))
            .then_some("declare the cursor without HOLD, in a transaction");
    }
    REFUSED
        .iter()
        .find(|(word, _)| first.is(&[word]))
        .map(|(_, instead)| *instead)
}

/// Calls of functions whose effect outlasts the transaction.
fn by_call(statement: &str) -> Option<&'static str> {
    // Nearly every statement is told by this, without being read word by word.
    let bytes = statement.as_bytes();
    let suspect = |at| is_lock(name_before(bytes, at)) || is_set_config(name_before(bytes, at));
    if !statement.match_indices('(').any(|(at, _)| suspect(at)) {
        return None;
    }
    let mut tokens = Tokens::of(statement);
    let mut before = None;
    while let Some(token) = tokens.next() {
        if let (Some(Token::Word(name)), Token::Symbol('(')) = (before, token) {
            if is_lock(name.as_bytes()) {
                return Some("use pg_advisory_xact_lock, whose lock ends with its transaction");
            }
            // Its last argument says whether the setting ends with the transaction. What isn't `false` is believed.
            if is_set_config(name.as_bytes())
                && last_argument(tokens.clone()).is_some_and(|last| last.is(&["FALSE"]))
            {
                return Some(SET_LOCAL);
            }
        }
        before = Some(token);
    }
    None
}

fn is_lock(name: &[u8]) -> bool {
    let begins = |with: &str| {
        name.get(..with.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(with.as_bytes()))
    };
    LOCKS.iter().any(|with| begins(with))
        && !name
            .windows(FOR_A_TRANSACTION.len())
            .any(|part| part.eq_ignore_ascii_case(FOR_A_TRANSACTION.as_bytes()))
}

fn is_set_config(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"set_config")
}

/// The name that ends before `at`, without blanks and quotes.
fn name_before(text: &[u8], at: usize) -> &[u8] {
    let text = text.get(..at).unwrap_or_default();
    let text = text.trim_ascii_end();
    let text = text.strip_suffix(b"\"").unwrap_or(text);
    let start = text
        .iter()
        .rposition(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_');
    text.get(start.map_or(0, |last| last + 1)..)
        .unwrap_or_default()
}

/// The last token before the parenthesis that ends the arguments.
fn last_argument(tokens: Tokens<'_>) -> Option<Token<'_>> {
    let mut depth = 1;
    let mut last = None;
    for token in tokens {
        match token {
            Token::Symbol('(') => depth += 1,
            Token::Symbol(')') => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
        last = Some(token);
    }
    last
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
            "CREATE TEMP TABLE t (x int)",
            "create local temporary view v as select 1",
            "DECLARE c SCROLL CURSOR WITH HOLD FOR SELECT 1",
            "SELECT pg_advisory_lock(1)",
            "select 1, PG_TRY_ADVISORY_LOCK_SHARED (1, 2) from t",
            "SELECT pg_catalog.\"pg_advisory_unlock_all\"()",
            "WITH l AS (SELECT pg_try_advisory_lock($1) AS got) SELECT got FROM l",
            "SELECT set_config('search_path', concat('a', (b)), FALSE)",
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
            "CREATE TABLE temp (x int)",
            "DECLARE c CURSOR FOR WITH hold AS (SELECT 1) SELECT * FROM hold",
            "DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1",
            "SELECT pg_advisory_xact_lock(1), pg_try_advisory_xact_lock_shared(2)",
            "SELECT 'pg_advisory_lock(1)', $$ pg_advisory_lock(1) $$, $a$ $$ pg_advisory_lock(1) $a$",
            "SELECT E'\\'pg_advisory_lock(1)', 'it''s pg_advisory_lock(1)' -- pg_advisory_lock(1)",
            "SELECT pg_advisory_lock FROM locks WHERE (id = 1)",
            "SELECT set_config('flowviz.user', $1, true)",
            "SELECT set_config('flowviz.user', $1, $2)",
            "",
            "é",
        ] {
            assert_eq!(check(statement), Ok(()), "{statement}");
        }
    }
}
