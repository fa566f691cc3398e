//! The versions of the functions: which there are, and how each one does, so that a new one can be seen beside the one before.
//!
//! | metric | labels |
//! |---|---|
//! | `flowviz_function_info` | `function`, `version`, `state` |
//! | `flowviz_function_version_requests_total` | `function`, `version`, `result` |
//! | `flowviz_function_version_request_seconds_total` | `function`, `version` |
//!
//! A version's series are there for as long as it is: versions come without end, their series must not stay.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use prometheus::{Counter, CounterVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry};

/// The metric families.
#[derive(Clone, Debug)]
pub struct VersionMetrics {
    info: IntGaugeVec,
    requests: IntCounterVec,
    seconds: CounterVec,
    /// How many there are of each: a version can be replaced by another and be live again before its last request has ended.
    held: Arc<Mutex<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    /// By function and version.
    versions: HashMap<[String; 2], usize>,
    /// By function, version and state.
    states: HashMap<[String; 3], usize>,
}

/// The versions of one function.
#[derive(Clone, Debug)]
pub struct FunctionVersions {
    function: String,
    families: VersionMetrics,
}

/// One version of a function; without series until it is live. Dropping it ends them.
#[derive(Debug)]
pub struct VersionSeries {
    function: String,
    version: String,
    families: VersionMetrics,
    state: Mutex<Option<&'static str>>,
    counters: OnceLock<Counters>,
}

#[derive(Debug)]
struct Counters {
    ok: IntCounter,
    failed: IntCounter,
    seconds: Counter,
}

// === impl VersionMetrics ===

impl VersionMetrics {
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            info: IntGaugeVec::new(
                Opts::new(
                    "flowviz_function_info",
                    "Which versions of a function there are: the live one, and those that end the requests that they have; always 1.",
                ),
                &["function", "version", "state"],
            )?,
            requests: IntCounterVec::new(
                Opts::new(
                    "flowviz_function_version_requests_total",
                    "Requests that a version served; failed: answered 5xx.",
                ),
                &["function", "version", "result"],
            )?,
            seconds: CounterVec::new(
                Opts::new(
                    "flowviz_function_version_request_seconds_total",
                    "Duration of the requests that a version served.",
                ),
                &["function", "version"],
            )?,
            held: Arc::default(),
        };
        registry.register(Box::new(metrics.info.clone()))?;
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.seconds.clone()))?;
        Ok(metrics)
    }

    pub fn for_function(&self, function: &str) -> FunctionVersions {
        FunctionVersions {
            function: function.to_owned(),
            families: self.clone(),
        }
    }

    fn hold(&self, labels: [String; 3]) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        self.info.with_label_values(&labels).set(1);
        *held.states.entry(labels).or_default() += 1;
    }

    fn release(&self, labels: &[String; 3]) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if was_last(&mut held.states, labels) {
            // It is there.
            _ = self.info.remove_label_values(labels);
        }
    }

    fn count(&self, version: [String; 2]) -> Counters {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        let [function, name] = &version;
        let requests = |result: &str| {
            self.requests
                .with_label_values(&[function.as_str(), name.as_str(), result])
        };
        let counters = Counters {
            ok: requests("ok"),
            failed: requests("failed"),
            seconds: self.seconds.with_label_values(&version),
        };
        *held.versions.entry(version).or_default() += 1;
        counters
    }

    fn forget(&self, version: &[String; 2]) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if was_last(&mut held.versions, version) {
            let [function, name] = version;
            for result in ["ok", "failed"] {
                let labels = [function.as_str(), name.as_str(), result];
                _ = self.requests.remove_label_values(&labels);
            }
            _ = self.seconds.remove_label_values(version);
        }
    }
}

/// Whether nobody holds it any more, now that one has let go of it.
fn was_last<K: Eq + Hash>(held: &mut HashMap<K, usize>, key: &K) -> bool {
    let Some(count) = held.get_mut(key) else {
        return false;
    };
    *count -= 1;
    let last = *count == 0;
    if last {
        held.remove(key);
    }
    last
}

// === impl FunctionVersions ===

impl FunctionVersions {
    /// `version` is a short digest.
    pub fn of(&self, version: &str) -> Arc<VersionSeries> {
        Arc::new(VersionSeries {
            function: self.function.clone(),
            version: version.to_owned(),
            families: self.families.clone(),
            state: Mutex::default(),
            counters: OnceLock::new(),
        })
    }
}

// === impl VersionSeries ===

impl VersionSeries {
    /// A short digest.
    pub fn version(&self) -> &str {
        &self.version
    }

    pub fn live(&self) {
        self.counters.get_or_init(|| {
            self.families
                .count([self.function.clone(), self.version.clone()])
        });
        self.change(Some("live"));
    }

    pub fn draining(&self) {
        self.change(Some("draining"));
    }

    /// One of its requests has ended.
    pub fn observe(&self, failed: bool, took: Duration) {
        if let Some(counters) = self.counters.get() {
            let result = if failed {
                &counters.failed
            } else {
                &counters.ok
            };
            result.inc();
            counters.seconds.inc_by(took.as_secs_f64());
        }
    }

    fn change(&self, to: Option<&'static str>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *state == to {
            return;
        }
        let labels = |state: &str| [&*self.function, &*self.version, state].map(str::to_owned);
        if let Some(state) = to {
            self.families.hold(labels(state));
        }
        if let Some(state) = std::mem::replace(&mut *state, to) {
            self.families.release(&labels(state));
        }
    }
}

impl Drop for VersionSeries {
    fn drop(&mut self) {
        self.change(None);
        if self.counters.get().is_some() {
            self.families
                .forget(&[self.function.clone(), self.version.clone()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::tests::text;

    #[test]
    fn a_version_has_series_for_as_long_as_it_is_there() {
        let registry = Registry::new();
        let metrics = VersionMetrics::register(&registry).unwrap();
        let versions = metrics.for_function("lot");
        let info = |version: &str, state: &str| {
            let line = format!(
                r#"flowviz_function_info{{function="lot",state="{state}",version="{version}"}} 1"#
            );
            text(&registry).contains(&line)
        };
        let (old, new) = (versions.of("aaa"), versions.of("bbb"));
        old.live();
        assert!(info("aaa", "live") && !info("bbb", "live"));
        new.live();
        old.draining();
        assert!(info("bbb", "live") && info("aaa", "draining") && !info("aaa", "live"));

        // Live again, and replaced again, before its first requests have ended.
        let again = versions.of("aaa");
        again.live();
        again.observe(true, Duration::from_millis(500));
        again.draining();
        drop(old);
        assert!(info("aaa", "draining"));
        assert!(text(&registry).contains(
            r#"flowviz_function_version_requests_total{function="lot",result="failed",version="aaa"} 1"#
        ));
        drop(again);
        assert!(!text(&registry).contains("aaa"));
        assert!(text(&registry).contains(
            r#"flowviz_function_version_request_seconds_total{function="lot",version="bbb"} 0"#
        ));
    }
}
