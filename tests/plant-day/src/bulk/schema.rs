//! What makes every single row slow, taken off the tables and put back as it was.

use tokio_postgres::{Error, SimpleQueryMessage, Transaction};

/// The triggers that fire on INSERT, the foreign keys and the secondary indexes of the tables that are loaded: how to take each
/// off, and how to put it back exactly as it is now. Triggers that guard against changes (`qc_decisions_append_only`) don't fire
/// on INSERT and stay where they are. Unique keys and exclusion stay too: they find what is there already.
///
/// `tgtype & 4`: it fires on INSERT. A trigger is enabled for ordinary sessions, for replicas or always.
const FIND: &str = "
WITH loaded AS (
    SELECT unnest(ARRAY['production_runs', 'lots', 'lot_genealogy', 'qc_decisions']::regclass[]) AS id
)
SELECT 1 AS place,
    format('ALTER TABLE %s DISABLE TRIGGER %I', tgrelid::regclass, tgname) AS off,
    format('ALTER TABLE %s ENABLE %s TRIGGER %I', tgrelid::regclass,
        CASE tgenabled WHEN 'A' THEN 'ALWAYS' WHEN 'R' THEN 'REPLICA' ELSE '' END, tgname) AS back
FROM pg_trigger JOIN loaded ON loaded.id = tgrelid
WHERE NOT tgisinternal AND tgtype & 4 <> 0 AND tgenabled <> 'D'
UNION ALL
SELECT 3,
    format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname),
    format('ALTER TABLE %s ADD CONSTRAINT %I %s', conrelid::regclass, conname, pg_get_constraintdef(pg_constraint.oid))
FROM pg_constraint JOIN loaded ON loaded.id = conrelid
WHERE contype = 'f'
UNION ALL
SELECT 2,
    format('DROP INDEX %s', indexrelid::regclass),
    pg_get_indexdef(indexrelid)
FROM pg_index JOIN loaded ON loaded.id = indrelid
WHERE NOT indisunique AND NOT indisexclusion
ORDER BY place, back";

/// What was taken off.
#[derive(Debug)]
pub(super) struct Schema {
    back: Vec<String>,
}

// === impl Schema ===

impl Schema {
    pub(super) async fn strip(transaction: &Transaction<'_>) -> Result<Self, Error> {
        let mut back = Vec::new();
        let mut off = Vec::new();
        for message in transaction.simple_query(FIND).await? {
            if let SimpleQueryMessage::Row(row) = message {
                off.extend(row.get("off").map(str::to_owned));
                back.extend(row.get("back").map(str::to_owned));
            }
        }
        transaction.batch_execute(&off.join(";")).await?;
        Ok(Self { back })
    }

    pub(super) async fn restore(self, transaction: &Transaction<'_>) -> Result<(), Error> {
        for statement in self.back {
            transaction.batch_execute(&statement).await?;
        }
        Ok(())
    }
}
