//! What the functions' instances cost: instantiation, instances, CPU and memory, and the wait for a place.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{
    Counter, CounterVec, Histogram, HistogramOpts, HistogramVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

/// Seconds, from 1 us: a warm slot of the pooling allocator is ready in tens of microseconds.
const INSTANTIATION_BUCKETS: &[f64] = &[
    1e-6, 1e-5, 2.5e-5, 5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 1e-2, 1e-1, 1.0,
];
/// Bytes: from one WebAssembly page to 1 GiB.
const MEMORY_BUCKETS: &[f64] = &[
    65_536.0,
    262_144.0,
    1_048_576.0,
    2_097_152.0,
    4_194_304.0,
    8_388_608.0,
    16_777_216.0,
    33_554_432.0,
    67_108_864.0,
    134_217_728.0,
    268_435_456.0,
    1_073_741_824.0,
];
/// Seconds.
const QUEUE_BUCKETS: &[f64] = &[
    0.0001, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The metric families.
#[derive(Clone, Debug)]
pub struct RuntimeMetrics {
    instantiation: HistogramVec,
    instances: IntGaugeVec,
    cpu: CounterVec,
    memory: HistogramVec,
    queue_wait: HistogramVec,
    info: VersionInfo,
}

/// One function's handles.
#[derive(Debug)]
pub struct FunctionRuntimeMetrics {
    /// Seconds that making an instance took.
    pub instantiation: Histogram,
    pub instances_busy: IntGauge,
    pub instances_idle: IntGauge,
    /// Seconds of CPU that the guest's own code used.
    pub cpu: Counter,
    /// Bytes of linear memory that an instance had at its end.
    pub memory: Histogram,
    /// Seconds that a request waited for a place below `max_concurrency`.
    pub queue_wait: Histogram,
}

/// Which versions there are. Each series is there for as long as somebody is in that state.
#[derive(Clone, Debug)]
struct VersionInfo {
    gauge: IntGaugeVec,
    /// How many there are of each: a version can be replaced by another and be live again before its last request has ended.
    held: Arc<Mutex<HashMap<[String; 3], usize>>>,
}

/// The versions of one function.
#[derive(Clone, Debug)]
pub struct FunctionVersions {
    function: String,
    info: VersionInfo,
}

/// One version of a function, in `flowviz_function_info`; not there until it is live. Dropping it ends its series.
#[derive(Debug)]
pub struct VersionSeries {
    function: String,
    version: String,
    info: VersionInfo,
    state: Mutex<Option<&'static str>>,
}

// === impl RuntimeMetrics ===

impl RuntimeMetrics {
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let histogram = |name: &str, help: &str, buckets: &[f64]| {
            HistogramVec::new(
                HistogramOpts::new(name, help).buckets(buckets.to_vec()),
                &["function"],
            )
        };
        let metrics = Self {
            instantiation: histogram(
                "flowviz_function_instantiation_seconds",
                "Time to make an instance of the function.",
                INSTANTIATION_BUCKETS,
            )?,
            instances: IntGaugeVec::new(
                Opts::new(
                    "flowviz_function_instances",
                    "Live instances; busy: with a request in flight.",
                ),
                &["function", "state"],
            )?,
            cpu: CounterVec::new(
                Opts::new(
                    "flowviz_function_cpu_seconds_total",
                    "CPU time used by the function and the calls that it makes, without its waits.",
                ),
                &["function"],
            )?,
            memory: histogram(
                "flowviz_function_memory_bytes",
                "High-water mark of an instance's linear memory, observed at its end.",
                MEMORY_BUCKETS,
            )?,
            queue_wait: histogram(
                "flowviz_function_queue_wait_seconds",
                "Wait of a request for a place below max_concurrency.",
                QUEUE_BUCKETS,
            )?,
            info: VersionInfo::new()?,
        };
        registry.register(Box::new(metrics.instantiation.clone()))?;
        registry.register(Box::new(metrics.instances.clone()))?;
        registry.register(Box::new(metrics.cpu.clone()))?;
        registry.register(Box::new(metrics.memory.clone()))?;
        registry.register(Box::new(metrics.queue_wait.clone()))?;
        registry.register(Box::new(metrics.info.gauge.clone()))?;
        Ok(metrics)
    }

    pub fn for_function(&self, function: &str) -> prometheus::Result<Arc<FunctionRuntimeMetrics>> {
        Ok(Arc::new(FunctionRuntimeMetrics {
            instantiation: self
                .instantiation
                .get_metric_with_label_values(&[function])?,
            instances_busy: self
                .instances
                .get_metric_with_label_values(&[function, "busy"])?,
            instances_idle: self
                .instances
                .get_metric_with_label_values(&[function, "idle"])?,
            cpu: self.cpu.get_metric_with_label_values(&[function])?,
            memory: self.memory.get_metric_with_label_values(&[function])?,
            queue_wait: self.queue_wait.get_metric_with_label_values(&[function])?,
        }))
    }

    pub fn versions(&self, function: &str) -> FunctionVersions {
        FunctionVersions {
            function: function.to_owned(),
            info: self.info.clone(),
        }
    }
}

// === impl VersionInfo ===

impl VersionInfo {
    fn new() -> prometheus::Result<Self> {
        Ok(Self {
            gauge: IntGaugeVec::new(
                Opts::new(
                    "flowviz_function_info",
                    "Which versions of a function there are: the live one, and those that end the requests that they have; always 1.",
                ),
                &["function", "version", "state"],
            )?,
            held: Arc::default(),
        })
    }

    fn hold(&self, labels: [String; 3]) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        self.gauge.with_label_values(&labels).set(1);
        *held.entry(labels).or_default() += 1;
    }

    fn release(&self, labels: &[String; 3]) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = held.get_mut(labels) {
            *count -= 1;
            if *count == 0 {
                held.remove(labels);
                // It is there.
                _ = self.gauge.remove_label_values(labels);
            }
        }
    }
}

// === impl FunctionVersions ===

impl FunctionVersions {
    /// `version` is a short digest.
    pub fn of(&self, version: &str) -> VersionSeries {
        VersionSeries {
            function: self.function.clone(),
            version: version.to_owned(),
            info: self.info.clone(),
            state: Mutex::default(),
        }
    }
}

// === impl VersionSeries ===

impl VersionSeries {
    pub fn live(&self) {
        self.change(Some("live"));
    }

    pub fn draining(&self) {
        self.change(Some("draining"));
    }

    fn change(&self, to: Option<&'static str>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *state == to {
            return;
        }
        let labels = |state: &str| [&*self.function, &*self.version, state].map(str::to_owned);
        if let Some(state) = to {
            self.info.hold(labels(state));
        }
        if let Some(state) = std::mem::replace(&mut *state, to) {
            self.info.release(&labels(state));
        }
    }
}

impl Drop for VersionSeries {
    fn drop(&mut self) {
        self.change(None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::tests::text;

    #[test]
    fn a_version_has_a_series_for_as_long_as_it_is_there() {
        let registry = Registry::new();
        let versions = RuntimeMetrics::register(&registry).unwrap().versions("lot");
        let series = |version: &str, state: &str| {
            let line = format!(
                r#"flowviz_function_info{{function="lot",state="{state}",version="{version}"}} 1"#
            );
            text(&registry).contains(&line)
        };
        let (old, new) = (versions.of("aaa"), versions.of("bbb"));
        old.live();
        assert!(series("aaa", "live") && !series("bbb", "live"));
        new.live();
        old.draining();
        assert!(series("bbb", "live") && series("aaa", "draining") && !series("aaa", "live"));

        // Live again, and replaced again, before its first requests have ended.
        let again = versions.of("aaa");
        again.live();
        again.draining();
        drop(old);
        assert!(series("aaa", "draining"));
        drop(again);
        assert!(!text(&registry).contains("aaa"));
    }
}
