//! The database as the functions find it: their statements, and the pools that these wait for.
//!
//! | metric | labels |
//! |---|---|
//! | `flowviz_db_queries_total` | `function`, `result` |
//! | `flowviz_db_query_duration_seconds` | `function` |
//! | `flowviz_db_pool_wait_seconds` | `pool` |
//! | `flowviz_connection_pool_size` | `pool`, `state` |
//! | `flowviz_connection_pool_limit` | `pool` |
//! | `flowviz_db_pool_waiting` | `pool` |
//! | `flowviz_db_pool_timeouts_total` | `pool` |
//! | `flowviz_db_certificate_expiry_timestamp_seconds` | `pool` |
//!
//! `pool` is the database's name; pools that share it (other servers, other users) are added up. The gauges are read from the pools
//! at each scrape, so they can't drift.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry,
};

use super::recording;
use crate::manifest::FunctionId;

/// Seconds. One statement on a near server takes a fraction of a millisecond; the edges above 0.1 are those of the requests'
/// histogram, so that the two can be laid over each other.
const DURATION_BUCKETS: &[f64] = &[
    0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
    10.0,
];

/// Seconds. A free connection takes microseconds, a new one milliseconds, and no wait is longer than the settings' 3 s.
const WAIT_BUCKETS: &[f64] = &[
    0.000_01, 0.000_05, 0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0,
];

/// How a statement ended, as the label `result`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Ok,
    /// The database refused the statement, or its values couldn't be converted.
    Error,
    /// No connection was free in time, the server cancelled the statement, or the request ended before the answer came.
    Timeout,
    /// No connection could be made, or it was lost.
    Unavailable,
}

/// The metric families.
#[derive(Clone, Debug)]
pub struct DatabaseMetrics {
    queries: IntCounterVec,
    duration: HistogramVec,
    wait: HistogramVec,
    timeouts: IntCounterVec,
    certificates: IntGaugeVec,
    pools: PoolGauges,
}

/// One function's handles. Cheap to clone.
#[derive(Clone)]
pub struct FunctionDatabaseMetrics(Arc<FunctionHandles>);

struct FunctionHandles {
    results: [IntCounter; Outcome::ALL.len()],
    duration: Histogram,
}

/// A statement under way. It counts as a timeout if it is dropped before it ended: whoever wanted the answer has gone.
#[derive(Debug)]
pub struct Statement {
    metrics: FunctionDatabaseMetrics,
    started: Instant,
    outcome: Outcome,
}

/// One pool's handles.
#[derive(Clone)]
pub struct PoolMetrics {
    name: String,
    wait: Histogram,
    timeouts: IntCounter,
    certificates: IntGaugeVec,
}

/// What a pool tells at a scrape.
pub trait PoolLoad: Send + Sync {
    fn size(&self) -> PoolSize;
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolSize {
    pub busy: usize,
    pub idle: usize,
    /// So many connections at most.
    pub limit: usize,
    /// Statements that wait for a connection.
    pub waiting: usize,
}

/// The pools' gauges, brought up to date when they are collected.
#[derive(Clone)]
struct PoolGauges {
    size: IntGaugeVec,
    limit: IntGaugeVec,
    waiting: IntGaugeVec,
    pools: Arc<Mutex<Vec<WatchedPool>>>,
}

struct WatchedPool {
    name: String,
    load: Weak<dyn PoolLoad>,
}

// === impl Outcome ===

impl Outcome {
    const ALL: [Self; 4] = [Self::Ok, Self::Error, Self::Timeout, Self::Unavailable];

    fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
        }
    }
}

// === impl DatabaseMetrics ===

impl DatabaseMetrics {
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            queries: IntCounterVec::new(
                Opts::new("flowviz_db_queries_total", "Statements, by function and result."),
                &["function", "result"],
            )?,
            duration: HistogramVec::new(
                HistogramOpts::new(
                    "flowviz_db_query_duration_seconds",
                    "From a function's statement to its last row, the wait for a connection included.",
                )
                .buckets(DURATION_BUCKETS.to_vec()),
                &["function"],
            )?,
            wait: HistogramVec::new(
                HistogramOpts::new(
                    "flowviz_db_pool_wait_seconds",
                    "The functions' wait for a connection, connecting included.",
                )
                .buckets(WAIT_BUCKETS.to_vec()),
                &["pool"],
            )?,
            timeouts: IntCounterVec::new(
                Opts::new("flowviz_db_pool_timeouts_total", "Statements for which no connection was free in time."),
                &["pool"],
            )?,
            certificates: IntGaugeVec::new(
                Opts::new(
                    "flowviz_db_certificate_expiry_timestamp_seconds",
                    "When the certificate that the database's server, or its pooler, showed last ends to be valid; absent without TLS.",
                ),
                &["pool"],
            )?,
            pools: PoolGauges::new()?,
        };
        registry.register(Box::new(metrics.queries.clone()))?;
        registry.register(Box::new(metrics.duration.clone()))?;
        registry.register(Box::new(metrics.wait.clone()))?;
        registry.register(Box::new(metrics.timeouts.clone()))?;
        registry.register(Box::new(metrics.certificates.clone()))?;
        registry.register(Box::new(metrics.pools.clone()))?;
        Ok(metrics)
    }

    /// The handles of one function: its series exist from now on.
    pub fn for_function(&self, function: &FunctionId) -> FunctionDatabaseMetrics {
        let function = function.as_ref();
        FunctionDatabaseMetrics(Arc::new(FunctionHandles {
            results: Outcome::ALL.map(|outcome| {
                self.queries
                    .with_label_values(&[function, outcome.as_str()])
            }),
            duration: self.duration.with_label_values(&[function]),
        }))
    }

    /// The handles of one pool, whose gauges are served for as long as it lives.
    pub fn for_pool<P: PoolLoad + 'static>(&self, name: &str, load: Weak<P>) -> PoolMetrics {
        self.pools.watch(WatchedPool {
            name: name.to_owned(),
            load,
        });
        PoolMetrics {
            name: name.to_owned(),
            certificates: self.certificates.clone(),
            wait: self.wait.with_label_values(&[name]),
            timeouts: self.timeouts.with_label_values(&[name]),
        }
    }
}

// === impl FunctionDatabaseMetrics ===

impl FunctionDatabaseMetrics {
    /// Starts observing a statement.
    pub fn statement(&self) -> Statement {
        Statement {
            metrics: self.clone(),
            started: Instant::now(),
            outcome: Outcome::Timeout,
        }
    }
}

impl fmt::Debug for FunctionDatabaseMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionDatabaseMetrics")
            .finish_non_exhaustive()
    }
}

// === impl Statement ===

impl Statement {
    pub fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }

    /// What it counts as if nobody says how it ended.
    pub fn dropped_counts_as(&mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Statement {
    fn drop(&mut self) {
        if !recording() {
            return;
        }
        if let Some(counter) = self.metrics.0.results.get(self.outcome as usize) {
            counter.inc();
        }
        self.metrics
            .0
            .duration
            .observe(self.started.elapsed().as_secs_f64());
    }
}

// === impl PoolMetrics ===

impl PoolMetrics {
    pub fn waited(&self, wait: Duration) {
        if recording() {
            self.wait.observe(wait.as_secs_f64());
        }
    }

    /// The server showed a certificate that is valid until then, in seconds since 1970.
    pub fn certificate_expires(&self, at: i64) {
        self.certificates.with_label_values(&[&self.name]).set(at);
    }

    pub fn timed_out(&self) {
        self.timeouts.inc();
    }
}

impl fmt::Debug for PoolMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolMetrics").finish_non_exhaustive()
    }
}

// === impl PoolGauges ===

impl PoolGauges {
    fn new() -> prometheus::Result<Self> {
        Ok(Self {
            size: IntGaugeVec::new(
                Opts::new(
                    "flowviz_connection_pool_size",
                    "Connections to the database, by what they do.",
                ),
                &["pool", "state"],
            )?,
            limit: IntGaugeVec::new(
                Opts::new(
                    "flowviz_connection_pool_limit",
                    "Connections that the pool may have. Where all are busy, statements wait.",
                ),
                &["pool"],
            )?,
            waiting: IntGaugeVec::new(
                Opts::new(
                    "flowviz_db_pool_waiting",
                    "Statements that wait for a connection.",
                ),
                &["pool"],
            )?,
            pools: Arc::default(),
        })
    }

    fn watch(&self, pool: WatchedPool) {
        self.pools
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(pool);
    }

    /// The pools' loads, added up by name. A pool that has gone is forgotten, and its name falls to 0.
    fn loads(&self) -> BTreeMap<String, PoolSize> {
        let mut loads: BTreeMap<String, PoolSize> = BTreeMap::new();
        self.pools
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|pool| {
                let sum = loads.entry(pool.name.clone()).or_default();
                let Some(load) = pool.load.upgrade() else {
                    return false;
                };
                let PoolSize {
                    busy,
                    idle,
                    limit,
                    waiting,
                } = load.size();
                sum.busy += busy;
                sum.idle += idle;
                sum.limit += limit;
                sum.waiting += waiting;
                true
            });
        loads
    }
}

impl Collector for PoolGauges {
    fn desc(&self) -> Vec<&Desc> {
        let mut descriptions = self.size.desc();
        descriptions.extend(self.limit.desc());
        descriptions.extend(self.waiting.desc());
        descriptions
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let gauge = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        for (
            name,
            PoolSize {
                busy,
                idle,
                limit,
                waiting,
            },
        ) in self.loads()
        {
            self.size
                .with_label_values(&[name.as_str(), "busy"])
                .set(gauge(busy));
            self.size
                .with_label_values(&[name.as_str(), "idle"])
                .set(gauge(idle));
            self.limit
                .with_label_values(&[name.as_str()])
                .set(gauge(limit));
            self.waiting
                .with_label_values(&[name.as_str()])
                .set(gauge(waiting));
        }
        let mut families = self.size.collect();
        families.extend(self.limit.collect());
        families.extend(self.waiting.collect());
        families
    }
}

impl fmt::Debug for PoolGauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolGauges").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::tests::text;

    struct Fixed(PoolSize);

    impl PoolLoad for Fixed {
        fn size(&self) -> PoolSize {
            self.0
        }
    }

    #[test]
    fn a_functions_series_exist_from_the_start_and_count_each_statement_once() {
        let registry = Registry::new();
        let function = DatabaseMetrics::register(&registry)
            .unwrap()
            .for_function(&FunctionId::parse("lots").unwrap());
        for outcome in Outcome::ALL {
            let line = format!(
                r#"flowviz_db_queries_total{{function="lots",result="{}"}} 0"#,
                outcome.as_str()
            );
            assert!(text(&registry).contains(&line), "{line}");
        }
        function.statement().end(Outcome::Ok);
        drop(function.statement());
        let text = text(&registry);
        assert!(text.contains(r#"flowviz_db_queries_total{function="lots",result="ok"} 1"#));
        assert!(text.contains(r#"flowviz_db_queries_total{function="lots",result="timeout"} 1"#));
        assert!(text.contains(r#"flowviz_db_query_duration_seconds_count{function="lots"} 2"#));
    }

    #[test]
    fn pools_of_one_name_are_added_up_and_fall_to_0_when_they_go() {
        let registry = Registry::new();
        let metrics = DatabaseMetrics::register(&registry).unwrap();
        let pools = [
            Arc::new(Fixed(PoolSize {
                busy: 2,
                idle: 3,
                limit: 25,
                waiting: 0,
            })),
            Arc::new(Fixed(PoolSize {
                busy: 1,
                idle: 0,
                limit: 5,
                waiting: 7,
            })),
        ];
        for pool in &pools {
            metrics
                .for_pool("flowviz", Arc::downgrade(pool))
                .waited(Duration::from_millis(1));
        }
        let before = text(&registry);
        for line in [
            r#"flowviz_connection_pool_size{pool="flowviz",state="busy"} 3"#,
            r#"flowviz_connection_pool_size{pool="flowviz",state="idle"} 3"#,
            r#"flowviz_connection_pool_limit{pool="flowviz"} 30"#,
            r#"flowviz_db_pool_waiting{pool="flowviz"} 7"#,
            r#"flowviz_db_pool_timeouts_total{pool="flowviz"} 0"#,
            r#"flowviz_db_pool_wait_seconds_count{pool="flowviz"} 2"#,
        ] {
            assert!(before.contains(line), "{line}");
        }
        drop(pools);
        assert!(text(&registry).contains(r#"flowviz_db_pool_waiting{pool="flowviz"} 0"#));
    }

    #[test]
    fn every_outcome_has_its_own_counter() {
        for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, index);
        }
    }
}
