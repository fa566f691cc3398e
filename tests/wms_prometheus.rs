//! A real Prometheus scrapes the host and knows each function's rate: asked of Prometheus, not of the host.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use flowviz_stack::{Options, Stack};
use flowviz_tests::prometheus::{query, value};
use flowviz_tests::{Wms, promtool_accepts};
use serde_json::Value;

/// Prometheus scrapes every 10 s, and a rate takes two scrapes.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test]
async fn prometheus_knows_the_rate_of_each_function() -> Result<()> {
    let stack = Stack::start(Options::temporary().with_prometheus()).await?;
    let wms = Wms::on(stack, |_| {}).await?;
    wms.stack.scrape_host(wms.host.admin)?;
    let token = wms.login("viewer").await?;

    let rates = "sum by (function) (rate(http_requests_total{job=\"functions\"}[1m]))";
    let began = Instant::now();
    let rate_of = |samples: &[Value], function: &str| {
        samples
            .iter()
            .find(|sample| sample["metric"]["function"] == function)
            .map(value)
    };
    loop {
        for path in ["/api/health", "/api/lots", "/api/lots/MIX-BATCH-88"] {
            wms.http
                .get(wms.host.url(path))
                .bearer_auth(&token)
                .send()
                .await?
                .error_for_status()?;
        }
        let samples = query(&wms.stack, rates).await?;
        let served = ["health", "lots", "lot"].map(|function| rate_of(&samples, function));
        if served
            .iter()
            .all(|rate| rate.is_some_and(|rate| rate > 0.0))
        {
            // Nobody called it, and its series is there all the same, at 0.
            assert_eq!(rate_of(&samples, "traceability"), Some(0.0));
            break;
        }
        if began.elapsed() > PATIENCE {
            bail!("no rates: {samples:?}");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    let up = query(&wms.stack, "up{job=\"functions\"}").await?;
    assert_eq!(up.iter().map(value).collect::<Vec<_>>(), [1.0]);
    let p99 =
        "histogram_quantile(0.99, sum by (le) (rate(http_request_duration_seconds_bucket[1m])))";
    let p99 = query(&wms.stack, p99).await?;
    let seconds = p99.first().map(value).context("no quantile")?;
    assert!(seconds > 0.0 && seconds < 10.0, "{seconds}");
    let pool = query(&wms.stack, "flowviz_connection_pool_size{pool=\"flowviz\"}").await?;
    assert_eq!(pool.len(), 2, "busy and idle: {pool:?}");
    // PgBouncer's own numbers come the same way, and an alert that sums them leaves the console out.
    let waiting = "sum by (database) (pgbouncer_pools_client_waiting_connections{database!=\"pgbouncer\"}) + on () group_left pgbouncer_up";
    let waiting = query(&wms.stack, waiting).await?;
    assert_eq!(waiting.iter().map(value).collect::<Vec<_>>(), [1.0]);
    promtool_accepts(&wms.host.scrape().await?)?;
    Ok(())
}
