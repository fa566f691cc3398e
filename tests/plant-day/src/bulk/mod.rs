//! Straight into PostgreSQL by COPY, for large databases: all of the plan in one transaction, as the tables' owner.
//!
//! What slows a row down is taken off for the transaction and put back as it was: the triggers after INSERT (the plan keeps their
//! rules and brings the statuses with it), the foreign keys and the secondary indexes (checked and built in one go at the end).
//! Which there are is read from the catalog, and columns that we don't name get their defaults: a later migration needs no change
//! here. Until it commits nobody else gets at the tables, nor at those that their keys refer to; if it fails, nothing has happened.
//!
//! Loaded rows have no events in the audit log: nobody did what they tell.

mod rows;
mod schema;

use std::fmt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::SinkExt as _;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Config, NoTls, Transaction};

use crate::chain::chain;
use crate::plan::Plan;
use rows::Chunk;
use schema::{Schema, TABLES};

/// Bytes that go to the server at once.
const PIECE: usize = 1 << 20;

/// Whoever waits for a table's lock makes all others wait behind: not longer than this.
const LOCK_WITHIN: Duration = Duration::from_secs(30);

/// Why nothing was loaded.
#[derive(Debug, thiserror::Error)]
pub enum BulkError {
    #[error("the database can't be reached: {}", chain(.0))]
    Connect(tokio_postgres::Error),

    #[error(
        "lots of this day and prefix are in the database already ({0}): choose another --day or --code-prefix"
    )]
    Exists(String),

    #[error(
        "the tables are in use: somebody has held one for {} s; nothing was loaded",
        LOCK_WITHIN.as_secs()
    )]
    InUse,

    #[error("nothing was loaded, since this would not be what it was: {0}")]
    Schema(String),

    #[error("the database refuses: {}", told(.0))]
    Database(tokio_postgres::Error),

    #[error("all is loaded, but VACUUM failed: {}", told(.0))]
    Vacuum(tokio_postgres::Error),

    #[error("the plan's days end before its lots do")]
    Calendar,
}

impl From<tokio_postgres::Error> for BulkError {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

/// What it is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Until nobody else uses the tables.
    Waiting,
    /// So many more lots are there, with all that belongs to them.
    Lots(u64),
    /// Indexes are built, keys are checked.
    Schema,
    Vacuum,
}

/// What was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Loaded {
    pub runs: u64,
    pub lots: u64,
    pub links: u64,
    pub decisions: u64,
    /// For the rows, for putting the schema back, and for ANALYZE.
    pub copy_seconds: f64,
    pub schema_seconds: f64,
    pub analyze_seconds: f64,
}

/// Loads the plan. The rows are signed by the user with this email, if there is one. `progress` hears how far it has got.
pub async fn load(
    plan: &Plan,
    target: &Config,
    email: &str,
    mut progress: impl FnMut(Stage),
) -> Result<Loaded, BulkError> {
    let (mut client, connection) = target.connect(NoTls).await.map_err(BulkError::Connect)?;
    let connection = tokio::spawn(connection);
    let operator = client
        .query_opt(
            "SELECT id::text FROM users WHERE lower(email) = lower($1)",
            &[&email],
        )
        .await?
        .map(|row| row.get(0));

    let mut loaded = Loaded::default();
    let transaction = client.transaction().await?;
    progress(Stage::Waiting);
    lock(&transaction).await?;
    let begun = Instant::now();
    let schema = Schema::strip(&transaction).await.map_err(in_use)?;
    let mut chunks = generate(plan.clone(), operator);
    while let Some(chunk) = chunks.recv().await {
        let chunk = chunk?;
        loaded.runs += copy(&transaction, rows::RUNS, chunk.runs).await?;
        let lots = copy(&transaction, rows::LOTS, chunk.lots).await?;
        loaded.lots += lots;
        loaded.links += copy(&transaction, rows::LINKS, chunk.links).await?;
        loaded.decisions += copy(&transaction, rows::DECISIONS, chunk.decisions).await?;
        progress(Stage::Lots(lots));
    }
    loaded.copy_seconds = seconds_since(begun);

    let begun = Instant::now();
    progress(Stage::Schema);
    schema.restore(&transaction).await?;
    transaction.commit().await?;
    loaded.schema_seconds = seconds_since(begun);

    let begun = Instant::now();
    progress(Stage::Vacuum);
    // As autovacuum would leave them: statistics for the planner, and pages that index-only scans needn't visit.
    client
        .batch_execute(&format!("VACUUM (ANALYZE) {}", TABLES.join(", ")))
        .await
        .map_err(BulkError::Vacuum)?;
    loaded.analyze_seconds = seconds_since(begun);
    drop(client);
    // It ended well, or the last statement would have failed.
    _ = connection.await;
    Ok(loaded)
}

/// All at once, so that nobody writes, and no migration changes the tables, between a look at the catalog and the end.
async fn lock(transaction: &Transaction<'_>) -> Result<(), BulkError> {
    let (within, tables) = (LOCK_WITHIN.as_millis(), TABLES.join(", "));
    // The memory lets an index be built without merging from disk. All of it is for this transaction only.
    let statements = format!(
        "SET LOCAL maintenance_work_mem = '512MB';
         SET LOCAL statement_timeout = 0;
         SET LOCAL lock_timeout = {within};
         LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE"
    );
    transaction.batch_execute(&statements).await.map_err(in_use)
}

fn in_use(error: tokio_postgres::Error) -> BulkError {
    match error.code() {
        Some(&SqlState::LOCK_NOT_AVAILABLE) => BulkError::InUse,
        _ => error.into(),
    }
}

/// Makes the next day while the server takes the one before. No more than that is held in memory.
fn generate(plan: Plan, operator: Option<String>) -> mpsc::Receiver<Result<Chunk, BulkError>> {
    let (send, receive) = mpsc::channel(1);
    tokio::task::spawn_blocking(move || {
        for day in plan.days() {
            let chunk = Chunk::of(&plan, &day, operator.as_deref()).ok_or(BulkError::Calendar);
            if send.blocking_send(chunk).is_err() {
                // Whoever wanted them has failed.
                return;
            }
        }
    });
    receive
}

async fn copy(
    transaction: &Transaction<'_>,
    statement: &str,
    rows: Bytes,
) -> Result<u64, BulkError> {
    let sink = transaction.copy_in(statement).await?;
    futures::pin_mut!(sink);
    let mut left = rows;
    while !left.is_empty() {
        let piece = left.split_to(PIECE.min(left.len()));
        sink.send(piece).await.map_err(taken)?;
    }
    sink.finish().await.map_err(taken)
}

/// A code that is there already is the likeliest mistake: it gets a hint.
fn taken(error: tokio_postgres::Error) -> BulkError {
    let detail = error.as_db_error().and_then(|error| error.detail());
    match (error.code(), detail) {
        (Some(&SqlState::UNIQUE_VIOLATION), Some(detail)) => {
            BulkError::Exists(detail.trim_end_matches('.').to_owned())
        }
        _ => error.into(),
    }
}

impl fmt::Display for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            runs,
            lots,
            links,
            decisions,
            ..
        } = self;
        writeln!(
            f,
            "{lots} lots, {links} links, {decisions} decisions, {runs} runs"
        )?;
        let (copy, schema, analyze) =
            (self.copy_seconds, self.schema_seconds, self.analyze_seconds);
        write!(
            f,
            "rows {copy:.1} s, indexes and keys {schema:.1} s, vacuum and statistics {analyze:.1} s"
        )
    }
}

/// What the server says, or what went wrong on the way to it.
fn told(error: &tokio_postgres::Error) -> String {
    error
        .as_db_error()
        .map_or_else(|| chain(error), ToString::to_string)
}

fn seconds_since(begun: Instant) -> f64 {
    let elapsed: Duration = begun.elapsed();
    (elapsed.as_secs_f64() * 1000.0).round() / 1000.0
}
