//! What the host tells of itself: metric families (one file per family) and logs.
//!
//! Names, labels and units are an interface that dashboards and alerts depend on; `docs/metrics.md` lists them. Handles are resolved
//! once, when a function is loaded, and never looked up by string while a request runs.

pub mod access;
pub mod audit;
pub mod business;
pub mod database;
pub mod deploy;
pub mod log_writer;
pub mod logs;
pub mod pgbouncer;
pub mod red;
pub mod runtime;
pub mod versions;

use std::sync::atomic::{AtomicBool, Ordering};

use prometheus::core::Collector;
use prometheus::{Encoder, IntGaugeVec, Opts, Registry, TextEncoder};

pub use audit::AuditMetrics;
pub use business::BusinessMetrics;
pub use database::DatabaseMetrics;
pub use deploy::DeployMetrics;
pub use pgbouncer::PgBouncerMetrics;
pub use red::RedMetrics;
pub use runtime::RuntimeMetrics;

static RECORDING: AtomicBool = AtomicBool::new(true);

/// From now on requests leave nothing in the metrics: to find out what recording costs, or where nobody reads them. Before the
/// first request, since a gauge that went up must come down.
pub fn stop_recording() {
    RECORDING.store(false, Ordering::Relaxed);
}

fn recording() -> bool {
    RECORDING.load(Ordering::Relaxed)
}

/// Every family the host serves, registered in one registry of its own.
#[derive(Debug)]
pub struct Telemetry {
    registry: Registry,
    pub red: RedMetrics,
    pub runtime: RuntimeMetrics,
    pub database: DatabaseMetrics,
    pub pgbouncer: PgBouncerMetrics,
    pub business: BusinessMetrics,
    pub deploy: DeployMetrics,
}

// === impl Telemetry ===

impl Telemetry {
    pub fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let build_info = IntGaugeVec::new(
            Opts::new("flowviz_build_info", "Which host this is; always 1."),
            &["version"],
        )?;
        build_info
            .with_label_values(&[env!("CARGO_PKG_VERSION")])
            .set(1);
        registry.register(Box::new(build_info))?;
        registry.register(Box::new(
            prometheus::process_collector::ProcessCollector::for_self(),
        ))?;
        Ok(Self {
            red: RedMetrics::register(&registry)?,
            runtime: RuntimeMetrics::register(&registry)?,
            database: DatabaseMetrics::register(&registry)?,
            pgbouncer: PgBouncerMetrics::register(&registry)?,
            business: BusinessMetrics::register(&registry)?,
            deploy: DeployMetrics::register(&registry)?,
            registry,
        })
    }

    /// Of the audit trail, which not every application has.
    pub fn audit(&self) -> AuditMetrics {
        AuditMetrics::new(&self.registry)
    }

    /// One more family, which others fill.
    pub fn register(&self, family: Box<dyn Collector>) -> prometheus::Result<()> {
        self.registry.register(family)
    }

    /// Everything, in Prometheus' text format. Its content type is [`prometheus::TEXT_FORMAT`]. `None`: nothing is recorded.
    pub fn encode(&self) -> prometheus::Result<Option<Vec<u8>>> {
        if !recording() {
            return Ok(None);
        }
        let mut text = Vec::with_capacity(64 * 1024);
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(Some(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a scrape of `registry` says.
    pub fn text(registry: &Registry) -> String {
        let mut out = Vec::new();
        TextEncoder::new()
            .encode(&registry.gather(), &mut out)
            .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_scrape_tells_which_host_this_is() {
        let scrape = Telemetry::new().unwrap().encode().unwrap().unwrap();
        let scrape = String::from_utf8(scrape).unwrap();
        let version = env!("CARGO_PKG_VERSION");
        assert!(scrape.contains(&format!(r#"flowviz_build_info{{version="{version}"}} 1"#)));
    }
}
