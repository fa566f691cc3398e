//! The business metrics that a function declares: `[component.<id>.tool.flowviz.metrics.<name>]`.

/// A metric, its names checked against Prometheus' rules and the host's own names.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricDeclaration {
    pub name: String,
    pub help: String,
    pub kind: MetricKind,
    /// Sorted by name.
    pub labels: Vec<MetricLabel>,
    /// Label sets beyond this count are recorded under the value `other`.
    pub max_series: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub enum MetricKind {
    Counter,
    Gauge,
    /// Upper bounds: finite, strictly increasing, at least one. `+Inf` is not among them.
    Histogram {
        buckets: Vec<f64>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricLabel {
    pub name: String,
    /// Values that exist at 0 from the first scrape; others may come.
    pub known: Vec<String>,
}
