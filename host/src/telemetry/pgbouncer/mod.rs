//! PgBouncer itself, as its console tells it: under exactly the names, labels, types and units of the community's exporter
//! (`prometheus-community/pgbouncer_exporter`), so that dashboards and alerts made for that one work with either.
//!
//! What was read last is served. While the console can't be read there is `pgbouncer_up 0` and nothing else: an old number that goes
//! on being served looks like a pooler that is well. Without a console in the manifest there is nothing at all.

mod families;

use std::sync::{Arc, PoisonError, RwLock};

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Opts, Registry};

use crate::database::{Snapshot, Table};
use families::{
    DATABASE_LABELS, DATABASES, Family, Kind, LISTS, Labels, POOL_LABELS, POOLS, SETTINGS,
    STATS_TOTALS, STATS_TOTALS_LABELS, UP, VERSION,
};

/// What is served. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PgBouncerMetrics {
    seen: Arc<RwLock<Seen>>,
    up: Desc,
}

#[derive(Debug)]
enum Seen {
    /// Nobody asks.
    Nothing,
    Down,
    Up(Vec<MetricFamily>),
}

// === impl PgBouncerMetrics ===

impl PgBouncerMetrics {
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        use prometheus::core::Describer as _;
        let metrics = Self {
            seen: Arc::new(RwLock::new(Seen::Nothing)),
            up: Opts::new(UP.name, UP.help).describe()?,
        };
        registry.register(Box::new(metrics.clone()))?;
        Ok(metrics)
    }

    /// The console can't be read.
    pub fn down(&self) {
        self.see(Seen::Down);
    }

    /// This is what the console said.
    pub fn up(&self, snapshot: &Snapshot) {
        self.see(Seen::Up(families(snapshot)));
    }

    fn see(&self, seen: Seen) {
        *self.seen.write().unwrap_or_else(PoisonError::into_inner) = seen;
    }
}

impl Collector for PgBouncerMetrics {
    /// Only the one that is always there: the registry takes the others as they come.
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.up]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        match &*self.seen.read().unwrap_or_else(PoisonError::into_inner) {
            Seen::Nothing => Vec::new(),
            Seen::Down => vec![up(0.0)],
            Seen::Up(families) => families.clone(),
        }
    }
}

fn up(value: f64) -> MetricFamily {
    UP.of(vec![UP.metric(value, Vec::new())])
}

fn families(snapshot: &Snapshot) -> Vec<MetricFamily> {
    let version = snapshot
        .version()
        .map(|version| VERSION.metric(1.0, vec![label("version", version)]));
    let mut families = vec![up(1.0), VERSION.of(version.into_iter().collect())];
    let tables: [(&Table, &[Family], Labels); 3] = [
        (&snapshot.pools, POOLS, POOL_LABELS),
        (&snapshot.stats_totals, STATS_TOTALS, STATS_TOTALS_LABELS),
        (&snapshot.databases, DATABASES, DATABASE_LABELS),
    ];
    for (table, declared, labels) in tables {
        families.extend(declared.iter().map(|family| family.rows(table, labels)));
    }
    families.extend(
        LISTS
            .iter()
            .map(|family| family.single(|name| snapshot.lists.find("list", name)?.number("items"))),
    );
    families.extend(
        SETTINGS
            .iter()
            .map(|family| family.single(|key| snapshot.setting(key)?.parse().ok())),
    );
    families
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}

// === impl Family ===

impl Family {
    /// A series for each row of the table.
    fn rows(&self, table: &Table, labels: Labels) -> MetricFamily {
        let metrics = table.rows().filter_map(|row| {
            let value = self.value(|column| row.number(column))?;
            let labels = labels
                .iter()
                .map(|(name, column)| label(name, row.text(column).unwrap_or_default()))
                .collect();
            Some(self.metric(value, labels))
        });
        self.of(metrics.collect())
    }

    /// One series without labels, if there is a value.
    fn single(&self, number: impl Fn(&str) -> Option<f64>) -> MetricFamily {
        let metric = self
            .value(number)
            .map(|value| self.metric(value, Vec::new()));
        self.of(metric.into_iter().collect())
    }

    fn value(&self, number: impl Fn(&str) -> Option<f64>) -> Option<f64> {
        self.columns
            .iter()
            .filter_map(|column| Some(number(column.name)? / column.per_unit))
            .reduce(|sum, value| sum + value)
    }

    fn metric(&self, value: f64, labels: Vec<LabelPair>) -> Metric {
        let mut metric = Metric::from_label(labels);
        match self.kind {
            Kind::Counter => {
                let mut counter = Counter::default();
                counter.set_value(value);
                metric.set_counter(counter);
            }
            Kind::Gauge => {
                let mut gauge = Gauge::default();
                gauge.set_value(value);
                metric.set_gauge(gauge);
            }
        }
        metric
    }

    fn of(&self, metrics: Vec<Metric>) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(match self.kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
        });
        family.set_metric(metrics);
        family
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::tests::text;

    fn snapshot() -> Snapshot {
        Snapshot {
            pools: Table::new(
                &["user", "cl_waiting", "database", "maxwait_us", "maxwait"],
                &[&["app", "7", "flowviz", "250000", "3"]],
            ),
            stats_totals: Table::new(
                &["database", "xact_time", "query_count"],
                &[&["flowviz", "231", "18446744073709551615"]],
            ),
            databases: Table::new(
                &[
                    "name",
                    "host",
                    "port",
                    "database",
                    "reserve_pool_size",
                    "paused",
                ],
                &[&[
                    "flowviz",
                    "127.0.0.1",
                    "5432",
                    "flow\"viz",
                    "5",
                    "not a number",
                ]],
            ),
            lists: Table::new(&["items", "list"], &[&["4", "used_clients"]]),
            config: Table::new(&["key", "value"], &[&["max_client_conn", "1200"]]),
            version: Table::new(&["version"], &[&["PgBouncer 1.18.0"]]),
        }
    }

    #[test]
    fn columns_are_read_by_name_and_in_base_units() {
        let registry = Registry::new();
        let metrics = PgBouncerMetrics::register(&registry).unwrap();
        assert_eq!(text(&registry), "", "nobody asks, so nothing is said");
        metrics.up(&snapshot());
        let text = text(&registry);
        let series: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(
            series,
            [
                "pgbouncer_config_max_client_connections 1200",
                r#"pgbouncer_databases_reserve_pool{database="flow\"viz",force_user="",host="127.0.0.1",name="flowviz",pool_mode="",port="5432"} 5"#,
                r#"pgbouncer_pools_client_maxwait_seconds{database="flowviz",user="app"} 3.25"#,
                r#"pgbouncer_pools_client_waiting_connections{database="flowviz",user="app"} 7"#,
                r#"pgbouncer_stats_totals_queries_pooled_total{database="flowviz"} 18446744073709552000"#,
                r#"pgbouncer_stats_totals_server_in_transaction_seconds_total{database="flowviz"} 0.000231"#,
                "pgbouncer_up 1",
                "pgbouncer_used_clients 4",
                r#"pgbouncer_version_info{version="PgBouncer 1.18.0"} 1"#,
            ]
        );
        assert!(text.contains("# TYPE pgbouncer_stats_totals_queries_pooled_total counter"));
        assert!(text.contains("# TYPE pgbouncer_pools_client_maxwait_seconds gauge"));
    }

    #[test]
    fn a_pooler_that_went_away_leaves_nothing_but_that() {
        let registry = Registry::new();
        let metrics = PgBouncerMetrics::register(&registry).unwrap();
        metrics.up(&snapshot());
        metrics.down();
        let text = text(&registry);
        let series: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(series, ["pgbouncer_up 0"]);
    }

    #[test]
    fn no_name_is_declared_twice() {
        let all = || {
            [POOLS, STATS_TOTALS, DATABASES, LISTS, SETTINGS]
                .into_iter()
                .flatten()
                .chain([&UP, &VERSION])
        };
        let names: std::collections::HashSet<_> = all().map(|family| family.name).collect();
        assert_eq!(names.len(), all().count());
    }
}
