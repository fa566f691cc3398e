//! `flowviz:metrics`, called as the query says: `<call>,<name>,<value>[,<label>=<value>...]`.

use serde_json::{Value, json};

mod bindings {
    spin_sdk::wit_bindgen::generate!({
        path: "../../../wit",
        world: "imports",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
    });
}

use bindings::flowviz::metrics::metrics;

pub fn record(query: &str) -> Value {
    let mut parts = query.split(',');
    let mut next = || parts.next().unwrap_or_default().to_owned();
    let (call, name, value) = (next(), next(), next().parse().unwrap_or(f64::NAN));
    let labels: Vec<_> = parts
        .filter_map(|label| label.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let recorded = match call.as_str() {
        "counter" => metrics::counter_add(&name, &labels, value),
        "gauge" => metrics::gauge_set(&name, &labels, value),
        _ => metrics::histogram_observe(&name, &labels, value),
    };
    match recorded {
        Ok(()) => json!({ "ok": null }),
        Err(error) => json!({ "error": format!("{error:?}") }),
    }
}
