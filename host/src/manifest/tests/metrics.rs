//! A metric that is declared can be registered: names, labels and buckets are sound.

use super::{around, assert_fault, faults, function, parse_with};
use crate::manifest::{Inputs, MetricKind};

fn metric(name: &str, rest: &str) -> String {
    format!("[component.c.tool.flowviz.metrics.{name}]\nhelp = \"h\"\n{rest}")
}

#[test]
fn declarations_are_read_in_order() {
    let f = function(&format!(
        "{}\n{}\n{}",
        metric(
            "z_total",
            "type = \"counter\"\nlabels = { result = [\"ok\", \"bad\"], zone = [] }\nmax_series = 5"
        ),
        metric("a", "type = \"gauge\""),
        metric("h_seconds", "type = \"histogram\"\nbuckets = [1, 2.5]"),
    ));
    let [z, a, h] = &f.metrics[..] else {
        panic!("{:?}", f.metrics)
    };
    assert_eq!(
        (z.name.as_str(), z.help.as_str(), &z.kind, z.max_series),
        ("z_total", "h", &MetricKind::Counter, 5)
    );
    assert_eq!(
        z.labels
            .iter()
            .map(|l| (l.name.as_str(), l.known.len()))
            .collect::<Vec<_>>(),
        [("result", 2), ("zone", 0)]
    );
    assert_eq!(a.labels, []);
    assert_eq!((&a.kind, a.max_series), (&MetricKind::Gauge, 200));
    assert_eq!(
        h.kind,
        MetricKind::Histogram {
            buckets: vec![1.0, 2.5]
        }
    );
}

#[test]
fn a_histogram_without_buckets_gets_some() {
    let f = function(&metric("h", "type = \"histogram\""));
    assert!(matches!(&f.metrics[0].kind, MetricKind::Histogram { buckets } if buckets.len() > 5));
}

#[test]
fn names_are_checked() {
    for (name, reason) in [
        ("\"a-b\"", "letters, digits"),
        ("1a", "letters, digits"),
        ("\"\"", "letters, digits"),
        ("http_requests", "`http_`"),
        ("flowviz_function_x", "`flowviz_function_`"),
        ("flowviz_db_x", "`flowviz_db_`"),
        ("pgbouncer_x", "`pgbouncer_`"),
        ("flowviz_metrics_x", "`flowviz_metrics_`"),
    ] {
        assert_fault(
            &faults(&metric(name, "type = \"counter\"")),
            &[":9: [component.c.tool.flowviz.metrics]", reason],
        );
    }
    for label in ["\"a-b\"", "__a", "9a"] {
        assert_fault(
            &faults(&metric(
                "m",
                &format!("type = \"counter\"\nlabels = {{ {label} = [] }}"),
            )),
            &[":12: ", "label's name"],
        );
    }
}

#[test]
fn the_rest_is_checked() {
    for (rest, reason) in [
        ("", "`type` is missing"),
        ("type = \"countr\"", "did you mean `counter`?"),
        ("type = \"summary\"", "use one of counter, gauge, histogram"),
        (
            "type = \"counter\"\nbuckets = [1]",
            "a counter has no buckets",
        ),
        ("type = \"histogram\"\nbuckets = []", "0 buckets"),
        (
            "type = \"histogram\"\nbuckets = [1, 1]",
            "not finite and increasing",
        ),
        (
            "type = \"histogram\"\nbuckets = [2, 1]",
            "not finite and increasing",
        ),
        (
            "type = \"histogram\"\nbuckets = [1, inf]",
            "not finite and increasing",
        ),
        (
            "type = \"histogram\"\nbuckets = [1, nan]",
            "not finite and increasing",
        ),
        (
            "type = \"histogram\"\nbuckets = [\"1\"]",
            "a number belongs here",
        ),
        ("type = \"histogram\"\nlabels = { le = [] }", "`le`"),
        (
            "type = \"counter\"\nmax_series = 0",
            "choose from 1 to 10000",
        ),
        (
            "type = \"counter\"\nmax_series = 1\nlabels = { a = [\"x\", \"y\"] }",
            "2 label sets",
        ),
        (
            "type = \"counter\"\nlabels = { a = [\"x\", \"x\"] }",
            "twice",
        ),
        ("type = \"counter\"\nlabel = {}", "did you mean `labels`?"),
    ] {
        assert_fault(&faults(&metric("m", rest)), &[reason]);
    }
    assert_fault(
        &faults("[component.c.tool.flowviz.metrics.m]\ntype = \"counter\""),
        &["`help` is missing"],
    );
}

#[test]
fn two_functions_share_a_metric_only_if_they_agree() {
    let other = |kind: &str| {
        let first = around(&metric("m", "type = \"counter\""));
        format!(
            "{first}\n[[trigger.http]]\nroute = \"/d\"\ncomponent = \"d\"\n[component.d]\nsource = \"d.wasm\"\n[component.d.tool.flowviz.metrics.m]\nhelp = \"h\"\ntype = \"{kind}\""
        )
    };
    parse_with(&other("counter"), &Inputs::default()).unwrap();
    let shown = parse_with(&other("gauge"), &Inputs::default())
        .unwrap_err()
        .to_string();
    assert_fault(
        &shown,
        &[
            "dir/spin.toml:17: [component.d.tool.flowviz.metrics] m: line 9 declares this metric otherwise",
        ],
    );
}
