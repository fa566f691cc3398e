//! What the stack's Prometheus says.

use anyhow::{Context as _, Result, ensure};
use flowviz_stack::Stack;
use serde_json::Value;

use crate::client::client;

/// A query's samples at this moment. A query that Prometheus refuses is an error.
pub async fn query(stack: &Stack, promql: &str) -> Result<Vec<Value>> {
    let prometheus = stack.prometheus_url().context("no Prometheus")?;
    let answer: Value = client()
        .get(format!("{prometheus}/api/v1/query"))
        .query(&[("query", promql)])
        .send()
        .await?
        .json()
        .await?;
    ensure!(answer["status"] == "success", "{promql}: {answer}");
    Ok(answer["data"]["result"]
        .as_array()
        .cloned()
        .unwrap_or_default())
}

/// A sample's value; NaN if it has none.
pub fn value(sample: &Value) -> f64 {
    sample["value"][1]
        .as_str()
        .and_then(|text| text.parse().ok())
        .unwrap_or(f64::NAN)
}
