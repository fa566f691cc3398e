//! Which metrics there are: those of docs/metrics.md, those that rules record, and those of others' exporters that we use.

use std::collections::BTreeSet;
use std::convert::Infallible;

use anyhow::{Result, anyhow};
use promql_parser::parser::{self, Expr};
use promql_parser::util::{ExprVisitor, walk_expr};

use crate::read;

/// What others serve and docs/metrics.md doesn't list. Of postgres_exporter, what 0.11 and 0.15 both have.
const OF_OTHERS: &[&str] = &[
    // Prometheus' own, of its alerts.
    "ALERTS",
    "alertmanager_notifications_failed_total",
    "node_cpu_seconds_total",
    "node_filesystem_avail_bytes",
    "node_filesystem_readonly",
    "node_filesystem_size_bytes",
    "pg_settings_max_connections",
    "pg_settings_superuser_reserved_connections",
    "pg_stat_activity_count",
    "pg_up",
    "process_start_time_seconds",
    "prometheus_config_last_reload_successful",
    "prometheus_rule_evaluation_failures_total",
    "up",
];

/// The names of the metrics that somebody serves.
pub fn served() -> Result<BTreeSet<String>> {
    let mut names: BTreeSet<String> = OF_OTHERS.iter().map(|&name| name.to_owned()).collect();
    for row in read("docs/metrics.md")?
        .lines()
        .filter(|line| line.starts_with("| `"))
    {
        let cell = row.split('|').nth(1).unwrap_or_default();
        // Between backticks.
        for name in cell.split('`').skip(1).step_by(2) {
            names.extend(expand(name));
        }
    }
    Ok(names)
}

/// The metrics that an expression reads. A histogram's parts count as the histogram.
pub fn read_by(expression: &str) -> Result<BTreeSet<String>> {
    struct Names(BTreeSet<String>);
    impl ExprVisitor for Names {
        type Error = Infallible;
        fn pre_visit(&mut self, expr: &Expr) -> Result<bool, Infallible> {
            let selector = match expr {
                Expr::VectorSelector(selector) => Some(selector),
                Expr::MatrixSelector(matrix) => Some(&matrix.vs),
                _ => None,
            };
            self.0.extend(selector.and_then(|it| it.name.clone()));
            Ok(true)
        }
    }
    let expr = parser::parse(expression).map_err(|error| anyhow!("{expression}: {error}"))?;
    let mut names = Names(BTreeSet::new());
    let Ok(_) = walk_expr(&mut names, &expr);
    Ok(names.0)
}

/// A metric's own name: without what a histogram's series have at the end.
pub fn family(name: &str) -> &str {
    ["_bucket", "_count", "_sum"]
        .iter()
        .find_map(|end| name.strip_suffix(end))
        .unwrap_or(name)
}

/// `a_{b,c}_d` is `a_b_d` and `a_c_d`; a label in braces at the end says nothing about the name.
pub fn expand(name: &str) -> Vec<String> {
    let Some((before, rest)) = name.split_once('{') else {
        return vec![name.to_owned()];
    };
    let (alternatives, after) = rest.split_once('}').unwrap_or((rest, ""));
    alternatives
        .split(',')
        .flat_map(|it| expand(&format!("{before}{it}{after}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn braces_are_alternatives() {
        assert_eq!(expand("up"), ["up"]);
        assert_eq!(
            expand("a_{b,c}_{d,e}"),
            ["a_b_d", "a_b_e", "a_c_d", "a_c_e"]
        );
    }

    #[test]
    fn an_expression_reads_what_it_names_wherever_it_does() {
        let names = read_by(
            "sum by (x) (rate(a_total{l=\"v\"}[5m])) > 1 or absent(b) and on () c offset 1h == 1",
        );
        assert_eq!(Vec::from_iter(names.unwrap()), ["a_total", "b", "c"]);
        assert!(read_by("sum(").is_err());
    }
}
