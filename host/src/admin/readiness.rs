//! Whether requests can be served: the database that the manifest names answers `SELECT 1` in time, and the host isn't draining.
//!
//! Asked in the background, so that `/readyz` is free, and logged only when the answer changes.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tracing::{info, warn};

use crate::database::{DatabaseError, Pools};
use crate::manifest::Secret;

/// How long the database has to answer. `pg_isready` would not do: PgBouncer says yes while PostgreSQL is down.
const DEADLINE: Duration = Duration::from_secs(1);
/// Between two questions.
const EVERY: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub struct Readiness {
    /// Why not, or `None`.
    database: RwLock<Option<String>>,
    draining: AtomicBool,
}

// === impl Readiness ===

impl Readiness {
    /// Not ready before `database` has answered; ready from the start if the app names none.
    pub fn new(database: Option<&Secret>) -> Arc<Self> {
        Arc::new(Self {
            database: RwLock::new(
                database.map(|_| "The database hasn't been asked yet.".to_owned()),
            ),
            draining: AtomicBool::new(false),
        })
    }

    /// Asks the database for ever.
    pub async fn watch(self: Arc<Self>, pools: Arc<Pools>, database: Secret) {
        let mut was_up = None;
        loop {
            let answer = match pools.check(database.expose(), DEADLINE).await {
                // A connection that has just been ended says nothing about the next one.
                Err(DatabaseError::Lost(_)) => pools.check(database.expose(), DEADLINE).await,
                answer => answer,
            };
            let up = answer.is_ok();
            if was_up.replace(up) != Some(up) {
                match &answer {
                    Ok(()) => info!("the database answers"),
                    Err(error) => {
                        warn!(%error, "the database doesn't answer: not ready, asking on")
                    }
                }
            }
            let why = answer
                .err()
                .map(|error| format!("The database doesn't answer: {error}."));
            *self
                .database
                .write()
                .unwrap_or_else(PoisonError::into_inner) = why;
            tokio::time::sleep(EVERY).await;
        }
    }

    /// Not ready from now on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// `Err` says why not.
    pub fn check(&self) -> Result<(), String> {
        if self.is_draining() {
            return Err("Draining: the host is about to end.".to_owned());
        }
        match &*self.database.read().unwrap_or_else(PoisonError::into_inner) {
            Some(why) => Err(why.clone()),
            None => Ok(()),
        }
    }
}
