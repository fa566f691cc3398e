//! The API's description is what the functions are: made from their own types, readers, roles and problems, committed, served, and in
//! agreement with the manifest.
//!
//! After a change of the API: `make openapi` writes the committed description anew.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use flowviz_tests::{Reply, Wms, root};
use serde_json::Value;
use wms::Operation;

/// Set, the test writes the description instead of comparing it.
const WRITE: &str = "FLOWVIZ_WRITE_OPENAPI";

fn operations() -> Vec<Operation> {
    [
        health::operations(),
        login::operations(),
        refresh_token::operations(),
        me::operations(),
        users::operations(),
        user_role::operations(),
        lots::operations(),
        lot::operations(),
        lot_parents::operations(),
        qc_decisions::operations(),
        qc_gates::operations(),
        traceability::operations(),
        traceability_graph::operations(),
        recall::operations(),
        production_runs::operations(),
        production_run::operations(),
        scenarios::operations(),
        operators_active::operations(),
        sync::operations(),
        audit_events::operations(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn committed() -> PathBuf {
    root().join("functions/openapi/openapi.json")
}

fn generated() -> String {
    let document = wms::openapi::describe(operations(), env!("CARGO_PKG_VERSION"));
    format!("{document:#}\n")
}

#[test]
fn what_is_committed_is_what_the_functions_say() -> Result<()> {
    let generated = generated();
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(committed(), generated)?;
        return Ok(());
    }
    let committed = std::fs::read_to_string(committed())?;
    for (line, (committed, generated)) in committed.lines().zip(generated.lines()).enumerate() {
        let line = line + 1;
        ensure!(
            committed == generated,
            "functions/openapi/openapi.json:{line} says\n{committed}\nbut the functions say\n{generated}\nRun `make openapi`."
        );
    }
    ensure!(committed == generated, "`make openapi` is due");
    Ok(())
}

/// The manifest's public routes with their methods, but for the description's own.
fn manifest() -> Result<BTreeMap<String, BTreeSet<String>>> {
    let manifest: toml::Value =
        toml::from_str(&std::fs::read_to_string(root().join("spin.toml"))?)?;
    let triggers = manifest["trigger"]["http"].as_array().context("triggers")?;
    let mut routes = BTreeMap::new();
    for trigger in triggers {
        let Some(route) = trigger["route"].as_str() else {
            continue;
        };
        let component = trigger["component"].as_str().context("a component")?;
        let methods = manifest["component"][component]["tool"]["flowviz"]["methods"]
            .as_array()
            .context("methods")?;
        let methods = methods
            .iter()
            .filter_map(|method| Some(method.as_str()?.to_ascii_lowercase()));
        routes.insert(route.to_owned(), methods.collect());
    }
    routes
        .remove("/api/openapi.json")
        .context("the description's own route")?;
    Ok(routes)
}

#[test]
fn the_manifest_has_the_same_paths_and_methods() -> Result<()> {
    let document: Value = serde_json::from_str(&generated())?;
    let paths = document["paths"].as_object().context("paths")?;
    let described: BTreeMap<String, BTreeSet<String>> = paths
        .iter()
        .map(|(path, methods)| {
            let methods = methods.as_object().into_iter().flatten();
            let methods = methods.map(|(method, _)| method.clone()).collect();
            (path.replace('{', ":").replace('}', ""), methods)
        })
        .collect();
    assert_eq!(described, manifest()?);
    Ok(())
}

#[test]
fn names_are_unique_and_references_lead_somewhere() -> Result<()> {
    let document: Value = serde_json::from_str(&generated())?;
    let mut ids = BTreeSet::new();
    for methods in document["paths"].as_object().context("paths")?.values() {
        for operation in methods.as_object().context("methods")?.values() {
            let id = operation["operationId"].as_str().context("an id")?;
            assert!(ids.insert(id.to_owned()), "{id} twice");
        }
    }
    assert_eq!(ids.len(), operations().len());
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"#").skip(1) {
        let pointer = reference.split('"').next().unwrap_or_default();
        assert!(document.pointer(pointer).is_some(), "{pointer}");
    }
    Ok(())
}

#[tokio::test]
async fn what_is_served_is_what_is_committed() -> Result<()> {
    let wms = Wms::start().await?;
    let served = Reply::to(wms.http.get(wms.host.url("/api/openapi.json"))).await?;
    assert_eq!(served.status, 200);
    assert_eq!(served.header("content-type"), "application/json");
    let committed: Value = serde_json::from_str(&std::fs::read_to_string(committed())?)?;
    assert_eq!(served.body, committed);
    Ok(())
}
