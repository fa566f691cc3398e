//! Promise: what Prometheus says of rate, errors and duration is what the clients saw: counts by function and status exactly, and each
//! quantile within a bucket, of what the clients saw and of what the access log says of the same requests.

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

/// How long the requests took, by function, as the access log says: all of `count`.
async fn logged(host: &Host, count: u64) -> Result<BTreeMap<String, Vec<f64>>> {
    let began = Instant::now();
    loop {
        let mut took: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for line in host.access_log() {
            let ms = line["ms"].as_f64().context("a duration")?;
            let function = line["function"].as_str().context("a function")?;
            took.entry(function.to_owned()).or_default().push(ms / 1e3);
        }
        let lines: usize = took.values().map(Vec::len).sum();
        if lines as u64 == count {
            took.values_mut()
                .for_each(|took| took.sort_by(f64::total_cmp));
            return Ok(took);
        }
        ensure!(
            began.elapsed() < PATIENCE,
            "{lines} lines of {count} requests"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Of sorted durations.
fn quantile_of(took: &[f64], quantile: f64) -> Option<f64> {
    let rank = ((took.len() as f64 * quantile).ceil() as usize).max(1) - 1;
    took.get(rank).copied()
}

/// Which bucket a duration is in.
fn bucket(seconds: f64) -> usize {
    BUCKETS.partition_point(|edge| *edge < seconds)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_says_what_the_clients_saw() -> Result<()> {
    let stack = Stack::start(Options::temporary().with_prometheus()).await?;
    let manifest = probes(&[("fast", ""), ("slow", ""), ("failing", "")]);
    let options = HostOptions {
        env: vec![("FLOWVIZ_ACCESS_LOG".to_owned(), "on".to_owned())],
        ..HostOptions::default()
    };
    let host = Host::with_manifest(&manifest, options)?;
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
    let logged = logged(&host, seen.statuses.values().sum()).await?;
    for (function, took) in &mut seen.took {
        took.sort_by(f64::total_cmp);
        for quantile in [0.5, 0.95, 0.99] {
            let promql = format!(
                "histogram_quantile({quantile}, sum by (le) (http_request_duration_seconds_bucket{{function=\"{function}\"}}))"
            );
            let samples = query(&stack, &promql).await?;
            let said = value(samples.first().context("a quantile")?);
            ensure!(said.is_finite(), "{promql}: {samples:?}");
            let saw = quantile_of(took, quantile).context("durations")?;
            let in_log = logged
                .get(function)
                .and_then(|took| quantile_of(took, quantile))
                .context("lines")?;
            eprintln!(
                "{function} p{quantile}: Prometheus {said:.4} s, the log {in_log:.4} s, clients {saw:.4} s"
            );
            let apart = bucket(said).abs_diff(bucket(in_log));
            // Of what takes a millisecond, a client that shares its processor with the host sees mostly its own wait for its turn.
            let is_true = if function == "slow" {
                bucket(said).abs_diff(bucket(saw)) <= 1
            } else {
                bucket(said) <= bucket(saw) + 1
            };
            ensure!(
                apart <= 1 && is_true,
                "{function} {quantile}: {said} s, the log says {in_log} s, the clients saw {saw} s"
            );
        }
    }
    stack.stop().await;
    Ok(())
}
