//! Promise: a scrape stays small, with many functions too, and is what Prometheus' own linter accepts. A host that is to record
//! nothing says so.

use std::time::Instant;

use anyhow::{Result, ensure};
use flowviz_tests::{Answer, Host, HostOptions, probes, promtool_accepts};
use reqwest::Method;

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

#[tokio::test]
async fn without_metrics_functions_are_served_and_a_scrape_is_told() -> Result<()> {
    let options = HostOptions {
        env: vec![("FLOWVIZ_METRICS".to_owned(), "off".to_owned())],
        ..HostOptions::default()
    };
    let host = Host::with_manifest(&probes(&[("probe", "")]), options)?;
    ensure!(host.get("/probe/ok").await?.status == 200);
    ensure!(host.get("/probe/panic").await?.status == 500);
    let scrape = Answer::of(host.admin(Method::GET, "/metrics")).await?;
    ensure!(scrape.status == 404, "{}", scrape.status);
    ensure!(scrape.text().contains("--metrics=off"), "{}", scrape.text());
    Ok(())
}
