//! One file per promise of the manifest's reader.

mod build;
mod components;
mod errors;
mod files;
mod hosts;
mod metrics;
mod origins;
mod our_manifest;
mod pool;
mod rates;
mod routes;
mod settings;
mod triggers;
mod variables;

use std::path::Path;

use super::error::ManifestErrors;
use super::reader::parse;
use super::{App, Function, Inputs};

/// A manifest around `rest`, which starts at line 4.
fn parse_with(rest: &str, inputs: &Inputs) -> Result<App, ManifestErrors> {
    let text = format!("spin_manifest_version = 2\n[application]\nname = \"app\"\n{rest}");
    parse(&text, Path::new("dir/spin.toml"), inputs)
}

/// A manifest with one component, `c`, at `/`; `rest` follows and starts at line 9, in `[component.c]`.
fn around(rest: &str) -> String {
    format!(
        "[[trigger.http]]\nroute = \"/\"\ncomponent = \"c\"\n[component.c]\nsource = \"c.wasm\"\n{rest}"
    )
}

fn function(rest: &str) -> Function {
    let app =
        parse_with(&around(rest), &Inputs::default()).unwrap_or_else(|errors| panic!("{errors}"));
    app.functions.into_iter().next().unwrap()
}

/// The errors, one a line, of a manifest around a component.
fn faults(rest: &str) -> String {
    match parse_with(&around(rest), &Inputs::default()) {
        Ok(app) => panic!("no fault found: {app:?}"),
        Err(errors) => errors.to_string(),
    }
}

/// There is exactly one fault, and its line has all of `parts`.
#[track_caller]
fn assert_fault(shown: &str, parts: &[&str]) {
    assert_eq!(shown.lines().count(), 1, "more than one fault:\n{shown}");
    for part in parts {
        assert!(shown.contains(part), "no `{part}` in: {shown}");
    }
}
