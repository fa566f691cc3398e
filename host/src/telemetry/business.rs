//! Metrics of the functions' own: declared in the manifest, recorded through `flowviz:metrics`, served beside the host's.
//!
//! The label sets of a metric are bounded (`max_series`). At the bound, one that the manifest doesn't list and that nothing was recorded
//! under for a day gives way to a new one: Prometheus has what it said. If there is none, a label's value that the manifest doesn't
//! list becomes `other`, and `flowviz_metrics_series_capped_total{metric}` counts it. A guest can't grow the host's memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use prometheus::{
    CounterVec, GaugeVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry,
};

use super::recording;
use crate::manifest::{FunctionId, MetricDeclaration, MetricKind};

const OTHER: &str = "other";

/// A label set that isn't listed is kept for so long after its last record.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);

/// Last recorded in the far future: a label set that is kept.
const LISTED: u64 = u64::MAX;

/// Why a value wasn't recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    #[error("the manifest declares no metric `{0}` for this function")]
    Undeclared(String),
    #[error("`{name}` is declared as a {declared}")]
    WrongType {
        name: String,
        declared: &'static str,
    },
    #[error("`{name}` has the labels [{declared}]")]
    WrongLabels { name: String, declared: String },
    #[error("`{name}`: {value} can't be recorded")]
    BadValue { name: String, value: String },
}

/// What a guest may do to a metric.
#[derive(Clone, Copy, Debug)]
pub enum Record {
    Add(f64),
    Set(f64),
    Observe(f64),
}

/// All functions' metrics.
#[derive(Debug)]
pub struct BusinessMetrics {
    registry: Registry,
    capped: IntCounterVec,
    by_name: RwLock<BTreeMap<String, Arc<Metric>>>,
}

/// The metrics that one function declares.
#[derive(Clone, Debug, Default)]
pub struct FunctionBusinessMetrics(Vec<Arc<Metric>>);

#[derive(Debug)]
struct Metric {
    declaration: MetricDeclaration,
    family: Family,
    /// Each with the second, from `since`, in which something was last recorded.
    series: RwLock<HashMap<Vec<String>, AtomicU64>>,
    since: Instant,
    capped: IntCounter,
}

#[derive(Debug)]
enum Family {
    Counter(CounterVec),
    Gauge(GaugeVec),
    Histogram(HistogramVec),
}

// === impl BusinessMetrics ===

impl BusinessMetrics {
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let capped = IntCounterVec::new(
            Opts::new(
                "flowviz_metrics_series_capped_total",
                "Values recorded under `other` because the metric has reached its max_series.",
            ),
            &["metric"],
        )?;
        registry.register(Box::new(capped.clone()))?;
        Ok(Self {
            registry: registry.clone(),
            capped,
            by_name: RwLock::default(),
        })
    }

    /// The metrics of one function. Two functions may declare the same metric, if they declare it alike.
    pub fn for_function(
        &self,
        function: &FunctionId,
        declarations: &[MetricDeclaration],
    ) -> anyhow::Result<FunctionBusinessMetrics> {
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        let mut metrics = Vec::with_capacity(declarations.len());
        for declaration in declarations {
            let name = &declaration.name;
            let metric = match by_name.get(name) {
                Some(metric) if metric.declaration == *declaration => Arc::clone(metric),
                Some(_) => anyhow::bail!(
                    "[component.{function}.tool.flowviz.metrics.{name}] another function declares this metric otherwise, or this one did when the host started; make the declarations equal, or restart the host"
                ),
                None => {
                    let metric = Metric::new(
                        declaration.clone(),
                        &self.registry,
                        self.capped.with_label_values(&[name]),
                    )?;
                    let metric = Arc::new(metric);
                    by_name.insert(name.clone(), Arc::clone(&metric));
                    metric
                }
            };
            metrics.push(metric);
        }
        Ok(FunctionBusinessMetrics(metrics))
    }
}

// === impl FunctionBusinessMetrics ===

impl FunctionBusinessMetrics {
    pub fn record(
        &self,
        name: &str,
        labels: &[(String, String)],
        record: Record,
    ) -> Result<(), RecordError> {
        self.0
            .iter()
            .find(|metric| metric.declaration.name == name)
            .ok_or_else(|| RecordError::Undeclared(name.to_owned()))?
            .record(labels, record)
    }
}

// === impl Metric ===

impl Metric {
    fn new(
        declaration: MetricDeclaration,
        registry: &Registry,
        capped: IntCounter,
    ) -> prometheus::Result<Self> {
        let labels: Vec<&str> = declaration.labels.iter().map(|l| l.name.as_str()).collect();
        let opts = Opts::new(&declaration.name, &declaration.help);
        let family = match &declaration.kind {
            MetricKind::Counter => {
                let family = CounterVec::new(opts, &labels)?;
                registry.register(Box::new(family.clone()))?;
                Family::Counter(family)
            }
            MetricKind::Gauge => {
                let family = GaugeVec::new(opts, &labels)?;
                registry.register(Box::new(family.clone()))?;
                Family::Gauge(family)
            }
            MetricKind::Histogram { buckets } => {
                let opts = HistogramOpts::from(opts).buckets(buckets.clone());
                let family = HistogramVec::new(opts, &labels)?;
                registry.register(Box::new(family.clone()))?;
                Family::Histogram(family)
            }
        };
        let mut series = HashMap::new();
        for values in listed_label_sets(&declaration) {
            family.touch(&values);
            series.insert(values, AtomicU64::new(LISTED));
        }
        Ok(Self {
            declaration,
            family,
            series: RwLock::new(series),
            since: Instant::now(),
            capped,
        })
    }

    fn record(&self, labels: &[(String, String)], record: Record) -> Result<(), RecordError> {
        let name = || self.declaration.name.clone();
        let (Record::Add(value) | Record::Set(value) | Record::Observe(value)) = record;
        if !value.is_finite() || matches!(record, Record::Add(value) if value < 0.0) {
            return Err(RecordError::BadValue {
                name: name(),
                value: value.to_string(),
            });
        }
        if !self.family.takes(record) {
            return Err(RecordError::WrongType {
                name: name(),
                declared: self.family.type_name(),
            });
        }
        let values = self.values(labels)?;
        if recording() {
            let values = self.bounded(values, self.since.elapsed());
            self.family.record(&values, record);
        }
        Ok(())
    }

    /// The labels' values in the declared order.
    fn values(&self, labels: &[(String, String)]) -> Result<Vec<String>, RecordError> {
        let declared = &self.declaration.labels;
        let values: Vec<String> = declared
            .iter()
            .filter_map(|label| {
                labels
                    .iter()
                    .find(|(name, _)| *name == label.name)
                    .map(|(_, value)| value.clone())
            })
            .collect();
        if values.len() != declared.len() || labels.len() != declared.len() {
            return Err(RecordError::WrongLabels {
                name: self.declaration.name.clone(),
                declared: declared
                    .iter()
                    .map(|label| label.name.as_str())
                    .collect::<Vec<_>>()
                    .join(", "),
            });
        }
        Ok(values)
    }

    /// `values`, or what stands for them once the metric has all the series it may have. `now`: since the metric's beginning.
    fn bounded(&self, values: Vec<String>, now: Duration) -> Vec<String> {
        let now = now.as_secs();
        {
            let series = self.series.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(last) = series.get(&values) {
                last.fetch_max(now, Relaxed);
                return values;
            }
        }
        let mut series = self.series.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = series.get(&values) {
            last.fetch_max(now, Relaxed);
            return values;
        }
        if series.len() >= self.declaration.max_series
            && let Some(forgotten) = longest_unused(&series, now)
        {
            series.remove(&forgotten);
            self.family.remove(&forgotten);
        }
        if series.len() < self.declaration.max_series {
            series.insert(values.clone(), AtomicU64::new(now));
            return values;
        }
        self.capped.inc();
        values
            .into_iter()
            .zip(&self.declaration.labels)
            .map(|(value, label)| {
                if label.known.contains(&value) {
                    value
                } else {
                    OTHER.to_owned()
                }
            })
            .collect()
    }
}

/// Every combination of the values known beforehand; none when a label has no known value.
fn listed_label_sets(declaration: &MetricDeclaration) -> Vec<Vec<String>> {
    let mut sets = vec![Vec::new()];
    for label in &declaration.labels {
        sets = sets
            .iter()
            .flat_map(|set: &Vec<String>| {
                label.known.iter().map(|value| {
                    let mut set = set.clone();
                    set.push(value.clone());
                    set
                })
            })
            .take(declaration.max_series)
            .collect();
    }
    sets
}

fn longest_unused(series: &HashMap<Vec<String>, AtomicU64>, now: u64) -> Option<Vec<String>> {
    let (values, last) = series.iter().min_by_key(|(_, last)| last.load(Relaxed))?;
    let unused = now.saturating_sub(last.load(Relaxed));
    (unused >= KEPT.as_secs()).then(|| values.clone())
}

// === impl Family ===

impl Family {
    /// Makes the series exist.
    fn touch(&self, values: &[String]) {
        match self {
            Self::Counter(family) => drop(family.with_label_values(values)),
            Self::Gauge(family) => drop(family.with_label_values(values)),
            Self::Histogram(family) => drop(family.with_label_values(values)),
        }
    }

    fn remove(&self, values: &[String]) {
        // It fails for what isn't there, which is what is wanted.
        _ = match self {
            Self::Counter(family) => family.remove_label_values(values),
            Self::Gauge(family) => family.remove_label_values(values),
            Self::Histogram(family) => family.remove_label_values(values),
        };
    }

    fn takes(&self, record: Record) -> bool {
        matches!(
            (self, record),
            (Self::Counter(_), Record::Add(_))
                | (Self::Gauge(_), Record::Set(_))
                | (Self::Histogram(_), Record::Observe(_))
        )
    }

    /// What it [`takes`](Self::takes).
    fn record(&self, values: &[String], record: Record) {
        match (self, record) {
            (Self::Counter(family), Record::Add(value)) => {
                family.with_label_values(values).inc_by(value);
            }
            (Self::Gauge(family), Record::Set(value)) => {
                family.with_label_values(values).set(value);
            }
            (Self::Histogram(family), Record::Observe(value)) => {
                family.with_label_values(values).observe(value);
            }
            _ => {}
        }
    }

    fn type_name(&self) -> &'static str {
        match self {
            Self::Counter(_) => "counter",
            Self::Gauge(_) => "gauge",
            Self::Histogram(_) => "histogram",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::MetricLabel;
    use crate::telemetry::tests::text;

    fn lots(max_series: usize) -> MetricDeclaration {
        MetricDeclaration {
            name: "lots_total".to_owned(),
            help: "Lots.".to_owned(),
            kind: MetricKind::Counter,
            labels: vec![
                MetricLabel {
                    name: "lot_type".to_owned(),
                    known: vec!["RAW".to_owned(), "MIX".to_owned()],
                },
                MetricLabel {
                    name: "run".to_owned(),
                    known: vec!["none".to_owned()],
                },
            ],
            max_series,
        }
    }

    fn labels(lot_type: &str, run: &str) -> Vec<(String, String)> {
        vec![
            ("run".to_owned(), run.to_owned()),
            ("lot_type".to_owned(), lot_type.to_owned()),
        ]
    }

    #[test]
    fn known_series_exist_at_zero_and_unknown_ones_are_capped() {
        let registry = Registry::new();
        let metrics = BusinessMetrics::register(&registry).unwrap();
        let lots = metrics
            .for_function(&FunctionId::parse("lots").unwrap(), &[lots(3)])
            .unwrap();
        assert!(text(&registry).contains(r#"lots_total{lot_type="MIX",run="none"} 0"#));

        lots.record("lots_total", &labels("RAW", "A"), Record::Add(1.0))
            .unwrap();
        lots.record("lots_total", &labels("RAW", "B"), Record::Add(2.0))
            .unwrap();
        let text = text(&registry);
        assert!(text.contains(r#"lots_total{lot_type="RAW",run="A"} 1"#));
        assert!(text.contains(r#"lots_total{lot_type="RAW",run="other"} 2"#));
        assert!(text.contains(r#"flowviz_metrics_series_capped_total{metric="lots_total"} 1"#));
    }

    #[test]
    fn a_series_that_nothing_was_recorded_under_for_a_day_gives_way() {
        let registry = Registry::new();
        let capped = IntCounter::new("capped_total", "Capped.").unwrap();
        let lots = Metric::new(lots(4), &registry, capped.clone()).unwrap();
        let record = |run: &str, hours: u64| {
            let values = vec!["RAW".to_owned(), run.to_owned()];
            let values = lots.bounded(values, Duration::from_secs(hours * 3600));
            lots.family.record(&values, Record::Add(1.0));
        };
        let holds = |lines: &[&str]| {
            let text = text(&registry);
            for line in lines {
                assert!(text.contains(line), "{line}\n{text}");
            }
        };
        record("A", 0);
        record("B", 0);
        record("A", 2);
        record("C", 23);
        holds(&[
            r#"lots_total{lot_type="RAW",run="A"} 2"#,
            r#"lots_total{lot_type="RAW",run="B"} 1"#,
            r#"lots_total{lot_type="RAW",run="other"} 1"#,
        ]);
        assert_eq!(capped.get(), 1);

        record("C", 24);
        record("D", 24);
        record("B", 26);
        holds(&[
            r#"lots_total{lot_type="MIX",run="none"} 0"#,
            r#"lots_total{lot_type="RAW",run="none"} 0"#,
            // It came back, in the place of A.
            r#"lots_total{lot_type="RAW",run="B"} 1"#,
            r#"lots_total{lot_type="RAW",run="C"} 1"#,
            r#"lots_total{lot_type="RAW",run="other"} 2"#,
        ]);
        assert!(!text(&registry).contains(r#"run="A""#));
        assert_eq!(capped.get(), 2);
    }

    #[test]
    fn what_is_not_declared_is_refused() {
        let registry = Registry::new();
        let metrics = BusinessMetrics::register(&registry).unwrap();
        let lots = metrics
            .for_function(&FunctionId::parse("lots").unwrap(), &[lots(10)])
            .unwrap();
        let ok = labels("RAW", "none");
        assert!(matches!(
            lots.record("other_total", &ok, Record::Add(1.0)),
            Err(RecordError::Undeclared(_))
        ));
        assert!(matches!(
            lots.record("lots_total", &ok, Record::Set(1.0)),
            Err(RecordError::WrongType { .. })
        ));
        assert!(matches!(
            lots.record("lots_total", &ok[1..], Record::Add(1.0)),
            Err(RecordError::WrongLabels { .. })
        ));
        for value in [f64::NAN, f64::INFINITY, -1.0] {
            assert!(matches!(
                lots.record("lots_total", &ok, Record::Add(value)),
                Err(RecordError::BadValue { .. })
            ));
        }
    }
}
