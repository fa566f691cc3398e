//! The dashboards ask for what there is: metrics that somebody serves, by labels that those have, over windows that suit the scrapes,
//! with legends whose labels are in the answer. A query that finds data may still group by a label that nobody has.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use flowviz_observability::{metrics, read, root, rules, run};
use promql_parser::parser::{self, Expr, LabelModifier};
use promql_parser::util::{ExprVisitor, walk_expr};
use serde_json::{Value, json};

/// What others serve, with the labels that their old and new versions share: node_exporter 1.5, postgres_exporter 0.11 and 0.17,
/// Alertmanager 0.25 and 0.28, Prometheus 2.42, and the host's process.
const OF_OTHERS: &[(&str, &[&str])] = &[
    (
        "ALERTS",
        &["alertname", "alertstate", "severity", "function"],
    ),
    ("alertmanager_config_last_reload_successful", &[]),
    ("alertmanager_notifications_failed_total", &["integration"]),
    ("alertmanager_notifications_total", &["integration"]),
    ("flowviz_build_info", &["version"]),
    ("flowviz_metrics_series_capped_total", &["metric"]),
    ("node_cpu_seconds_total", &["cpu", "mode"]),
    ("node_disk_io_time_seconds_total", &["device"]),
    ("node_filefd_allocated", &[]),
    ("node_filefd_maximum", &[]),
    (
        "node_filesystem_avail_bytes",
        &["device", "fstype", "mountpoint"],
    ),
    (
        "node_filesystem_size_bytes",
        &["device", "fstype", "mountpoint"],
    ),
    ("node_load1", &[]),
    ("node_memory_MemAvailable_bytes", &[]),
    ("node_memory_MemTotal_bytes", &[]),
    ("node_network_receive_bytes_total", &["device"]),
    ("node_network_transmit_bytes_total", &["device"]),
    ("node_pressure_cpu_waiting_seconds_total", &[]),
    ("node_pressure_io_waiting_seconds_total", &[]),
    ("node_pressure_memory_waiting_seconds_total", &[]),
    ("node_uname_info", &["nodename"]),
    ("node_vmstat_oom_kill", &[]),
    ("pg_database_size_bytes", &["datname"]),
    ("pg_locks_count", &["datname", "mode"]),
    ("pg_settings_max_connections", &[]),
    ("pg_settings_superuser_reserved_connections", &[]),
    ("pg_stat_activity_count", &["datname", "state"]),
    ("pg_stat_activity_max_tx_duration", &["datname", "state"]),
    ("pg_stat_database_blks_hit", &["datid", "datname"]),
    ("pg_stat_database_blks_read", &["datid", "datname"]),
    ("pg_stat_database_deadlocks", &["datid", "datname"]),
    ("pg_stat_database_temp_bytes", &["datid", "datname"]),
    ("pg_stat_database_tup_deleted", &["datid", "datname"]),
    ("pg_stat_database_tup_fetched", &["datid", "datname"]),
    ("pg_stat_database_tup_inserted", &["datid", "datname"]),
    ("pg_stat_database_tup_updated", &["datid", "datname"]),
    ("pg_stat_database_xact_commit", &["datid", "datname"]),
    ("pg_stat_database_xact_rollback", &["datid", "datname"]),
    ("pg_up", &[]),
    ("process_cpu_seconds_total", &[]),
    ("process_max_fds", &[]),
    ("process_open_fds", &[]),
    ("process_resident_memory_bytes", &[]),
    ("process_start_time_seconds", &[]),
    ("process_threads", &[]),
    ("prometheus_config_last_reload_successful", &[]),
    ("prometheus_notifications_dropped_total", &[]),
    ("prometheus_notifications_errors_total", &["alertmanager"]),
    ("prometheus_rule_evaluation_failures_total", &["rule_group"]),
    ("prometheus_rule_group_interval_seconds", &["rule_group"]),
    (
        "prometheus_rule_group_last_duration_seconds",
        &["rule_group"],
    ),
    ("prometheus_tsdb_head_series", &[]),
    ("scrape_duration_seconds", &[]),
    ("scrape_samples_scraped", &[]),
    ("up", &[]),
];

/// What a scrape adds to every series.
const OF_SCRAPES: &[&str] = &["job", "instance"];

/// What stands in for Grafana's windows: lengths that nobody writes out.
const RATE_INTERVAL: Duration = Duration::from_secs(61);
const RANGE: Duration = Duration::from_secs(3661);
const HOUR: Duration = Duration::from_secs(3600);

/// A metric, without what a histogram's series have at the end, and its labels.
type Catalogue = BTreeMap<String, BTreeSet<String>>;

/// What is between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn catalogue() -> Result<Catalogue> {
    let mut known = Catalogue::new();
    for row in read("docs/metrics.md")?
        .lines()
        .filter(|line| line.starts_with("| `"))
    {
        let cells: Vec<_> = row.split('|').collect();
        let labels = quoted(cells.get(3).copied().unwrap_or_default());
        let labels: BTreeSet<_> = labels.map(str::to_owned).collect();
        for name in quoted(cells[1]).flat_map(metrics::expand) {
            known.insert(name, labels.clone());
        }
    }
    for (name, labels) in OF_OTHERS {
        let labels = labels.iter().map(|&label| label.to_owned()).collect();
        known.insert((*name).to_owned(), labels);
    }
    for rule in rules::rules()? {
        let Some(name) = rule.record else { continue };
        // A recorded series' name begins with what it is by.
        let by_function = name.starts_with("function:");
        let labels = by_function.then(|| "function".to_owned());
        known.insert(name, labels.into_iter().collect());
    }
    Ok(known)
}

/// What a query names.
#[derive(Default)]
struct Parts {
    metrics: BTreeSet<String>,
    /// In a selector's braces.
    matched: BTreeSet<String>,
    /// After `by` or `on`.
    grouped: BTreeSet<String>,
    /// That `label_replace` makes.
    made: BTreeSet<String>,
    /// Without an aggregation the answer has all labels.
    is_aggregated: bool,
    windows: BTreeSet<Duration>,
}

impl Parts {
    fn of(expr: &str) -> Result<Self> {
        let parsed = parser::parse(expr).map_err(|error| anyhow!("{expr}: {error}"))?;
        let mut parts = Self::default();
        let Ok(_) = walk_expr(&mut parts, &parsed);
        Ok(parts)
    }

    fn group(&mut self, modifier: Option<&LabelModifier>) {
        if let Some(LabelModifier::Include(labels)) = modifier {
            self.grouped.extend(labels.labels.iter().cloned());
        }
    }
}

impl ExprVisitor for Parts {
    type Error = Infallible;

    fn pre_visit(&mut self, expr: &Expr) -> Result<bool, Infallible> {
        let selector = match expr {
            Expr::VectorSelector(selector) => Some(selector),
            Expr::MatrixSelector(matrix) => {
                self.windows.insert(matrix.range);
                Some(&matrix.vs)
            }
            Expr::Aggregate(aggregate) => {
                self.is_aggregated = true;
                self.group(aggregate.modifier.as_ref());
                None
            }
            Expr::Binary(binary) => {
                let modifier = binary.modifier.as_ref();
                self.group(modifier.and_then(|it| it.matching.as_ref()));
                None
            }
            Expr::Call(call) if call.func.name == "label_replace" => {
                if let Some(Expr::StringLiteral(made)) = call.args.args.get(1).map(|it| &**it) {
                    self.made.insert(made.val.clone());
                }
                None
            }
            _ => None,
        };
        if let Some(selector) = selector {
            self.metrics.extend(selector.name.clone());
            let matchers = selector.matchers.matchers.iter();
            self.matched.extend(matchers.map(|it| it.name.clone()));
        }
        Ok(true)
    }
}

/// With what Grafana puts in place of its variables.
fn filled(expr: &str) -> String {
    expr.replace("$__rate_interval", &format!("{}s", RATE_INTERVAL.as_secs()))
        .replace("$__range_s", &RANGE.as_secs().to_string())
        .replace("$__range", &format!("{}s", RANGE.as_secs()))
}

/// The labels in `{{…}}`.
fn named_in(legend: &str) -> BTreeSet<String> {
    let parts = legend.split("{{").skip(1);
    parts
        .filter_map(|part| Some(part.split_once("}}")?.0.to_owned()))
        .collect()
}

fn check(expr: &str, legend: &str, known: &Catalogue) -> Result<()> {
    let parts = Parts::of(&filled(expr))?;
    let mut labels: BTreeSet<String> = OF_SCRAPES.iter().map(|&it| it.to_owned()).collect();
    for name in &parts.metrics {
        let family = metrics::family(name);
        let of_metric = known.get(name).or_else(|| known.get(family));
        labels.extend(
            of_metric
                .with_context(|| format!("nobody serves {name}"))?
                .clone(),
        );
        if name.ends_with("_bucket") {
            labels.insert("le".to_owned());
        }
    }
    labels.extend(parts.made);
    for label in parts.matched.iter().chain(&parts.grouped) {
        ensure!(labels.contains(label), "there is no label {label}");
    }
    let answered = if parts.is_aggregated {
        &parts.grouped
    } else {
        &labels
    };
    for label in named_in(legend) {
        ensure!(
            answered.contains(&label),
            "{legend}: {label} is not in the answer"
        );
    }
    // Long windows count rare events, an hour's lots for one. A window of minutes, written out, would miss scrapes on a long page.
    for window in parts.windows {
        ensure!(
            window == RATE_INTERVAL
                || window == RANGE
                || (window >= HOUR && window.as_secs() % 3600 == 0),
            "a window of {window:?}"
        );
    }
    Ok(())
}

/// All queries, with where they are and their legend.
fn queries(dashboard: &Value) -> Result<Vec<(String, String, String)>> {
    let text = |value: &Value| value.as_str().map(str::to_owned).context("a text");
    let mut found = Vec::new();
    for panel in dashboard["panels"].as_array().context("panels")? {
        for target in panel["targets"].as_array().into_iter().flatten() {
            found.push((
                text(&panel["title"])?,
                text(&target["expr"])?,
                text(&target["legendFormat"])?,
            ));
        }
    }
    for annotation in dashboard["annotations"]["list"]
        .as_array()
        .context("annotations")?
    {
        ensure!(
            annotation["expr"] == annotation["target"]["expr"],
            "{annotation}"
        );
        // An alert has what labels it has; a legend leaves out those that it hasn't.
        let legend = format!(
            "{}{}",
            text(&annotation["titleFormat"])?,
            text(&annotation["textFormat"])?
        );
        found.push((
            text(&annotation["name"])?,
            text(&annotation["expr"])?,
            legend,
        ));
    }
    for variable in dashboard["templating"]["list"]
        .as_array()
        .context("variables")?
    {
        let Some(query) = variable["query"]["query"].as_str() else {
            continue;
        };
        let inside = query
            .strip_prefix("label_values(")
            .and_then(|rest| rest.strip_suffix(')'));
        let (metric, label) = inside
            .and_then(|it| it.rsplit_once(", "))
            .context(query.to_owned())?;
        found.push((
            text(&variable["name"])?,
            format!("count by ({label}) ({metric})"),
            String::new(),
        ));
    }
    Ok(found)
}

#[test]
fn dashboards_ask_for_what_there_is() -> Result<()> {
    let known = catalogue()?;
    let mut faults = Vec::new();
    let mut asked = 0;
    for entry in std::fs::read_dir(root().join("observability/grafana/dashboards"))? {
        let dashboard: Value = serde_json::from_str(&std::fs::read_to_string(entry?.path())?)?;
        for (panel, expr, legend) in queries(&dashboard)? {
            asked += 1;
            if let Err(fault) = check(&expr, &legend, &known) {
                faults.push(format!("{}, {panel}: {fault}: {expr}", dashboard["uid"]));
            }
        }
    }
    ensure!(asked > 150, "{asked} queries");
    ensure!(faults.is_empty(), "{}", faults.join("\n"));
    Ok(())
}

#[test]
fn what_is_wrong_is_found() -> Result<()> {
    let known = catalogue()?;
    let fault =
        |expr: &str, legend: &str| check(expr, legend, &known).err().map(|it| it.to_string());
    let rate = |by: &str, labels: &str, window: &str| {
        format!("sum by ({by}) (rate(http_requests_total{labels}[{window}]))")
    };
    assert_eq!(
        fault(&rate("function", "", "$__rate_interval"), "{{function}}"),
        None
    );
    for (expr, legend, told) in [
        (
            "sum(http_request_total)",
            "",
            "nobody serves http_request_total",
        ),
        (
            &*rate("handler", "", "$__rate_interval"),
            "",
            "no label handler",
        ),
        (
            &*rate("function", "{code=\"500\"}", "$__rate_interval"),
            "",
            "no label code",
        ),
        (&*rate("function", "", "5m"), "", "a window of 300s"),
        (
            &*rate("function", "", "$__range"),
            "{{route}}",
            "route is not in the answer",
        ),
    ] {
        let fault = fault(expr, legend);
        assert!(
            fault.as_deref().is_some_and(|it| it.contains(told)),
            "{expr}: {fault:?}"
        );
    }
    Ok(())
}

/// A panel's only query.
fn query_of(page: &str, panel: &str) -> Result<String> {
    let page = read(&format!("observability/grafana/dashboards/{page}.json"))?;
    let found = queries(&serde_json::from_str(&page)?)?;
    let mut of_panel = found.into_iter().filter(|(title, ..)| title == panel);
    let (_, expr, _) = of_panel.next().context(panel.to_owned())?;
    ensure!(of_panel.next().is_none(), "{panel} has several queries");
    Ok(expr)
}

/// What a query finds at the end of two hours, whose samples come each minute.
fn finds(expr: &str, series: &[(&str, &str)], value: &str) -> Result<String> {
    let series = series
        .iter()
        .map(|(name, values)| json!({ "series": name, "values": values }));
    let samples = json!([{ "labels": "{}", "value": value.parse::<f64>()? }]);
    let asked = json!({ "expr": filled(expr), "eval_time": "2h", "exp_samples": samples });
    let tests = json!({ "tests": [{
        "interval": "1m",
        "input_series": series.collect::<Vec<_>>(),
        "promql_expr_test": [asked],
    }] });
    // JSON is YAML.
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(&file, tests.to_string())?;
    run(
        "promtool",
        &["test", "rules", &file.path().display().to_string()],
    )
}

/// `increase()` sees none of them: each series is born with what it counts.
#[test]
fn the_first_lot_of_a_run_counts() -> Result<()> {
    let lots = query_of("flowviz-business", "Lots, last hour")?;
    let of_run = |of: &str| format!("flowviz_lots_registered_total{{{of}, job=\"functions\"}}");
    let none = of_run("lot_type=\"RAW\", production_run=\"none\"");
    let fresh = of_run("lot_type=\"FG\", production_run=\"R1\"");
    let grows = of_run("lot_type=\"RAW\", production_run=\"R1\"");
    let old = of_run("lot_type=\"FG\", production_run=\"R0\"");
    let host = "process_start_time_seconds{job=\"functions\"}";
    for (case, series, value) in [
        (
            "two born within the hour, one of which grows; one that stands still",
            &[
                (host, "0x120"),
                (&*none, "0x120"),
                (&*fresh, "_x90 1x30"),
                (&*grows, "_x90 2x10 4x20"),
                (&*old, "7x120"),
            ][..],
            "5",
        ),
        (
            "a host that began within the hour has counted all that it knows within the hour",
            &[
                (host, "_x90 5400x30"),
                (&*none, "_x90 0x30"),
                (&*fresh, "_x90 3x30"),
            ][..],
            "3",
        ),
        (
            "an hour ago Prometheus was away: when the lots came isn't known, and they are no lots of the hour",
            &[
                (host, "0x40 _x40 0x40"),
                (&*none, "900x40 _x40 900x40"),
                (&*fresh, "_x80 5x40"),
            ][..],
            "0",
        ),
    ] {
        finds(&lots, series, value).context(case)?;
    }
    ensure!(
        finds(&lots, &[(host, "0x120"), (&fresh, "_x90 1x30")], "0").is_err(),
        "promtool takes any value"
    );
    Ok(())
}
