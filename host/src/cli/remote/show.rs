//! Answers in a person's words.

use super::answers::{Compiled, Deployed, Function, Functions, Ready, Reloaded};
use super::table::{Table, printable};

pub fn ready(answer: &Ready) -> String {
    printable(&answer.status)
}

pub fn functions(answer: &Functions) -> String {
    let mut table = Table::new([
        "FUNCTION",
        "VERSION",
        "ORIGIN",
        "SINCE",
        "BY",
        "IN FLIGHT",
        "DRAINING",
    ]);
    for function in &answer.functions {
        let draining = match function.draining.len() {
            0 => String::new(),
            count => count.to_string(),
        };
        table.row([
            &function.id,
            &function.live.version,
            &function.live.origin,
            &function.live.at,
            &function.live.by,
            &function.in_flight.to_string(),
            &draining,
        ]);
    }
    table.to_string()
}

pub fn function(function: &Function) -> String {
    let mut text = printable(&function.id);
    if let Some(description) = &function.description {
        text += &format!(": {}", printable(description));
    }
    text += &format!("\nroutes     {}", printable(&function.routes.join(" ")));
    text += &format!("\nsource     {}", printable(&function.source));
    text += &format!("\nin flight  {}\n\n", function.in_flight);
    let mut versions = Table::new(["VERSION", "STATE", "ORIGIN", "SINCE", "BY", "BYTES"]);
    for version in &function.versions {
        versions.row([
            &version.version,
            &version.state,
            &version.origin,
            &version.at,
            &version.by,
            &version.size.to_string(),
        ]);
    }
    text += &versions.to_string();
    for draining in &function.draining {
        text += &format!(
            "\n{} drains since {}: {} in flight",
            printable(&draining.version),
            printable(&draining.since),
            draining.in_flight
        );
    }
    if let Some(error) = &function.last_error {
        text += &format!(
            "\n\nlast error ({}, {}): {}",
            printable(&error.at),
            printable(&error.r#type),
            printable(&error.detail)
        );
    }
    text
}

pub fn deployed(answer: &Deployed) -> String {
    let (function, live) = (printable(&answer.function), printable(&answer.live.version));
    if answer.unchanged {
        return format!("{function}  {live} is live already");
    }
    let before = answer
        .previous
        .as_ref()
        .map_or_else(String::new, |previous| {
            format!("{} -> ", printable(&previous.version))
        });
    let steps = &answer.ms;
    let total = steps.compile + steps.check + steps.probe.unwrap_or_default() + steps.publish;
    let compiled = match answer.compiled {
        Compiled::Cache => "from the cache",
        Compiled::Compiler => "compiled",
    };
    let probe = steps
        .probe
        .map_or_else(String::new, |ms| format!(", probed {ms:.0}"));
    format!(
        "{function}  {before}{live}  swapped in {total:.0} ms ({compiled} {:.0}, checked {:.0}{probe})",
        steps.compile, steps.check
    )
}

pub fn reloaded(answer: &Reloaded) -> String {
    let functions = &answer.functions;
    let mut text = String::new();
    for (what, ids) in [
        ("added", &functions.added),
        ("removed", &functions.removed),
        ("changed", &functions.changed),
    ] {
        if !ids.is_empty() {
            text += &format!("{what:<9}  {}\n", printable(&ids.join(" ")));
        }
    }
    for warning in &answer.warnings {
        text += &format!("warning    {}\n", printable(warning));
    }
    text + &format!(
        "{} functions unchanged, {} routes",
        functions.unchanged, answer.routes
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn version(version: &str) -> serde_json::Value {
        json!({
            "version": version, "size": 10, "state": "live", "origin": "api", "by": "me@here",
            "at": "2026-11-25T06:00:00.000Z"
        })
    }

    #[test]
    fn a_deployment_is_a_line() {
        let answer = |unchanged: bool, probe: Option<f64>| {
            let answer = json!({
                "function": "lot", "live": version("bbb"), "previous": version("aaa"), "unchanged": unchanged,
                "ms": { "receive": 1.0, "compile": 280.4, "check": 5.0, "probe": probe, "publish": 0.2 },
                "compiled": "compiler"
            });
            deployed(&serde_json::from_value(answer).unwrap())
        };
        assert_eq!(
            answer(false, Some(12.3)),
            "lot  aaa -> bbb  swapped in 298 ms (compiled 280, checked 5, probed 12)"
        );
        assert_eq!(
            answer(false, None),
            "lot  aaa -> bbb  swapped in 286 ms (compiled 280, checked 5)"
        );
        assert_eq!(answer(true, None), "lot  bbb is live already");
    }

    #[test]
    fn a_reload_names_what_it_touched() {
        let answer = json!({
            "functions": { "added": ["a", "b"], "removed": [], "changed": ["c"], "unchanged": 3 },
            "routes": 7, "warnings": ["w\u{7}"]
        });
        assert_eq!(
            reloaded(&serde_json::from_value(answer).unwrap()),
            "added      a b\nchanged    c\nwarning    w?\n3 functions unchanged, 7 routes"
        );
    }
}
