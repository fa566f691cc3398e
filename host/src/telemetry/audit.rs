//! The audit trail, as the host found it when it checked last. Nothing is served before the first check.
//!
//! | metric | what |
//! |---|---|
//! | `flowviz_audit_chain_intact` | 1: the chain of hashes holds; 0: it is broken |
//! | `flowviz_audit_chain_events` | events that hold |
//! | `flowviz_audit_chain_checked_timestamp_seconds` | when |

use std::sync::OnceLock;
use std::time::{SystemTime, UNIX_EPOCH};

use prometheus::{Gauge, IntGauge, Registry};

#[derive(Debug)]
pub struct AuditMetrics {
    registry: Registry,
    gauges: OnceLock<Gauges>,
}

#[derive(Debug)]
struct Gauges {
    intact: IntGauge,
    events: IntGauge,
    checked: Gauge,
}

// === impl AuditMetrics ===

impl AuditMetrics {
    pub fn new(registry: &Registry) -> Self {
        Self {
            registry: registry.clone(),
            gauges: OnceLock::new(),
        }
    }

    /// A check came to its end.
    pub fn checked(&self, holds: bool, events: i64) {
        if self.gauges.get().is_none() {
            match Gauges::register(&self.registry) {
                Ok(gauges) => _ = self.gauges.set(gauges),
                Err(error) => {
                    tracing::warn!(%error, "the audit trail's metrics can't be served");
                    return;
                }
            }
        }
        if let Some(gauges) = self.gauges.get() {
            gauges.intact.set(holds.into());
            gauges.events.set(events);
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            gauges.checked.set(now.unwrap_or_default().as_secs_f64());
        }
    }
}

// === impl Gauges ===

impl Gauges {
    fn register(registry: &Registry) -> prometheus::Result<Self> {
        let gauges = Self {
            intact: IntGauge::new(
                "flowviz_audit_chain_intact",
                "Whether the audit trail's chain of hashes holds.",
            )?,
            events: IntGauge::new(
                "flowviz_audit_chain_events",
                "Audit events that hold: all, or those before the fault.",
            )?,
            checked: Gauge::new(
                "flowviz_audit_chain_checked_timestamp_seconds",
                "When the audit trail was checked last.",
            )?,
        };
        registry.register(Box::new(gauges.intact.clone()))?;
        registry.register(Box::new(gauges.events.clone()))?;
        registry.register(Box::new(gauges.checked.clone()))?;
        Ok(gauges)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::tests::text;

    #[test]
    fn nothing_is_said_before_it_is_known() {
        let registry = Registry::new();
        let metrics = AuditMetrics::new(&registry);
        assert_eq!(text(&registry), "");
        metrics.checked(true, 7);
        assert!(text(&registry).contains("flowviz_audit_chain_intact 1"));
        metrics.checked(false, 3);
        assert!(text(&registry).contains("flowviz_audit_chain_intact 0"));
        assert!(text(&registry).contains("flowviz_audit_chain_events 3"));
    }
}
