//! Rate, errors and duration per function, observed at the gateway until the response body has ended.
//!
//! | metric | labels |
//! |---|---|
//! | `http_requests_total` | `function`, `route`, `method`, `status` |
//! | `http_request_duration_seconds` | `function`, `method` |
//! | `http_requests_in_flight` | `function` |
//! | `flowviz_function_errors_total` | `function`, `reason` |

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};

use super::access::{Asked, Line};
use super::recording;
use super::versions::VersionSeries;

/// Seconds. 0.5 and 1 are edges because the service objectives are stated at them.
const DURATION_BUCKETS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The `function` and `route` of a request that matches no route.
pub const NONE: &str = "none";

/// The `route` of the host's own calls. A route of the manifest starts with a slash.
pub const PRIVATE: &str = "private";

/// Success, and what the host itself can answer for a function: these series exist from the first scrape.
const STATUSES_FROM_START: [StatusCode; 6] = [
    StatusCode::OK,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::SERVICE_UNAVAILABLE,
    StatusCode::GATEWAY_TIMEOUT,
];

/// A client that went away before the response's head: no status was sent. The number is the one that nginx made customary.
pub const CLIENT_CLOSED_REQUEST: u16 = 499;

/// Why a request to a function failed, as the label `reason`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The guest trapped: a panic, an out-of-bounds access, an unreachable.
    Trap,
    /// The wall-clock `timeout` was over.
    Timeout,
    /// The request used more CPU time than `cpu_limit`.
    CpuLimit,
    /// The instance asked for more than `memory_limit`.
    MemoryLimit,
    /// No instance could be made.
    Instantiation,
    /// `max_concurrency` and `queue` were full, or the wait in the queue was over.
    Overload,
    /// The client went away before the response's end.
    ClientDisconnect,
    /// The function failed (5xx) after the database was unreachable or saturated.
    Database,
    /// The function gave the host an error code in place of a response.
    Error,
}

/// The metric families.
#[derive(Clone, Debug)]
pub struct RedMetrics {
    requests: IntCounterVec,
    duration: HistogramVec,
    in_flight: IntGaugeVec,
    errors: IntCounterVec,
}

/// One route's handles.
pub struct RouteMetrics {
    function: String,
    route: String,
    families: RedMetrics,
    methods: [OnceLock<MethodMetrics>; METHODS.len()],
    in_flight: IntGauge,
    errors: [IntCounter; Reason::ALL.len()],
}

struct MethodMetrics {
    duration: Histogram,
    /// By status code, from 100.
    requests: Vec<OnceLock<IntCounter>>,
}

/// A request in flight. Dropping it counts and logs the request, so that none is forgotten on any way out.
#[derive(Debug)]
pub struct Observation {
    route: Arc<RouteMetrics>,
    method: usize,
    started: Instant,
    status: u16,
    failure: Option<Reason>,
    asked: Asked,
    /// `None` before one has it.
    version: Option<Arc<VersionSeries>>,
}

/// The methods with a series of their own, by index. The last one stands for all others.
const METHODS: [&str; 9] = [
    "GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "other",
];
const OTHER: usize = METHODS.len() - 1;

// === impl Reason ===

impl Reason {
    const ALL: [Self; 9] = [
        Self::Trap,
        Self::Timeout,
        Self::CpuLimit,
        Self::MemoryLimit,
        Self::Instantiation,
        Self::Overload,
        Self::ClientDisconnect,
        Self::Database,
        Self::Error,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Timeout => "timeout",
            Self::CpuLimit => "cpu_limit",
            Self::MemoryLimit => "memory_limit",
            Self::Instantiation => "instantiation",
            Self::Overload => "overload",
            Self::ClientDisconnect => "client_disconnect",
            Self::Database => "database",
            Self::Error => "error",
        }
    }
}

// === impl RedMetrics ===

impl RedMetrics {
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            requests: IntCounterVec::new(
                Opts::new(
                    "http_requests_total",
                    "Requests, by function, route, method and exact status; 499: the client left before the response.",
                ),
                &["function", "route", "method", "status"],
            )?,
            duration: HistogramVec::new(
                HistogramOpts::new(
                    "http_request_duration_seconds",
                    "From the request's head to the end of the response's body.",
                )
                .buckets(DURATION_BUCKETS.to_vec()),
                &["function", "method"],
            )?,
            in_flight: IntGaugeVec::new(
                Opts::new(
                    "http_requests_in_flight",
                    "Requests whose response has not ended.",
                ),
                &["function"],
            )?,
            errors: IntCounterVec::new(
                Opts::new(
                    "flowviz_function_errors_total",
                    "Requests that a function or its limits failed, by reason.",
                ),
                &["function", "reason"],
            )?,
        };
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        registry.register(Box::new(metrics.in_flight.clone()))?;
        registry.register(Box::new(metrics.errors.clone()))?;
        Ok(metrics)
    }

    /// The handles of one route of a function. `methods` are those known to be used: their series exist from now on.
    pub fn for_route(
        &self,
        function: &str,
        route: &str,
        methods: &[Method],
    ) -> prometheus::Result<Arc<RouteMetrics>> {
        let mut errors = Vec::with_capacity(Reason::ALL.len());
        for reason in Reason::ALL {
            errors.push(
                self.errors
                    .get_metric_with_label_values(&[function, reason.as_str()])?,
            );
        }
        let Ok(errors) = errors.try_into() else {
            return Err(prometheus::Error::Msg("one counter per reason".to_owned()));
        };
        let metrics = Arc::new(RouteMetrics {
            function: function.to_owned(),
            route: route.to_owned(),
            families: self.clone(),
            methods: Default::default(),
            in_flight: self.in_flight.get_metric_with_label_values(&[function])?,
            errors,
        });
        for method in methods {
            for status in STATUSES_FROM_START {
                metrics.count(method_index(method), status.as_u16(), 0);
            }
        }
        Ok(metrics)
    }
}

// === impl RouteMetrics ===

impl RouteMetrics {
    /// Starts observing a request that arrived at `started`.
    pub fn observe(
        self: &Arc<Self>,
        method: &Method,
        asked: Asked,
        started: Instant,
    ) -> Observation {
        if recording() {
            self.in_flight.inc();
        }
        Observation {
            route: Arc::clone(self),
            method: method_index(method),
            started,
            status: CLIENT_CLOSED_REQUEST,
            failure: None,
            asked,
            version: None,
        }
    }

    /// What is known to come is there from now on.
    pub fn start_at_zero(&self, method: &Method, status: StatusCode) {
        self.count(method_index(method), status.as_u16(), 0);
    }

    fn method(&self, index: usize) -> Option<&MethodMetrics> {
        let slot = self.methods.get(index)?;
        Some(slot.get_or_init(|| {
            MethodMetrics {
                duration: self
                    .families
                    .duration
                    .with_label_values(&[self.function.as_str(), method_name(index)]),
                requests: std::iter::repeat_with(OnceLock::new).take(500).collect(),
            }
        }))
    }

    fn count(&self, method: usize, status: u16, by: u64) {
        let Some(counter) = self.method(method).and_then(|metrics| {
            let slot = metrics
                .requests
                .get(usize::from(status).checked_sub(100)?)?;
            Some(slot.get_or_init(|| {
                let status = status.to_string();
                self.families.requests.with_label_values(&[
                    self.function.as_str(),
                    self.route.as_str(),
                    method_name(method),
                    status.as_str(),
                ])
            }))
        }) else {
            return;
        };
        counter.inc_by(by);
    }
}

impl fmt::Debug for RouteMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouteMetrics")
            .field("function", &self.function)
            .field("route", &self.route)
            .finish_non_exhaustive()
    }
}

// === impl Observation ===

impl Observation {
    /// The response's head is known.
    pub fn status(&mut self, status: StatusCode) {
        self.status = status.as_u16();
    }

    pub fn request_id(&self) -> &Arc<str> {
        &self.asked.request_id
    }

    /// Which version answers; `None` before one has it.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref().map(VersionSeries::version)
    }

    /// It is this version's to answer.
    pub fn served_by(&mut self, version: &Arc<VersionSeries>) {
        self.version = Some(Arc::clone(version));
    }

    /// The request failed; the first reason is the cause.
    pub fn failed(&mut self, reason: Reason) {
        self.failure.get_or_insert(reason);
    }

    /// In the order that keeps a scrape true, which reads the families by name: whoever sees an error or the request's end sees
    /// the request too.
    fn record(&self, took: Duration) {
        self.route.count(self.method, self.status, 1);
        if let Some(method) = self.route.method(self.method) {
            method.duration.observe(took.as_secs_f64());
        }
        if let Some(version) = &self.version {
            version.observe(self.status >= 500, took);
        }
        let counter = self
            .failure
            .and_then(|reason| self.route.errors.get(reason as usize));
        if let Some(counter) = counter {
            counter.inc();
        }
        self.route.in_flight.dec();
    }
}

impl Drop for Observation {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        if recording() {
            self.record(took);
        }
        let line = Line {
            asked: &self.asked,
            function: &self.route.function,
            version: self.version(),
            route: &self.route.route,
            method: method_name(self.method),
            status: self.status,
            took,
            reason: self.failure.map(Reason::as_str),
        };
        line.log();
    }
}

fn method_index(method: &Method) -> usize {
    METHODS
        .iter()
        .position(|name| *name == method.as_str())
        .unwrap_or(OTHER)
}

fn method_name(index: usize) -> &'static str {
    METHODS.get(index).copied().unwrap_or("other")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::tests::text;

    fn asked() -> Asked {
        Asked {
            request_id: "one".into(),
            path: "/api/lots".into(),
            client: None,
        }
    }

    #[test]
    fn a_request_is_counted_once_when_its_observation_ends() {
        let registry = Registry::new();
        let red = RedMetrics::register(&registry).unwrap();
        let route = red.for_route("lots", "/api/lots", &[Method::GET]).unwrap();
        assert!(text(&registry).contains(
            r#"http_requests_total{function="lots",method="GET",route="/api/lots",status="200"} 0"#
        ));

        let mut request = route.observe(&Method::GET, asked(), Instant::now());
        assert!(text(&registry).contains(r#"http_requests_in_flight{function="lots"} 1"#));
        request.status(StatusCode::NOT_FOUND);
        drop(request);

        let text = text(&registry);
        assert!(text.contains(r#"http_requests_in_flight{function="lots"} 0"#));
        assert!(text.contains(
            r#"http_requests_total{function="lots",method="GET",route="/api/lots",status="404"} 1"#
        ));
        assert!(
            text.contains(r#"http_request_duration_seconds_count{function="lots",method="GET"} 1"#)
        );
    }

    #[test]
    fn an_unknown_method_and_a_client_that_left_have_bounded_labels() {
        let registry = Registry::new();
        let red = RedMetrics::register(&registry).unwrap();
        let route = red.for_route("lots", "/api/lots", &[]).unwrap();
        let method = Method::from_bytes(b"BREW").unwrap();
        let mut request = route.observe(&method, asked(), Instant::now());
        request.failed(Reason::ClientDisconnect);
        drop(request);
        let text = text(&registry);
        assert!(text.contains(
            r#"http_requests_total{function="lots",method="other",route="/api/lots",status="499"} 1"#
        ));
        assert!(text.contains(
            r#"flowviz_function_errors_total{function="lots",reason="client_disconnect"} 1"#
        ));
    }

    #[test]
    fn every_reason_has_its_own_counter() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
        }
    }
}
