//! What makes every single row slow, taken off the tables and put back as it was.
//!
//! It is found in the catalog, and the catalog is compared at the end: either the tables are defined as they were, or nothing is
//! committed.

use std::collections::BTreeSet;

use tokio_postgres::{Error, Transaction};

use super::BulkError;

const REMOVABLE: &str = include_str!("removable.sql");
const DEFINITIONS: &str = include_str!("definitions.sql");

/// The tables that are loaded: nothing else of the schema is known by its name.
pub(super) const TABLES: [&str; 4] = ["production_runs", "lots", "lot_genealogy", "qc_decisions"];

/// What was taken off, and how the tables were defined before.
#[derive(Debug)]
pub(super) struct Schema {
    back: Vec<String>,
    before: BTreeSet<String>,
}

// === impl Schema ===

impl Schema {
    /// The tables must be locked: nobody else changes their definitions in between.
    pub(super) async fn strip(transaction: &Transaction<'_>) -> Result<Self, Error> {
        let before = definitions(transaction).await?;
        let rows = transaction.query(REMOVABLE, &[&&TABLES[..]]).await?;
        let (mut off, mut back) = (Vec::new(), Vec::new());
        for row in rows {
            off.push(row.try_get::<_, String>("off")?);
            back.push(row.try_get("back")?);
        }
        transaction.batch_execute(&off.join(";")).await?;
        Ok(Self { back, before })
    }

    pub(super) async fn restore(self, transaction: &Transaction<'_>) -> Result<(), BulkError> {
        // A constraint that was deferred, and stayed, is checked now: a table with checks to come can't be altered.
        transaction
            .batch_execute("SET CONSTRAINTS ALL IMMEDIATE")
            .await?;
        for statement in self.back {
            transaction.batch_execute(&statement).await?;
        }
        let after = definitions(transaction).await?;
        match self.before.symmetric_difference(&after).next() {
            None => Ok(()),
            Some(changed) => Err(BulkError::Schema(changed.clone())),
        }
    }
}

async fn definitions(transaction: &Transaction<'_>) -> Result<BTreeSet<String>, Error> {
    let rows = transaction.query(DEFINITIONS, &[&&TABLES[..]]).await?;
    rows.iter().map(|row| row.try_get("definition")).collect()
}
