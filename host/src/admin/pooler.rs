//! Looks after PgBouncer, the host's way to its database: reads the console in the background, serves what it says as metrics, and
//! warns of sizes that don't fit each other.
//!
//! One connection and a few short questions, so that nothing depends on how often Prometheus scrapes. What is logged is a change:
//! the console answers, or not; a misfit came, or all are gone (a RELOAD of PgBouncer is enough).

use std::time::Duration;

use tracing::{debug, info, warn};

use crate::database::{Address, Console, ConsoleError, Misfit, ServerLimits, Snapshot, misfits};
use crate::manifest::{PoolSettings, Secret};
use crate::telemetry::PgBouncerMetrics;

/// Between two readings, and between two attempts to connect.
const EVERY: Duration = Duration::from_secs(5);
/// How long all the answers of one reading may take together.
const DEADLINE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct PoolerWatch {
    console: Console,
    database: Option<Database>,
    settings: PoolSettings,
    metrics: PgBouncerMetrics,
    was_up: Option<bool>,
    told: Vec<Misfit>,
}

/// The application's database, behind the pooler.
#[derive(Debug)]
struct Database {
    address: Secret,
    name: String,
    limits: Option<ServerLimits>,
    /// It hasn't been asked since the pooler came: PostgreSQL may have been restarted together with it.
    ask: bool,
}

// === impl PoolerWatch ===

impl PoolerWatch {
    /// An error says that there is no console at such an address; whether it answers is seen later.
    pub fn new(
        console: &Secret,
        database: Option<&Secret>,
        settings: PoolSettings,
        metrics: PgBouncerMetrics,
    ) -> Result<Self, ConsoleError> {
        Ok(Self {
            console: Console::new(console.expose())?,
            // What is wrong with this address is for the readiness to say.
            database: database.and_then(|address| {
                let name = Address::parse(address.expose()).ok()?.database().to_owned();
                Some(Database {
                    address: address.clone(),
                    name,
                    limits: None,
                    ask: true,
                })
            }),
            settings,
            metrics,
            was_up: None,
            told: Vec::new(),
        })
    }

    /// For ever.
    pub async fn watch(mut self) {
        loop {
            let read = self.console.read(DEADLINE).await;
            let up = read.is_ok();
            let changed = self.was_up.replace(up) != Some(up);
            match read {
                Ok(snapshot) => {
                    if changed {
                        let version = snapshot.version().unwrap_or("an unknown version");
                        info!(version, "PgBouncer's console answers");
                    }
                    self.metrics.up(&snapshot);
                    self.compare(&snapshot).await;
                }
                Err(error) => {
                    self.metrics.down();
                    if changed {
                        warn!(%error, "PgBouncer's console doesn't answer: no metrics of it, asking on");
                    }
                    if let Some(database) = &mut self.database {
                        database.ask = true;
                    }
                }
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Warns of what doesn't fit and wasn't told before.
    async fn compare(&mut self, snapshot: &Snapshot) {
        let Some(database) = &mut self.database else {
            return;
        };
        database.ask_limits().await;
        let found = misfits(&self.settings, &database.name, snapshot, database.limits);
        for misfit in found.iter().filter(|misfit| !self.told.contains(misfit)) {
            warn!("{misfit}");
        }
        if found.is_empty() && !self.told.is_empty() {
            info!("the sizes of the pool, PgBouncer and PostgreSQL fit now");
        }
        self.told = found;
    }
}

// === impl Database ===

impl Database {
    /// Again at the next reading if there is no answer. What was known until then goes on to count.
    async fn ask_limits(&mut self) {
        if !self.ask {
            return;
        }
        match ServerLimits::ask(self.address.expose(), DEADLINE).await {
            Ok(limits) => {
                self.limits = limits;
                self.ask = false;
            }
            // That the database doesn't answer is for the readiness to say.
            Err(error) => debug!(%error, "PostgreSQL didn't say how many connections it takes"),
        }
    }
}
