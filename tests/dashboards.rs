//! Promise: after a day at the plant each panel of each dashboard shows something. Every query of the committed dashboards, their variables
//! and their annotations are asked of the real Prometheus, which watches the real host, PgBouncer, PostgreSQL and the machine.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use flowviz_stack::{MonitoringOptions, Notify, Options, Stack};
use flowviz_tests::prometheus::{self, value};
use flowviz_tests::{MailSink, User, WebSink, Wms, demo_password, root, wms_and_probes};
use plant_day::Plan;
use plant_day::http::{self, Credentials, Options as DayOptions, What};
use serde_json::{Value, json};

/// Scrapes and rules come 20 times as often as in the plant.
const SHORTENED: u32 = 20;
const PATIENCE: Duration = Duration::from_secs(120);
/// Grafana's, at that scrape interval.
const RATE_INTERVAL: &str = "20s";
const RANGE: &str = "5m";
const RANGE_SECONDS: &str = "300";

/// Queries that find nothing on a good day: the dashboard, the panel, what is in the query, and why.
const EMPTY: &[(&str, &str, &str, &str)] = &[
    (
        "flowviz-business",
        "Recorded under `other`",
        "",
        "no metric has too many series",
    ),
    (
        "flowviz-infrastructure",
        "Notifications",
        "failed",
        "none failed",
    ),
];

/// One query of a dashboard.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Query {
    dashboard: String,
    panel: String,
    expr: String,
}

/// All panels, those in folded rows too.
fn panels(parent: &Value, into: &mut Vec<Value>) {
    for panel in parent["panels"].as_array().into_iter().flatten() {
        into.push(panel.clone());
        panels(panel, into);
    }
}

fn dashboards() -> Result<Vec<Value>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root().join("observability/grafana/dashboards"))? {
        let text = std::fs::read_to_string(entry?.path())?;
        found.push(serde_json::from_str(&text)?);
    }
    ensure!(found.len() == 5, "{} dashboards", found.len());
    Ok(found)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// With what Grafana puts in place of its variables.
fn filled(expr: &str, instance: &str) -> String {
    expr.replace("$__rate_interval", RATE_INTERVAL)
        .replace("$__range_s", RANGE_SECONDS)
        .replace("$__range", RANGE)
        .replace("$function", "lots|probe")
        .replace("$instance", instance)
}

fn queries() -> Result<BTreeSet<Query>> {
    let mut queries = BTreeSet::new();
    for dashboard in dashboards()? {
        let mut all = Vec::new();
        panels(&dashboard, &mut all);
        for panel in all {
            for target in panel["targets"].as_array().into_iter().flatten() {
                queries.insert(Query {
                    dashboard: text(&dashboard["uid"]),
                    panel: text(&panel["title"]),
                    expr: text(&target["expr"]),
                });
            }
        }
        for annotation in dashboard["annotations"]["list"]
            .as_array()
            .into_iter()
            .flatten()
        {
            queries.insert(Query {
                dashboard: text(&dashboard["uid"]),
                panel: format!("annotation {}", text(&annotation["name"])),
                expr: text(&annotation["expr"]),
            });
        }
        for variable in dashboard["templating"]["list"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let asked = text(&variable["query"]["query"]);
            let Some(inside) = asked
                .strip_prefix("label_values(")
                .and_then(|rest| rest.strip_suffix(')'))
            else {
                ensure!(variable["type"] == "datasource", "{variable}");
                continue;
            };
            let (metric, label) = inside.rsplit_once(", ").context("a metric and a label")?;
            queries.insert(Query {
                dashboard: text(&dashboard["uid"]),
                panel: format!("variable {label}"),
                expr: format!("count by ({label}) ({metric})"),
            });
        }
    }
    Ok(queries)
}

/// What an operator's day leaves.
async fn work(wms: &Wms) -> Result<()> {
    let http = reqwest::Client::new();
    let wrong = json!({ "email": "operator@flowviz.com", "password": "not this one" });
    http.post(wms.host.url("/api/login"))
        .json(&wrong)
        .send()
        .await?;
    for what in [What::DataSet, What::Mix] {
        let options = DayOptions {
            url: wms.host.url(""),
            credentials: Credentials {
                email: "operator@flowviz.com".to_owned(),
                password: demo_password().to_owned(),
            },
            connections: 8,
            what,
            with_run: true,
        };
        let plan = Plan {
            code_prefix: format!("{what:?}-"),
            ..Plan::of(100, 1)
        };
        let limit = tokio::time::sleep(Duration::from_secs(15));
        http::run(&plan, options, limit).await?;
    }

    let operator = User::login(wms, "operator").await?;
    let manager = User::login(wms, "manager").await?;
    let scenario = operator.get("/api/scenarios").await?.body[0]["id"].clone();
    for status in ["COMPLETED", "CANCELLED"] {
        let run = json!({ "scenario_id": scenario });
        let run = operator.post("/api/production-runs", run).await?;
        let path = format!("/api/production-runs/{}", text(&run.is(201).body["id"]));
        operator
            .patch(&path, json!({ "status": status }))
            .await?
            .is(200);
    }
    let lot = operator.lot(json!({ "lot_code": "FRZ-WARM" })).await?;
    let gates = operator.get("/api/qc-gates").await?;
    let freezer = gates.body.as_array().and_then(|gates| {
        gates
            .iter()
            .find(|gate| text(&gate["gate_number"]) == "7" || gate["gate_number"] == 7)
    });
    let warm = json!({
        "lot_id": lot, "qc_gate_id": freezer.context("the freezer")?["id"], "decision": "PASS",
        "temperature_c": -15.0, "notes": "at the edge only; colder in the middle",
    });
    manager.post("/api/qc-decisions", warm).await?.is(201);
    for decision in ["HOLD", "FAIL"] {
        let decided = json!({ "lot_id": lot, "decision": decision, "notes": "a splinter of 3 mm" });
        operator.post("/api/qc-decisions", decided).await?.is(201);
    }
    for path in ["", "/graph", "/recall"] {
        let asked = format!("/api/traceability/FRZ-WARM{path}");
        manager.get(&asked).await?.is(200);
    }
    let batch = json!({ "items": [], "pending_after": 7 });
    operator.post("/api/sync", batch).await?.is(200);
    http.get(wms.host.url("/nowhere")).send().await?;
    Ok(())
}

/// A number that a panel can show.
fn shows(sample: &Value) -> bool {
    value(sample).is_finite()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_panel_has_something_to_show() -> Result<()> {
    let sink = WebSink::start().await?;
    let monitoring = MonitoringOptions {
        notify: Some(Notify {
            smtp: MailSink::start()?.address,
            slack: format!("{}/slack", sink.url),
            dead_mans_switch: format!("{}/dead-mans-switch", sink.url),
        }),
        shortened: Some(SHORTENED),
    };
    let stack = Stack::start(Options::temporary().with_tls().with_monitoring(monitoring)).await?;
    // A function besides, that can be swapped, whose instances end, and that meets its limits.
    let directory = wms_and_probes(&[(
        "probe",
        "timeout = '500ms'\nmemory_limit = '16MiB'\ninstance_reuse = { max_requests = 5 }",
    )])?;
    let manifest = directory.path().join("spin.toml");
    let wms = Wms::on(stack, |options| options.manifest = manifest).await?;
    wms.stack.scrape_host(wms.host.admin)?;
    let began = Instant::now();
    let instance = loop {
        let host = prometheus::query(&wms.stack, "up{job=\"functions\"} == 1").await?;
        let machine = prometheus::query(&wms.stack, "node_uname_info").await?;
        if let (Some(_), Some(machine)) = (host.first(), machine.first()) {
            break text(&machine["metric"]["instance"]);
        }
        ensure!(
            began.elapsed() < PATIENCE,
            "never scraped: {host:?} {machine:?}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    };

    // The day goes on until every panel has shown something, each of them at some time.
    let mut left = queries()?;
    let all = left.len();
    ensure!(all > 150, "{all} queries");
    let mut version = 1;
    let operator = User::login(&wms, "operator").await?;
    while left.iter().any(|query| !is_empty_by_design(query)) {
        if began.elapsed() > PATIENCE {
            bail!("nothing to show, of {all} queries: {left:#?}");
        }
        version += 1;
        wms.host.deploy("probe", version).await?;
        for (path, times) in [
            ("/probe/ok", 20),
            ("/api/lots", 20),
            ("/probe/panic", 3),
            ("/probe/sleep?1000", 1),
            ("/probe/allocate?64", 1),
        ] {
            for _ in 0..times {
                wms.http.get(wms.host.url(path)).send().await?;
            }
        }
        // The long part of the day is at its beginning.
        if version == 2 {
            work(&wms).await?;
        }
        let lot = json!({ "lot_code": format!("ROUND-{version}") });
        operator.lot(lot).await?;
        let mut still = BTreeSet::new();
        for query in left {
            let samples = prometheus::query(&wms.stack, &filled(&query.expr, &instance)).await?;
            if !samples.iter().any(shows) {
                still.insert(query);
            }
        }
        left = still;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let empty: Vec<_> = left
        .iter()
        .map(|query| (&query.dashboard, &query.panel))
        .collect();
    eprintln!(
        "{} of {all} queries have data; empty by design: {empty:?}",
        all - left.len()
    );
    Ok(())
}

fn is_empty_by_design(query: &Query) -> bool {
    EMPTY.iter().any(|(dashboard, panel, part, _)| {
        query.dashboard == *dashboard && query.panel == *panel && query.expr.contains(part)
    })
}
