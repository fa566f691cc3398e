//! Prometheus' configuration and rules are sound: promtool takes them, every rule is tested, reads what somebody serves, and every alert says
//! what people need.

use std::collections::BTreeSet;

use flowviz_observability::rules::{self, Alert, AlertTest, RULES, TESTS};
use flowviz_observability::{metrics, read, run};

const CONFIGURATION: &str = "observability/prometheus/prometheus.yml";
const RUNBOOKS: &str = "https://github.com/flowviz/flowviz/blob/main/docs/runbooks.md";

fn promtool(arguments: &[&str], files: &[String]) -> String {
    let files = files.iter().map(String::as_str);
    let arguments: Vec<&str> = arguments.iter().copied().chain(files).collect();
    run("promtool", &arguments).unwrap()
}

#[test]
fn promtool_takes_the_configuration_with_every_file_of_rules() {
    let output = promtool(&["check", "config", CONFIGURATION], &[]);
    let found = format!("{} rule files found", rules::files(RULES).unwrap().len());
    assert!(output.contains(&found), "not {found}: {output}");
}

#[test]
fn promtool_takes_the_rules_and_finds_none_twice() {
    promtool(
        &["check", "rules", "--lint=duplicate-rules", "--lint-fatal"],
        &rules::files(RULES).unwrap(),
    );
}

/// promtool's linter looks at one file at a time.
#[test]
fn no_rule_is_in_two_files() {
    let mut seen = BTreeSet::new();
    for rule in rules::rules().unwrap() {
        let identity = (rule.record, rule.alert, rule.labels);
        assert!(seen.insert(identity.clone()), "{identity:?} is there twice");
    }
}

#[test]
fn the_rules_do_what_their_tests_say() {
    promtool(&["test", "rules"], &rules::files(TESTS).unwrap());
}

/// Is one of the alerts that a test expects this rule's?
fn fires(test: &AlertTest, alert: &Alert) -> bool {
    test.exp_alerts.iter().any(|expected| {
        let mut labels = alert.rule.labels.iter();
        labels.all(|(name, value)| expected.exp_labels.get(name) == Some(value))
    })
}

#[test]
fn every_alert_has_a_case_that_fires_it_and_one_that_doesnt() {
    let tests = rules::tests().unwrap();
    for alert in rules::alerts().unwrap() {
        let about = || tests.alerts.iter().filter(|it| it.alertname == alert.name);
        let labels = &alert.rule.labels;
        assert!(
            about().any(|test| fires(test, &alert)),
            "nothing fires {} {labels:?}",
            alert.name,
        );
        // The Watchdog always fires: that is all there is to it.
        assert!(
            alert.name == "Watchdog" || about().any(|test| !fires(test, &alert)),
            "{} {labels:?} never stays silent",
            alert.name,
        );
    }
}

#[test]
fn every_recorded_series_has_a_test_of_its_values() {
    let tests = rules::tests().unwrap();
    let read: BTreeSet<String> = tests
        .exprs
        .iter()
        .flat_map(|test| metrics::read_by(&test.expr).unwrap())
        .collect();
    for name in rules::rules()
        .unwrap()
        .into_iter()
        .filter_map(|it| it.record)
    {
        assert!(read.contains(&name), "no test reads {name}");
    }
}

#[test]
fn every_alert_says_how_bad_it_is_what_is_wrong_and_what_to_do() {
    for Alert { name, rule } in rules::alerts().unwrap() {
        let annotation = |key: &str| {
            let text = rule.annotations.get(key);
            text.unwrap_or_else(|| panic!("{name} has no {key}"))
        };
        let severity = rule.labels.get("severity").map(String::as_str);
        assert!(
            matches!(severity, Some("critical" | "warning" | "info")),
            "{name}: severity {severity:?}"
        );
        assert!(
            !annotation("summary").contains(['\n', '#']),
            "{name}: a line"
        );
        assert!(annotation("description").ends_with(['.', '}']), "{name}");
        let runbook = format!("{RUNBOOKS}#{}", name.to_lowercase());
        assert_eq!(*annotation("runbook_url"), runbook, "{name}");
        let dashboard = annotation("dashboard");
        assert!(dashboard.starts_with("/d/flowviz-"), "{name}: {dashboard}");
        for text in rule.annotations.values() {
            let bare = text.contains("{{ $value }}") || text.contains("{{$value}}");
            assert!(!bare, "{name}: a value without a format: {text}");
        }
    }
}

#[test]
fn every_alert_has_its_section_among_the_runbooks_and_no_other_has() {
    let runbooks = read("docs/runbooks.md").unwrap();
    let alerts: BTreeSet<String> = rules::alerts()
        .unwrap()
        .into_iter()
        .map(|alert| alert.name)
        .collect();
    let sections: Vec<&str> = runbooks
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        // A heading of more than one word is no alert's.
        .filter(|heading| !heading.contains(' '))
        .collect();
    let distinct: BTreeSet<String> = sections.iter().map(|&it| it.to_owned()).collect();
    assert_eq!(distinct, alerts);
    assert_eq!(sections.len(), distinct.len(), "a section is there twice");
}

/// What an expression reads and nobody serves or records.
fn unknown(expression: &str, known: &BTreeSet<String>) -> Vec<String> {
    let read = metrics::read_by(expression).unwrap();
    let is_known = |name: &String| known.contains(name) || known.contains(metrics::family(name));
    read.into_iter().filter(|name| !is_known(name)).collect()
}

fn known() -> BTreeSet<String> {
    let rules = rules::rules().unwrap().into_iter();
    let recorded = rules.filter_map(|rule| rule.record);
    recorded.chain(metrics::served().unwrap()).collect()
}

#[test]
fn rules_read_what_somebody_serves_or_records() {
    let known = known();
    for rule in rules::rules().unwrap() {
        let unknown = unknown(&rule.expr, &known);
        assert!(unknown.is_empty(), "nobody serves {unknown:?}: {rule:?}");
    }
}

/// What the runbooks tell people to ask Prometheus: `prom '...'`.
#[test]
fn runbooks_ask_for_what_somebody_serves_or_records() {
    let known = known();
    let runbooks = read("docs/runbooks.md").unwrap();
    let asked: Vec<&str> = runbooks
        .split("prom '")
        .skip(1)
        .filter_map(|rest| rest.split('\'').next())
        .collect();
    assert!(asked.len() > 20, "{asked:?}");
    for expression in asked {
        let unknown = unknown(expression, &known);
        assert!(
            unknown.is_empty(),
            "nobody serves {unknown:?}: {expression}"
        );
    }
}
