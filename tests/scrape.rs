//! Promise: a scrape stays small, with many functions too, and is what Prometheus' own linter accepts.

use std::time::Instant;

use anyhow::{Result, ensure};
use flowviz_tests::{Host, HostOptions, probes, promtool_accepts};

const FUNCTIONS: usize = 200;
const MOST_BYTES: usize = 2_000_000;

#[tokio::test]
async fn two_hundred_functions_fit_into_two_megabytes() -> Result<()> {
    let names: Vec<_> = (0..FUNCTIONS).map(|n| format!("f{n}")).collect();
    let settings: Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
    let host = Host::with_manifest(&probes(&settings), HostOptions::default())?;
    // Series of several statuses each.
    for name in &names {
        for path in ["ok", "status?404", "status?500"] {
            host.get(&format!("/{name}/{path}")).await?;
        }
    }
    host.scrape().await?;
    let began = Instant::now();
    let scrape = host.scrape().await?;
    let took = began.elapsed();
    let series = scrape.lines().filter(|line| !line.starts_with('#')).count();
    eprintln!(
        "{FUNCTIONS} functions: {series} series, {} bytes, {took:?}",
        scrape.len()
    );
    ensure!(scrape.len() < MOST_BYTES, "{} bytes", scrape.len());
    promtool_accepts(&scrape)?;
    Ok(())
}
