//! What became of new versions, and of reading the manifest again.
//!
//! | metric | labels |
//! |---|---|
//! | `flowviz_function_swaps_total` | `function`, `result` |
//! | `flowviz_function_swap_duration_seconds` | `function` |
//! | `flowviz_app_reloads_total` | `result` |
//! | `flowviz_admin_requests_total` | `status` |

use std::time::Duration;

use http::StatusCode;
use prometheus::{HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

/// Seconds. From one whose compiled form is there, to a large one that is compiled beside a load.
const DURATION_BUCKETS: &[f64] = &[
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0,
];

/// These are there before the first of them.
const STATUSES_FROM_START: [StatusCode; 8] = [
    StatusCode::OK,
    StatusCode::BAD_REQUEST,
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::NOT_FOUND,
    StatusCode::CONFLICT,
    StatusCode::UNPROCESSABLE_ENTITY,
    StatusCode::INSUFFICIENT_STORAGE,
];

/// What became of a new version, as the label `result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    Swapped,
    RolledBack,
    /// What was live is live.
    Rejected,
}

/// The metric families.
#[derive(Clone, Debug)]
pub struct DeployMetrics {
    swaps: IntCounterVec,
    duration: HistogramVec,
    reloads: IntCounterVec,
    requests: IntCounterVec,
}

// === impl Swap ===

impl Swap {
    const ALL: [Self; 3] = [Self::Swapped, Self::RolledBack, Self::Rejected];

    fn as_str(self) -> &'static str {
        match self {
            Self::Swapped => "swapped",
            Self::RolledBack => "rolled_back",
            Self::Rejected => "rejected",
        }
    }
}

// === impl DeployMetrics ===

impl DeployMetrics {
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            swaps: IntCounterVec::new(
                Opts::new(
                    "flowviz_function_swaps_total",
                    "New versions of a function, by what became of them.",
                ),
                &["function", "result"],
            )?,
            duration: HistogramVec::new(
                HistogramOpts::new(
                    "flowviz_function_swap_duration_seconds",
                    "From a new version's last byte to its first request.",
                )
                .buckets(DURATION_BUCKETS.to_vec()),
                &["function"],
            )?,
            reloads: IntCounterVec::new(
                Opts::new(
                    "flowviz_app_reloads_total",
                    "Times that the manifest was read again, by whether it was applied.",
                ),
                &["result"],
            )?,
            requests: IntCounterVec::new(
                Opts::new(
                    "flowviz_admin_requests_total",
                    "Requests to the admin API, /functions and /app, by status.",
                ),
                &["status"],
            )?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.swaps.clone()))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        registry.register(Box::new(metrics.reloads.clone()))?;
        for applied in [true, false] {
            metrics.reloads.with_label_values(&[reloaded(applied)]);
        }
        for status in STATUSES_FROM_START {
            metrics.requests.with_label_values(&[status.as_str()]);
        }
        Ok(metrics)
    }

    pub fn request(&self, status: StatusCode) {
        self.requests.with_label_values(&[status.as_str()]).inc();
    }

    /// A function's series are there from now on.
    pub fn start_at_zero(&self, function: &str) {
        for swap in Swap::ALL {
            self.swaps.with_label_values(&[function, swap.as_str()]);
        }
        self.duration.with_label_values(&[function]);
    }

    pub fn swap(&self, function: &str, swap: Swap) {
        self.swaps
            .with_label_values(&[function, swap.as_str()])
            .inc();
    }

    pub fn took(&self, function: &str, time: Duration) {
        self.duration
            .with_label_values(&[function])
            .observe(time.as_secs_f64());
    }

    pub fn reload(&self, applied: bool) {
        self.reloads.with_label_values(&[reloaded(applied)]).inc();
    }
}

fn reloaded(applied: bool) -> &'static str {
    if applied { "applied" } else { "rejected" }
}
