//! PgBouncer's console: the virtual database `pgbouncer`, which tells its administrators what the pooler does and how it is set.

use std::time::Duration;

use super::address::AddressError;
use super::error::DatabaseError;
use super::simple::{SimpleClient, Table};

/// The console's name among PgBouncer's databases.
const DATABASE: &str = "pgbouncer";

/// Reads the console, on one lasting connection.
#[derive(Debug)]
pub struct Console(SimpleClient);

/// What the console says, table by table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    pub pools: Table,
    pub stats_totals: Table,
    pub databases: Table,
    pub lists: Table,
    pub config: Table,
    pub version: Table,
}

/// Why an address is none of a console.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConsoleError {
    #[error("PgBouncer's console can't be asked: {0}")]
    Address(#[from] AddressError),
    #[error(
        "PgBouncer's console is its database `{DATABASE}`, not `{0}`: end the connection string with `/{DATABASE}`"
    )]
    OtherDatabase(String),
}

// === impl Console ===

impl Console {
    /// Connects nowhere yet.
    pub fn new(address: &str) -> Result<Self, ConsoleError> {
        let client = SimpleClient::new(address)?;
        match client.database() {
            DATABASE => Ok(Self(client)),
            other => Err(ConsoleError::OtherDatabase(other.to_owned())),
        }
    }

    pub async fn read(&mut self, deadline: Duration) -> Result<Snapshot, DatabaseError> {
        let questions = [
            "SHOW POOLS",
            "SHOW STATS_TOTALS",
            "SHOW DATABASES",
            "SHOW LISTS",
            "SHOW CONFIG",
            "SHOW VERSION",
        ];
        let [pools, stats_totals, databases, lists, config, version] =
            self.0.ask(questions, deadline).await?;
        Ok(Snapshot {
            pools,
            stats_totals,
            databases,
            lists,
            config,
            version,
        })
    }
}

// === impl Snapshot ===

impl Snapshot {
    /// `PgBouncer 1.18.0`
    pub fn version(&self) -> Option<&str> {
        self.version.rows().next()?.text("version")
    }

    /// The value of a setting.
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.config.find("key", key)?.text("value")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_console_is_a_console() {
        assert!(Console::new("postgres://stats:s3cret@h:6432/pgbouncer").is_ok());
        for address in [
            "postgres://stats:s3cret@h:6432/flowviz",
            "postgres://stats:s3cret@h:6432",
            "s3cret",
        ] {
            let error = Console::new(address).unwrap_err().to_string();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
