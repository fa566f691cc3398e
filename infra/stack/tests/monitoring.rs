//! Everything is watched: Prometheus reaches all of its targets, its rules are sound, the database's end is seen, and what fires arrives at
//! Alertmanager.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::time::{Duration, Instant};

use flowviz_stack::{MonitoringOptions, Options, Part, Stack, http_get};
use serde_json::Value;

async fn ask(url: &str, path: &str) -> Value {
    let address = url.strip_prefix("http://").unwrap();
    let (status, body) = http_get(address, path).await.unwrap();
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// A query's samples: the label `job` of each, and its value.
async fn query(stack: &Stack, promql: &str) -> Vec<(String, String)> {
    let prometheus = stack.prometheus_url().unwrap();
    let answer = ask(&prometheus, &format!("/api/v1/query?query={promql}")).await;
    let samples = answer["data"]["result"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut samples: Vec<_> = samples
        .map(|sample| (text(&sample["metric"]["job"]), text(&sample["value"][1])))
        .collect();
    samples.sort();
    samples
}

async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < Duration::from_secs(60), "never: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn everything_is_watched() {
    let options = MonitoringOptions {
        shortened: Some(20),
        ..MonitoringOptions::default()
    };
    let mut stack = Stack::start(Options::temporary().with_monitoring(options))
        .await
        .unwrap();
    let expected = ["alertmanager", "node", "postgres", "prometheus"]
        .map(|job| (job.to_owned(), "1".to_owned()));
    eventually("all targets are up", async || {
        query(&stack, "up").await == expected
    })
    .await;
    eventually("PostgreSQL is up", async || {
        query(&stack, "pg_up").await == [("postgres".to_owned(), "1".to_owned())]
    })
    .await;
    for metric in [
        "pg_stat_activity_count",
        "pg_settings_max_connections",
        "pg_stat_database_xact_commit",
        "pg_locks_count",
        "pg_database_size_bytes",
        "node_filesystem_avail_bytes",
        "node_memory_MemAvailable_bytes",
    ] {
        eventually(metric, async || !query(&stack, metric).await.is_empty()).await;
    }

    let prometheus = stack.prometheus_url().unwrap();
    let rules = ask(&prometheus, "/api/v1/rules").await;
    let groups = rules["data"]["groups"].as_array().unwrap();
    let rules: Vec<_> = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap())
        .collect();
    assert!(rules.len() > 50, "{}", rules.len());
    for rule in rules {
        assert_ne!(rule["health"], "err", "{rule}");
    }

    let alertmanager = stack.alertmanager_url().unwrap();
    let alerts = async || {
        let alerts = ask(&alertmanager, "/api/v2/alerts").await;
        alerts
            .as_array()
            .unwrap()
            .iter()
            .map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    eventually("the Watchdog barks", async || {
        alerts().await.contains(&"Watchdog".to_owned())
    })
    .await;

    stack.kill(Part::Postgres);
    eventually("PostgreSQL's end is seen", async || {
        query(&stack, "pg_up").await == [("postgres".to_owned(), "0".to_owned())]
    })
    .await;
    eventually("and told", async || {
        alerts().await.contains(&"DatabaseDown".to_owned())
    })
    .await;
    stack.start_postgres().await.unwrap();
    eventually("PostgreSQL is back", async || {
        query(&stack, "pg_up").await == [("postgres".to_owned(), "1".to_owned())]
    })
    .await;
    stack.stop().await;
}
