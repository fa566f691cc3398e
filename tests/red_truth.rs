//! Promise: what Prometheus says of rate, errors and duration is what the clients saw: counts by function and status exactly, and each
//! quantile within a bucket.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use flowviz_stack::{Options, Stack};
use flowviz_tests::prometheus::{query, value};
use flowviz_tests::{Host, HostOptions, client, probes};
use futures::future::try_join_all;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(120);
const CLIENTS: usize = 4;

/// Of `http_request_duration_seconds`.
const BUCKETS: [f64; 13] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// What each client asks, again and again: a function, a path, and how often in a round.
const ROUND: [(&str, &str, usize); 9] = [
    ("fast", "/fast/ok", 20),
    ("fast", "/fast/status?404", 3),
    ("fast", "/fast/status?503", 2),
    ("slow", "/slow/sleep?30", 6),
    ("slow", "/slow/sleep?150", 3),
    ("slow", "/slow/sleep?700", 1),
    ("failing", "/failing/panic", 3),
    ("failing", "/failing/ok", 2),
    ("none", "/nowhere", 2),
];
const ROUNDS: usize = 8;

/// By function: how many of each status, and how long they took.
#[derive(Debug, Default)]
struct Seen {
    statuses: BTreeMap<(String, String), u64>,
    took: BTreeMap<String, Vec<f64>>,
}

async fn one_client(host: &Host) -> Result<Vec<(&'static str, u16, f64)>> {
    let client = client();
    let mut seen = Vec::new();
    for _ in 0..ROUNDS {
        for (function, path, times) in ROUND {
            for _ in 0..times {
                let sent = Instant::now();
                let answer = client.get(host.url(path)).send().await?;
                let status = answer.status().as_u16();
                answer.bytes().await?;
                seen.push((function, status, sent.elapsed().as_secs_f64()));
            }
        }
    }
    Ok(seen)
}

fn label(sample: &Value, name: &str) -> String {
    sample["metric"][name]
        .as_str()
        .unwrap_or_default()
        .to_owned()
}

/// Which bucket a duration is in.
fn bucket(seconds: f64) -> usize {
    BUCKETS.partition_point(|edge| *edge < seconds)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_says_what_the_clients_saw() -> Result<()> {
    let stack = Stack::start(Options::temporary().with_prometheus()).await?;
    let manifest = probes(&[("fast", ""), ("slow", ""), ("failing", "")]);
    let host = Host::with_manifest(&manifest, HostOptions::default())?;
    stack.scrape_host(host.admin)?;

    let mut seen = Seen::default();
    for (function, status, took) in try_join_all((0..CLIENTS).map(|_| one_client(&host)))
        .await?
        .concat()
    {
        let key = (function.to_owned(), status.to_string());
        *seen.statuses.entry(key).or_default() += 1;
        seen.took.entry(function.to_owned()).or_default().push(took);
    }

    // Counts, exactly, once the last scrape has come.
    let counts = "sum by (function, status) (http_requests_total) > 0";
    let began = Instant::now();
    let mut counted = BTreeMap::new();
    while counted != seen.statuses {
        ensure!(
            began.elapsed() < PATIENCE,
            "Prometheus: {counted:?}\nthe clients: {:?}",
            seen.statuses
        );
        tokio::time::sleep(Duration::from_millis(500)).await;
        counted.clear();
        for sample in query(&stack, counts).await? {
            let key = (label(&sample, "function"), label(&sample, "status"));
            counted.insert(key, value(&sample) as u64);
        }
    }
    let failed = query(
        &stack,
        "sum by (function) (flowviz_function_errors_total{reason=\"trap\"}) > 0",
    )
    .await?;
    ensure!(
        failed.len() == 1 && label(&failed[0], "function") == "failing",
        "{failed:?}"
    );
    ensure!(value(&failed[0]) as u64 == seen.statuses[&("failing".to_owned(), "500".to_owned())]);

    // Durations. The client's include the way there and back, so they may be in the next bucket.
    for (function, took) in &mut seen.took {
        took.sort_by(f64::total_cmp);
        for quantile in [0.5, 0.95, 0.99] {
            let promql = format!(
                "histogram_quantile({quantile}, sum by (le) (http_request_duration_seconds_bucket{{function=\"{function}\"}}))"
            );
            let samples = query(&stack, &promql).await?;
            let said = value(samples.first().context("a quantile")?);
            ensure!(said.is_finite(), "{promql}: {samples:?}");
            let rank = ((took.len() as f64 * quantile).ceil() as usize).max(1) - 1;
            let (said_in, seen_in) = (bucket(said), bucket(took[rank]));
            eprintln!(
                "{function} p{quantile}: Prometheus {said:.4} s, clients {:.4} s",
                took[rank]
            );
            // Of what takes a millisecond, a client that shares its processor with the host sees mostly its own wait for its turn.
            let is_true = if function == "slow" {
                said_in.abs_diff(seen_in) <= 1
            } else {
                said_in <= seen_in + 1
            };
            ensure!(
                is_true,
                "{function} {quantile}: {said} s, the clients saw {} s",
                took[rank]
            );
        }
    }
    stack.stop().await;
    Ok(())
}
