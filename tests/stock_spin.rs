//! Promise: `spin.toml` is a manifest as stock Spin has it, and with the dependencies that it names, each function needs only what Spin
//! offers: the same app runs under `spin up`.
//!
//! Spin itself is not run (docs/spin.md): its manifest is read strictly, and its composition done by the crate that Spin does it with.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use flowviz_stack::{Options, Stack};
use flowviz_tests::spin::{Component, Manifest, compose, interfaces, offered};
use flowviz_tests::{User, Wms, functions, root};
use serde_json::json;
use tempfile::TempDir;

const BUILT: &str = "target/wasm32-wasip2/component";
const METRICS: &str = "flowviz:metrics/metrics@0.1.0";

fn text() -> Result<String> {
    Ok(fs::read_to_string(root().join("spin.toml"))?)
}

#[test]
fn our_manifest_is_a_stock_manifest() -> Result<()> {
    let text = text()?;
    let manifest = Manifest::read(&text)?;
    ensure!(!manifest.component.is_empty());

    // What Spin doesn't know would be refused.
    for (known, unknown) in [
        ("[component.lots]", "[component.lots]\ntimeout = \"1s\""),
        ("[application]", "[application]\ndatabase = \"x\""),
        (
            "[component.lots.build]",
            "[component.lots.build]\nevery = 1",
        ),
        ("{ private = true }", "{ hidden = true }"),
        ("default = \"127.0.0.1:6432\"", "min_bytes = 32"),
        ("{ path = ", "{ file = "),
    ] {
        ensure!(text.contains(known), known);
        let changed = text.replacen(known, unknown, 1);
        ensure!(Manifest::read(&changed).is_err(), unknown);
    }
    Ok(())
}

#[test]
fn composed_as_spin_does_it_nothing_of_ours_is_left() -> Result<()> {
    functions();
    let offered = offered()?;
    ensure!(offered.imports.contains("spin:postgres/postgres@4.2.0"));
    ensure!(!offered.imports.contains(METRICS));

    let mut composed = 0;
    for (id, component) in Manifest::read(&text()?)?.component {
        let before = interfaces(&fs::read(root().join(&component.source))?)?;
        let depends = component.dependencies.contains_key(METRICS);
        ensure!(before.imports.contains(METRICS) == depends, "{id}");

        let after = interfaces(&compose(&root(), &id, &component)?)?;
        ensure!(
            after.lacking(&offered).is_empty(),
            "{id} lacks {:?}",
            after.lacking(&offered)
        );
        ensure!(after.exports == before.exports, "{id}: {after:?}");
        ensure!(
            !after.exports.is_disjoint(&offered.exports),
            "{id}: Spin calls {:?}, not {:?}",
            offered.exports,
            after.exports
        );
        // All else stays as it was.
        let mut left = before.imports;
        left.remove(METRICS);
        ensure!(after.imports == left, "{id}: {:?}", after.imports);
        composed += usize::from(depends);
    }
    ensure!(composed > 0, "no function has a dependency");
    Ok(())
}

/// As Spin would: a dependency must be of use, and of the type that is wanted.
#[test]
fn what_spin_would_refuse_does_not_compose() -> Result<()> {
    functions();
    let component = |source: &str, path: &str| -> Result<Component> {
        let text = format!(
            "source = \"{BUILT}/{source}.wasm\"\ndependencies = {{ \"{METRICS}\" = {{ path = \"{BUILT}/{path}.wasm\" }} }}"
        );
        Ok(toml::from_str(&text)?)
    };
    for (source, path, reason) in [
        ("health", "no_metrics", "it doesn't import"),
        ("lots", "health", "which Spin denies"),
    ] {
        let refused = compose(&root(), source, &component(source, path)?);
        let told = format!("{:#}", refused.err().context("it composes")?);
        ensure!(told.contains(reason), told);
    }
    compose(&root(), "lots", &component("lots", "no_metrics")?)?;
    Ok(())
}

/// A directory with the manifest and the components that Spin would make of it.
fn composed_app() -> Result<TempDir> {
    functions();
    let directory = TempDir::new()?;
    let mut text = text()?;
    for (id, component) in Manifest::read(&text)?.component {
        let source = component.source.display().to_string();
        let to = directory.path().join(format!("{id}.wasm"));
        fs::write(&to, compose(&root(), &id, &component)?)?;
        ensure!(text.contains(&source), source);
        text = text.replace(&format!("source = \"{source}\""), &sourced(&to));
    }
    fs::write(directory.path().join("spin.toml"), text)?;
    Ok(directory)
}

fn sourced(path: &Path) -> String {
    format!("source = \"{}\"", path.display())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_composed_app_serves() -> Result<()> {
    let app = composed_app()?;
    let stack = Stack::start(Options::temporary()).await?;
    let wms = Wms::on(stack, |options| {
        options.manifest = app.path().join("spin.toml");
    })
    .await?;
    let user = User {
        wms: &wms,
        token: wms.login("operator").await?,
    };

    let raw = json!({ "lot_code": "RAW-SPIN", "lot_type": "RAW", "weight_kg": 10 });
    let raw = user.post("/api/lots", raw).await?;
    raw.is(201);
    let parents = json!([{ "lot_code": "RAW-SPIN", "quantity_used_kg": 4 }]);
    let mixed =
        json!({ "lot_code": "FG-SPIN", "lot_type": "FG", "weight_kg": 4, "parents": parents });
    user.post("/api/lots", mixed).await?.is(201);
    let decision =
        json!({ "lot_id": raw.body["id"], "decision": "HOLD", "notes": "too warm at the gate" });
    user.post("/api/qc-decisions", decision).await?.is(201);
    let item = json!({
        "client_id": "00000001-0000-4000-8000-000000000001",
        "kind": "lot",
        "payload": { "lot_code": "OFF-SPIN", "lot_type": "RAW" },
        "recorded_at": "2026-01-05T00:00:00Z",
    });
    let synced = user.post("/api/sync", json!({ "items": [item] })).await?;
    ensure!(
        synced.body["results"][0]["status"] == "created",
        "{}",
        synced.body
    );
    let trace = user.get("/api/traceability/FG-SPIN").await?;
    ensure!(
        trace.body["parents"][0]["lot_code"] == "RAW-SPIN",
        "{}",
        trace.body
    );
    user.get("/api/traceability/FG-SPIN/graph").await?.is(200);
    let recall = user.get("/api/traceability/RAW-SPIN/recall").await?;
    ensure!(
        recall.body["affected"][0]["lot_code"] == "FG-SPIN",
        "{}",
        recall.body
    );

    // The one that is called by the clock has recorded too, and nothing of all this has reached the host.
    let gauges = [("function", "gauges"), ("status", "204")];
    let metrics = wms
        .host
        .wait_for_metrics(|metrics| metrics.sum("http_requests_total", &gauges) > 0.0)
        .await?;
    for (metric, value) in metrics.series() {
        let business = ["flowviz_lots_", "flowviz_qc_", "flowviz_login_"]
            .iter()
            .any(|prefix| metric.starts_with(prefix));
        ensure!(!business || value == 0.0, "{metric} {value}");
    }
    ensure!(metrics.sum("http_requests_total", &[("function", "lots")]) >= 2.0);
    Ok(())
}
