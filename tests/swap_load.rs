//! What swaps cost whoever is asking: `make swaps`. Many swaps back and forth, and reloads between them, under a closed loop of clients
//! that keep their connections; first without swaps, then with them, with the release host.
//!
//! `tests/swap.rs` holds the promise; this measures, so it isn't run with the other tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use flowviz_tests::{Answer, Component, Host, HostOptions, client, probes};
use serde_json::json;
use tokio::task::JoinSet;

/// Pieces of an answer: each is from one version, and all from the same.
const PIECES: usize = 4;
/// From one swap to the next.
const PAUSE: Duration = Duration::from_millis(200);
const RELOAD_EVERY: u64 = 10;

fn number(name: &str, default: u64) -> Result<u64> {
    match std::env::var(name) {
        Ok(text) => text.parse().context(name.to_owned()),
        Err(_) => Ok(default),
    }
}

/// Latencies of the answers, in microseconds. Any other answer than a whole one of one version is an error.
struct Clients {
    over: Arc<AtomicBool>,
    clients: JoinSet<Result<Vec<u32>>>,
}

impl Clients {
    fn start(host: &Host, count: u64) -> Self {
        let over = Arc::<AtomicBool>::default();
        let mut clients = JoinSet::new();
        for _ in 0..count {
            let (over, url) = (
                Arc::clone(&over),
                host.url(&format!("/probe/version?{PIECES}")),
            );
            clients.spawn(async move {
                let client = client();
                let mut took = Vec::new();
                while !over.load(Relaxed) {
                    let sent = Instant::now();
                    let answer = Answer::of(client.get(&url)).await?;
                    took.push(u32::try_from(sent.elapsed().as_micros())?);
                    let text = answer.text();
                    ensure!(answer.status == 200, "{} {text}", answer.status);
                    let version = &text[..text.len() / PIECES];
                    ensure!(text == version.repeat(PIECES), "of two versions: {text}");
                }
                Ok(took)
            });
        }
        Self { over, clients }
    }

    async fn stop(mut self) -> Result<Vec<u32>> {
        self.over.store(true, Relaxed);
        let mut all = Vec::new();
        while let Some(took) = self.clients.join_next().await {
            all.extend(took??);
        }
        all.sort_unstable();
        Ok(all)
    }
}

fn percentile(sorted: &[u32], of_a_hundred: usize) -> f64 {
    let at = sorted.len() * of_a_hundred / 100;
    f64::from(sorted.get(at).copied().unwrap_or_default()) / 1e3
}

async fn resident_mb(host: &Host) -> Result<f64> {
    let bytes = host
        .metrics()
        .await?
        .sum("process_resident_memory_bytes", &[]);
    Ok(bytes / 1e6)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "measures; make swaps"]
async fn swaps_under_load() -> Result<()> {
    let (swaps, connections) = (number("SWAPS", 200)?, number("CONNECTIONS", 100)?);
    let host = Host::with_manifest(&probes(&[("probe", "")]), HostOptions::default())?;
    let versions = [
        Bytes::from(Component::version(2)?.0),
        Bytes::from(Component::version(1)?.0),
    ];
    // Both are compiled, and both have been live.
    for version in &versions {
        host.put("probe", version.clone()).await?;
    }

    println!("| | requests | failed | p50 ms | p99 ms | resident MB at the end |");
    println!("|---|--:|--:|--:|--:|--:|");
    let row = |what: &str, took: &[u32], resident: f64| {
        let (p50, p99) = (percentile(took, 50), percentile(took, 99));
        println!(
            "| {what} | {} | 0 | {p50:.1} | {p99:.1} | {resident:.0} |",
            took.len()
        );
    };
    let before = Clients::start(&host, connections);
    tokio::time::sleep(PAUSE * u32::try_from(swaps)?).await;
    let before = before.stop().await?;
    row("without swaps", &before, resident_mb(&host).await?);

    let during = Clients::start(&host, connections);
    let mut slowest = Duration::ZERO;
    let mut early = 0.0;
    for swap in 1..=swaps {
        let next = tokio::time::Instant::now() + PAUSE;
        let begun = Instant::now();
        let version = &versions[usize::try_from(swap % 2)?];
        let answer = host.put("probe", version.clone()).await?;
        ensure!(answer.status == 200, "{}", answer.text());
        slowest = slowest.max(begun.elapsed());
        if swap % RELOAD_EVERY == 0 {
            let reloaded = host.reload(json!({})).await?;
            ensure!(reloaded.status == 200, "{}", reloaded.text());
        }
        if swap == swaps / 10 {
            early = resident_mb(&host).await?;
        }
        tokio::time::sleep_until(next).await;
    }
    let late = resident_mb(&host).await?;
    let during = during.stop().await?;
    row(
        &format!("{swaps} swaps, {} reloads", swaps / RELOAD_EVERY),
        &during,
        late,
    );
    println!(
        "\np99 with swaps / without: {:.2}; resident after a tenth of the swaps {early:.0} MB, after all {late:.0} MB; the slowest swap {} ms",
        percentile(&during, 99) / percentile(&before, 99),
        slowest.as_millis()
    );

    let counted = host.metrics().await?;
    ensure!(counted.sum("flowviz_function_errors_total", &[]) == 0.0);
    host.expect_version("probe", 2 - swaps % 2).await?;
    Ok(())
}
