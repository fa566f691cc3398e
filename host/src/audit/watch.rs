//! The trail, checked again and again while the host serves (`audit_every`).
//!
//! Each check knows the head that the one before found: a chain whose end was cut off, or that was made anew, is found as well, for as
//! long as this process lives. Beyond that, [note the head](../../../docs/audit.md): each new one is in the log.

use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval_at};
use tracing::{error, info, warn};

use super::{Noted, verify};
use crate::manifest::Secret;
use crate::telemetry::AuditMetrics;

/// The host serves first.
const FIRST_AFTER: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct AuditWatch {
    pub database: Secret,
    pub every: Duration,
    pub metrics: AuditMetrics,
}

impl AuditWatch {
    /// For ever.
    pub async fn watch(self) {
        let mut ticks = interval_at(Instant::now() + FIRST_AFTER.min(self.every), self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut noted = Noted::default();
        let mut held = true;
        loop {
            ticks.tick().await;
            let verdict = match verify(&self.database, noted, |_, _| {}).await {
                Ok(verdict) => verdict,
                Err(error) => {
                    warn!(%error, "the audit trail couldn't be checked");
                    continue;
                }
            };
            self.metrics.checked(verdict.holds, verdict.events);
            if let Some(broken) = &verdict.broken {
                error!(%broken, holds = verdict.events, "the audit trail is not what was written");
            } else {
                if !held {
                    info!(events = verdict.events, "the audit trail holds again");
                }
                if noted.head != Some(verdict.head) {
                    info!(head = %verdict.head, events = verdict.events, "the audit trail holds");
                }
                // What was noted before a fault goes on to count.
                noted = Noted {
                    head: Some(verdict.head),
                    at_least: Some(verdict.events),
                };
            }
            held = verdict.holds;
        }
    }
}
