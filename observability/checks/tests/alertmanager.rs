//! Alertmanager's configuration is sound, whoever has to be told is told, and what they read says what they need.

use std::collections::BTreeSet;

use flowviz_observability::{read, root, rules, run};
use serde_json::{Value, json};

const CONFIGURATION: &str = "observability/alertmanager/alertmanager.yml";
const TEMPLATES: &str = "observability/alertmanager/templates/*.tmpl";

#[test]
fn amtool_takes_it() {
    let output = run("amtool", &["check-config", CONFIGURATION]).unwrap();
    assert!(output.contains("1 templates"), "{output}");
}

/// The receivers of an alert with these labels.
fn told(labels: &[&str]) -> String {
    let config = format!("--config.file={CONFIGURATION}");
    let arguments = [&["config", "routes", "test", config.as_str()], labels].concat();
    run("amtool", &arguments).unwrap().trim().to_owned()
}

#[test]
fn severity_decides_who_is_told() {
    for (labels, expected) in [
        (&["alertname=HostDown", "severity=critical"][..], "on-call"),
        (&["alertname=PoolWaitHigh", "severity=warning"], "team"),
        (&["alertname=SwapFailed", "severity=warning"], "team"),
        (&["alertname=Forgotten"], "team"),
        (&["alertname=Watchdog", "severity=info"], "dead-mans-switch"),
        // In writing, to whoever answers for quality.
        (
            &["alertname=CCPOverride", "severity=warning", "gate_number=4"],
            "quality,team",
        ),
        (
            &["alertname=HighQCFailureRate", "severity=warning"],
            "quality,team",
        ),
        (
            &["alertname=AuditChainBroken", "severity=critical"],
            "quality,on-call",
        ),
    ] {
        assert_eq!(told(labels), expected, "{labels:?}");
    }
}

#[test]
fn every_alert_reaches_whom_its_severity_asks_for() {
    for alert in rules::alerts().unwrap() {
        let severity = &alert.rule.labels["severity"];
        let receiver = match (alert.name.as_str(), severity.as_str()) {
            ("Watchdog", _) => "dead-mans-switch",
            (_, "critical") => "on-call",
            (_, "warning") => "team",
            _ => "nobody",
        };
        let told = told(&[
            &format!("alertname={}", alert.name),
            &format!("severity={severity}"),
        ]);
        assert!(
            told.split(',').any(|it| it == receiver),
            "{} ({severity}) goes to {told}",
            alert.name
        );
    }
}

fn configuration() -> Value {
    serde_saphyr::from_str(&read(CONFIGURATION).unwrap()).unwrap()
}

/// The names that matchers ask for, wherever they are.
fn matched(value: &Value, names: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            if let Some(pattern) = text.strip_prefix("alertname ") {
                let pattern = pattern
                    .trim_start_matches(['=', '~', ' '])
                    .trim_matches('"');
                names.extend(pattern.split('|').map(str::to_owned));
            }
        }
        Value::Array(list) => list.iter().for_each(|it| matched(it, names)),
        Value::Object(map) => map.values().for_each(|it| matched(it, names)),
        _ => {}
    }
}

/// A rule that was renamed would be routed and muted no more.
#[test]
fn routes_and_inhibition_name_alerts_that_there_are() {
    let mut names = BTreeSet::new();
    matched(&configuration(), &mut names);
    assert!(names.contains("DatabaseDown"), "{names:?}");
    let alerts: BTreeSet<String> = rules::alerts()
        .unwrap()
        .into_iter()
        .map(|alert| alert.name)
        .collect();
    let unknown: Vec<_> = names.difference(&alerts).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// Except to the dead man's switch, to which it would be a sign of life.
#[test]
fn whoever_is_told_is_told_of_the_end() {
    let configuration = configuration();
    for receiver in configuration["receivers"].as_array().unwrap() {
        let ways = receiver.as_object().unwrap().iter();
        for (way, settings) in ways.filter(|(key, _)| key.ends_with("_configs")) {
            for setting in settings.as_array().unwrap() {
                let expected = receiver["name"] != "dead-mans-switch";
                assert_eq!(setting["send_resolved"], expected, "{receiver} {way}");
            }
        }
    }
}

fn alert(status: &str, function: &str, ends: &str) -> Value {
    json!({
        "status": status,
        "labels": { "alertname": "HighLatency", "severity": "critical", "function": function },
        "annotations": {
            "summary": format!("{function} is slow"),
            "description": "Slower than 1 s & more.",
            "runbook_url": "https://example.com/runbooks.md#highlatency",
            "dashboard": format!("/d/flowviz-function?var-function={function}"),
        },
        "startsAt": "2001-02-03T04:05:06Z",
        "endsAt": ends,
    })
}

/// What a template makes of a message with these alerts.
fn rendered(template: &str, status: &str, alerts: &[Value]) -> String {
    let data = json!({
        "status": status,
        "alerts": alerts,
        "groupLabels": { "alertname": "HighLatency", "severity": "critical" },
        "commonLabels": { "alertname": "HighLatency", "severity": "critical" },
        "externalURL": "http://alertmanager",
    });
    let file = tempfile::NamedTempFile::new().unwrap();
    serde_json::to_writer(&file, &data).unwrap();
    let kind = if template == "html" { "html" } else { "text" };
    let glob = format!("--template.glob={}", root().join(TEMPLATES).display());
    let text = format!("--template.text={{{{ template \"flowviz.{template}\" . }}}}");
    let data = format!("--template.data={}", file.path().display());
    let kind = format!("--template.type={kind}");
    run(
        "amtool",
        &["template", "render", &glob, &text, &data, &kind],
    )
    .unwrap()
}

const NEVER: &str = "0001-01-01T00:00:00Z";
const LATER: &str = "2001-02-03T04:15:06Z";

#[test]
fn a_message_says_what_since_when_and_what_to_do() {
    let alerts = [alert("firing", "recall", NEVER)];
    let message = |template: &str| rendered(template, "firing", &alerts);
    assert_eq!(message("subject"), "[CRITICAL] HighLatency: recall is slow");
    assert_eq!(message("color"), "danger");
    assert_eq!(
        message("text"),
        "\
CRITICAL: recall is slow
Since 2001-02-03 04:05:06 UTC

Slower than 1 s & more.

What to do: https://example.com/runbooks.md#highlatency
Dashboard: http://127.0.0.1:3001/d/flowviz-function?var-function=recall

Silence it: http://alertmanager/#/alerts
"
    );
    assert_eq!(
        message("slack").trim_end(),
        "\
*recall is slow*
_Since 2001-02-03 04:05:06 UTC_
Slower than 1 s & more.
<https://example.com/runbooks.md#highlatency|What to do> · <http://127.0.0.1:3001/d/flowviz-function?var-function=recall|Dashboard>"
    );
    let html = message("html");
    for part in [
        "<title>[CRITICAL] HighLatency: recall is slow</title>",
        "Slower than 1 s &amp; more.",
        "<a href=\"https://example.com/runbooks.md#highlatency\">What to do</a>",
        "<a href=\"http://127.0.0.1:3001/d/flowviz-function?var-function=recall\">Dashboard</a>",
    ] {
        assert!(html.contains(part), "no {part} in {html}");
    }
}

#[test]
fn what_is_over_is_told_beside_what_goes_on() {
    let alerts = [
        alert("firing", "recall", NEVER),
        alert("resolved", "lots", LATER),
    ];
    assert_eq!(
        rendered("subject", "firing", &alerts),
        "[CRITICAL] HighLatency (2)"
    );
    let text = rendered("text", "firing", &alerts);
    assert!(
        text.contains("CRITICAL: recall is slow\nSince 2001-02-03 04:05:06 UTC\n")
            && text.contains("Resolved: lots is slow\nFrom 2001-02-03 04:05:06 to 04:15:06 UTC\n"),
        "{text}"
    );
}

#[test]
fn the_end_is_told_as_such() {
    let alerts = [alert("resolved", "recall", LATER)];
    let message = |template: &str| rendered(template, "resolved", &alerts);
    assert_eq!(message("subject"), "[RESOLVED] HighLatency: recall is slow");
    assert_eq!(message("color"), "good");
    assert!(message("slack").starts_with("*Resolved: recall is slow*\n"));
    assert!(message("html").contains("<b>Resolved: recall is slow</b>"));
}
