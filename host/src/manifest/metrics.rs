//! The business metrics that a function declares: `[component.<id>.tool.flowviz.metrics.<name>]`.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use super::document::{Item, Section};
use super::settings::count;
use super::suggest::nearest;

/// The host's own names.
const RESERVED_PREFIXES: [&str; 8] = [
    "http_",
    "flowviz_function_",
    "flowviz_db_",
    "flowviz_build_",
    "flowviz_connection_",
    "flowviz_metrics_",
    "pgbouncer_",
    "process_",
];
/// In seconds: those of `http_request_duration_seconds`.
const DEFAULT_BUCKETS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
const DEFAULT_MAX_SERIES: usize = 200;
const MAX_SERIES_RANGE: RangeInclusive<u64> = 1..=10_000;
const MAX_LABELS: usize = 10;
const MAX_BUCKETS: usize = 50;

/// A metric, its names checked against Prometheus' rules and the host's own names.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricDeclaration {
    pub name: String,
    pub help: String,
    pub kind: MetricKind,
    /// In the manifest's order.
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

/// All declarations of a component, each with its key.
pub(super) fn read<'d>(section: &Section<'d>) -> Vec<(MetricDeclaration, Item<'d>)> {
    section
        .items()
        .into_iter()
        .filter_map(|item| Some((read_one(&item)?, item)))
        .collect()
}

fn read_one(item: &Item<'_>) -> Option<MetricDeclaration> {
    let name = item.key;
    check_name(item);
    let mut section = item.table()?;
    let kind = section.require("type", "type = \"counter\"");
    let help = section.require("help", "help = \"What it counts.\"");
    let buckets = section.take("buckets");
    let labels = section
        .table("labels")
        .map(|labels| read_labels(&labels))
        .unwrap_or_default();
    let max_series = count(
        &mut section,
        "max_series",
        &MAX_SERIES_RANGE,
        DEFAULT_MAX_SERIES,
    );
    section.finish();

    if labels.len() > MAX_LABELS {
        item.error(
            format!("{} labels are too many", labels.len()),
            format!("keep at most {MAX_LABELS}"),
        );
    }
    // Only if every label has known values are there sets to create beforehand.
    let known = labels
        .iter()
        .map(|label| label.known.len())
        .fold(1, usize::saturating_mul);
    if known > max_series {
        let what = format!(
            "the known values make {known} label sets, more than `max_series`, {max_series}"
        );
        item.error(what, "name fewer values or raise `max_series`");
    }
    let kind = read_kind(&kind?, buckets.as_ref())?;
    if let MetricKind::Histogram { .. } = kind
        && labels.iter().any(|label| label.name == "le")
    {
        item.error(
            "`le` is the label of a histogram's buckets",
            "rename the label",
        );
    }
    let help = help?;
    let text = help.text()?;
    if text.trim().is_empty() {
        help.error(
            "the help text is empty",
            "say in a sentence what the metric counts",
        );
    }
    Some(MetricDeclaration {
        name: name.into(),
        help: text.into(),
        kind,
        labels,
        max_series,
    })
}

fn check_name(item: &Item<'_>) {
    let name = item.key;
    if !is_name(name, |b| b == b'_' || b == b':') {
        item.error(
            "a metric's name is letters, digits, `_` and `:`, and doesn't start with a digit",
            "rename it",
        );
    }
    if let Some(prefix) = RESERVED_PREFIXES
        .iter()
        .find(|prefix| name.starts_with(**prefix))
    {
        item.error(
            format!("names that start with `{prefix}` are the host's own"),
            "rename it",
        );
    }
}

fn read_kind(item: &Item<'_>, buckets: Option<&Item<'_>>) -> Option<MetricKind> {
    const KINDS: [&str; 3] = ["counter", "gauge", "histogram"];
    let text = item.text()?;
    if let (Some(buckets), "counter" | "gauge") = (buckets, text) {
        buckets.error(
            format!("a {text} has no buckets"),
            "remove them, or make it a histogram",
        );
    }
    match text {
        "counter" => Some(MetricKind::Counter),
        "gauge" => Some(MetricKind::Gauge),
        "histogram" => {
            let buckets = buckets.map_or_else(|| Some(DEFAULT_BUCKETS.to_vec()), read_buckets)?;
            Some(MetricKind::Histogram { buckets })
        }
        _ => {
            let fix = match nearest(text, KINDS) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("use one of {}", KINDS.join(", ")),
            };
            item.error(format!("`{text}` is no type of metric"), fix);
            None
        }
    }
}

fn read_buckets(item: &Item<'_>) -> Option<Vec<f64>> {
    let items = item.list()?;
    let buckets = items.iter().map(Item::number).collect::<Option<Vec<_>>>()?;
    let increasing = buckets
        .windows(2)
        .all(|pair| matches!(pair, [a, b] if a < b));
    if !increasing || !buckets.iter().all(|bound| bound.is_finite()) {
        item.error(
            "the bounds are not finite and increasing",
            "order them, name each once; `+Inf` comes by itself",
        );
        return None;
    }
    if buckets.is_empty() || buckets.len() > MAX_BUCKETS {
        let what = format!(
            "{} buckets are not between 1 and {MAX_BUCKETS}",
            buckets.len()
        );
        item.error(what, "add or remove some");
        return None;
    }
    Some(buckets)
}

fn read_labels(section: &Section<'_>) -> Vec<MetricLabel> {
    let mut labels = Vec::new();
    for item in section.items() {
        let name = item.key;
        if !is_name(name, |b| b == b'_') || name.starts_with("__") {
            let what = "a label's name is letters, digits and `_`, and starts with neither a digit nor `__`";
            item.error(what, "rename it");
        }
        let known = item.texts();
        if known.iter().collect::<BTreeSet<_>>().len() < known.len() {
            item.error("a known value is there twice", "name each once");
        }
        labels.push(MetricLabel {
            name: name.into(),
            known,
        });
    }
    labels
}

fn is_name(name: &str, is_mark: fn(u8) -> bool) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || is_mark(b))
}
