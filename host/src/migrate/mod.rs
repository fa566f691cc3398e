//! Migrations: forward-only SQL files, each applied once, in order, in a transaction of its own, straight to PostgreSQL.
//!
//! Two runs at once don't meet: the second waits for the first, then finds nothing to do. A file that changed after it was applied,
//! one that comes before what is applied, and an applied one that is gone are refused before anything is done.
//!
//! A file is named `NNNN_what_it_does.sql`. Numbers may be left out. It must not end its transaction itself.

mod connection;
mod demo;
mod error;
mod files;
mod statements;

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use futures::TryStreamExt;
use tokio_postgres::{Client, SimpleQueryMessage};

pub use connection::address;
pub use demo::{Demo, DemoReport};
pub use error::{MigrateError, SqlError};
use files::{AppliedMigration, Migration};

/// Where the files are, seen from the root of the repository.
pub const DEFAULT_DIR: &str = "infra/postgres/migrations";

/// "flowviz" and a 1: the advisory lock that a run holds.
const LOCK_KEY: i64 = 0x66_6c_6f_77_76_69_7a_01;

/// A statement that can't get its table lock holds up everybody who comes after it, so it gives up instead.
const LOCK_TIMEOUT_MS: u32 = 15_000;

const HISTORY: &str = "
    CREATE TABLE IF NOT EXISTS schema_migrations (
        version integer PRIMARY KEY,
        name text NOT NULL,
        checksum text NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now(),
        duration interval NOT NULL
    )";

pub struct Options {
    /// `postgres://owner:...@host:port/database`: PostgreSQL itself, not a pooler.
    pub database_url: String,
    pub dir: PathBuf,
    /// Demonstration users and lots, if wanted.
    pub demo: Option<Demo>,
}

/// What a run did. `Display` says it in a few lines; it shows generated demonstration passwords, once.
#[derive(Debug)]
pub struct Report {
    pub applied: Vec<Applied>,
    /// The newest version in the database.
    pub at: i32,
    pub demo: Option<DemoReport>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    pub version: i32,
    pub name: String,
    pub duration: Duration,
}

/// Brings the database up to date.
pub async fn run(options: Options) -> Result<Report, MigrateError> {
    let migrations = files::read(&options.dir)?;
    let mut client = connection::direct(&options.database_url).await?;

    // Held until the connection ends, however that happens.
    client
        .execute("SELECT pg_advisory_lock($1)", &[&LOCK_KEY])
        .await?;
    client
        .batch_execute(&format!(
            "SET lock_timeout = {LOCK_TIMEOUT_MS}; SET client_min_messages = warning"
        ))
        .await?;
    client.batch_execute(HISTORY).await?;

    let history = history(&client).await?;
    let mut at = history.last().map_or(0, |newest| newest.version);
    let mut applied = Vec::new();
    for migration in files::pending(migrations, &history)? {
        applied.push(apply(&mut client, &migration).await?);
        at = migration.version;
    }
    let demo = match options.demo {
        Some(demo) => Some(demo.load(&mut client).await?),
        None => None,
    };
    Ok(Report { applied, at, demo })
}

async fn history(client: &Client) -> Result<Vec<AppliedMigration>, MigrateError> {
    let rows = client
        .query(
            "SELECT version, name, checksum FROM schema_migrations ORDER BY version",
            &[],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok(AppliedMigration {
                version: row.try_get("version")?,
                name: row.try_get("name")?,
                checksum: row.try_get("checksum")?,
            })
        })
        .collect()
}

async fn apply(client: &mut Client, migration: &Migration) -> Result<Applied, MigrateError> {
    let start = Instant::now();
    let transaction = client.transaction().await?;
    let transaction_id = "SELECT pg_current_xact_id()::text";
    let before: String = transaction
        .query_one(transaction_id, &[])
        .await?
        .try_get(0)?;

    execute_file(transaction.client(), &migration.file, &migration.sql).await?;

    let after: String = transaction
        .query_one(transaction_id, &[])
        .await?
        .try_get(0)?;
    if before != after {
        return Err(MigrateError::EndsTransaction {
            file: migration.file.clone(),
        });
    }
    let duration = start.elapsed();
    transaction
        .execute(
            "INSERT INTO schema_migrations (version, name, checksum, duration) VALUES ($1, $2, $3, make_interval(secs => $4))",
            &[&migration.version, &migration.name, &migration.checksum, &duration.as_secs_f64()],
        )
        .await?;
    transaction.commit().await?;
    Ok(Applied {
        version: migration.version,
        name: migration.name.clone(),
        duration,
    })
}

/// Runs all the statements of a file; an error names the file and the line of its statement.
async fn execute_file(client: &Client, file: &str, sql: &str) -> Result<(), MigrateError> {
    let mut completed = 0;
    let outcome = async {
        let mut answers = std::pin::pin!(client.simple_query_raw(sql).await?);
        while let Some(answer) = answers.try_next().await? {
            if matches!(answer, SimpleQueryMessage::CommandComplete(_)) {
                completed += 1;
            }
        }
        Ok(())
    }
    .await;
    outcome.map_err(|error| MigrateError::statement(file, sql, completed, error))
}

// === impl Options ===

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("dir", &self.dir)
            .field("demo", &self.demo)
            .finish_non_exhaustive()
    }
}

// === impl Report ===

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Applied {
            version,
            name,
            duration,
        } in &self.applied
        {
            writeln!(
                f,
                "applied {version:04} {name} ({} ms)",
                duration.as_millis()
            )?;
        }
        match self.applied.len() {
            0 => write!(f, "nothing to do: the database is at {:04}", self.at)?,
            1 => write!(f, "1 migration applied: the database is at {:04}", self.at)?,
            count => write!(
                f,
                "{count} migrations applied: the database is at {:04}",
                self.at
            )?,
        }
        match &self.demo {
            Some(demo) => write!(f, "\n{demo}"),
            None => Ok(()),
        }
    }
}
