//! What the functions' instances cost: instantiation, instances, CPU and memory, and the wait for a place.

use std::sync::Arc;
use std::time::Duration;

use prometheus::{
    Counter, CounterVec, Histogram, HistogramOpts, HistogramVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

use super::recording;
use super::versions::{FunctionVersions, VersionMetrics};

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
    versions: VersionMetrics,
}

/// One function's handles.
#[derive(Debug)]
pub struct FunctionRuntimeMetrics {
    instantiation: Histogram,
    busy: IntGauge,
    idle: IntGauge,
    cpu: Counter,
    memory: Histogram,
    queue_wait: Histogram,
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
            versions: VersionMetrics::register(registry)?,
        };
        registry.register(Box::new(metrics.instantiation.clone()))?;
        registry.register(Box::new(metrics.instances.clone()))?;
        registry.register(Box::new(metrics.cpu.clone()))?;
        registry.register(Box::new(metrics.memory.clone()))?;
        registry.register(Box::new(metrics.queue_wait.clone()))?;
        Ok(metrics)
    }

    pub fn for_function(&self, function: &str) -> prometheus::Result<Arc<FunctionRuntimeMetrics>> {
        Ok(Arc::new(FunctionRuntimeMetrics {
            instantiation: self
                .instantiation
                .get_metric_with_label_values(&[function])?,
            busy: self
                .instances
                .get_metric_with_label_values(&[function, "busy"])?,
            idle: self
                .instances
                .get_metric_with_label_values(&[function, "idle"])?,
            cpu: self.cpu.get_metric_with_label_values(&[function])?,
            memory: self.memory.get_metric_with_label_values(&[function])?,
            queue_wait: self.queue_wait.get_metric_with_label_values(&[function])?,
        }))
    }

    pub fn versions(&self, function: &str) -> FunctionVersions {
        self.versions.for_function(function)
    }
}

// === impl FunctionRuntimeMetrics ===

impl FunctionRuntimeMetrics {
    /// Making an instance took so long; it is idle.
    pub fn made(&self, took: Duration) {
        if recording() {
            self.instantiation.observe(took.as_secs_f64());
            self.idle.inc();
        }
    }

    /// An idle instance got a request.
    pub fn begins(&self) {
        if recording() {
            self.idle.dec();
            self.busy.inc();
        }
    }

    /// A busy instance has nothing to do.
    pub fn rests(&self) {
        if recording() {
            self.busy.dec();
            self.idle.inc();
        }
    }

    /// The guest, with the calls that it makes, used the CPU for so many seconds.
    pub fn used(&self, cpu: f64) {
        if recording() {
            self.cpu.inc_by(cpu);
        }
    }

    /// An idle instance is gone, whose memory had so many bytes.
    pub fn gone(&self, memory: usize) {
        if recording() {
            self.idle.dec();
            self.memory.observe(memory as f64);
        }
    }

    /// A request waited for a place below `max_concurrency`.
    pub fn queued(&self, wait: Duration) {
        if recording() {
            self.queue_wait.observe(wait.as_secs_f64());
        }
    }
}
