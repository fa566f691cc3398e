//! What telemetry costs: our host as it is, scraped, beside itself with neither metrics nor access log.
//!
//! Both run at the same time and are loaded in turn, so that each measurement has a neighbour in time; who comes first alternates.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::cases::Case;
use crate::cli::Telemetry;
use crate::load::Pace;
use crate::measure::{Effort, Measurement, measure};
use crate::plant::Plant;
use crate::report::{median, quantile};
use crate::server::{HostOptions, Programs, Server};

const WARM_UP: Duration = Duration::from_millis(500);

type Value = fn(&Measurement) -> f64;

const RPS: Value = |load| load.rps;
const CPU: Value = |load| load.cpu_us_per_request;
const P99: Value = |load| load.p99_ms;

/// Neighbours in time.
struct Pair {
    on: Measurement,
    off: Measurement,
}

/// Measures, and prints a row for each case.
pub async fn costs(
    wanted: &Telemetry,
    plant: &Plant,
    programs: &Programs,
    options: &HostOptions<'_>,
) -> Result<()> {
    let on = programs.start_host(options.clone()).await?;
    let off = programs
        .start_host(HostOptions {
            telemetry: false,
            ..options.clone()
        })
        .await?;
    ensure!(
        off.metrics().await.is_err(),
        "the host without telemetry serves metrics"
    );
    println!(
        "| case         | pairs |  req/s on |   off | ratio, quartiles     | CPU us on |   off | ratio | p99 ms on |   off | errors |\n\
         |--------------|------:|----------:|------:|----------------------|----------:|------:|------:|----------:|------:|-------:|"
    );
    for case in &wanted.case {
        let mut pairs = Vec::new();
        for number in 0..wanted.pairs {
            let pair = pair(wanted, plant, *case, (&on, &off), number).await?;
            eprintln!("{case:<12} {number:>3}  on  {}", pair.on);
            eprintln!("{case:<12} {number:>3}  off {}", pair.off);
            pairs.push(pair);
        }
        println!("{}", row(*case, &pairs));
        plant.tidy().await?;
    }
    Ok(())
}

async fn pair(
    wanted: &Telemetry,
    plant: &Plant,
    case: Case,
    (on, off): (&Server, &Server),
    number: usize,
) -> Result<Pair> {
    let effort = Effort {
        connections: wanted.connections,
        pace: Pace::Closed,
        warm_up: WARM_UP,
        time: Duration::try_from_secs_f64(wanted.seconds).context("--seconds")?,
        profile: None,
    };
    let with = async || {
        let load = measure(plant, on, case, effort, format!("ON{number}{case}"));
        // More often than Prometheus, which comes every 10 s.
        let scrape = async {
            tokio::time::sleep(WARM_UP + effort.time / 2).await;
            on.metrics().await
        };
        let (load, scrape) = tokio::join!(load, scrape);
        scrape?;
        load
    };
    let without = async || measure(plant, off, case, effort, format!("OFF{number}{case}")).await;
    Ok(if number.is_multiple_of(2) {
        Pair {
            on: with().await?,
            off: without().await?,
        }
    } else {
        let off = without().await?;
        Pair {
            on: with().await?,
            off,
        }
    })
}

fn row(case: Case, pairs: &[Pair]) -> String {
    let on = |value: Value| median(pairs.iter().map(|pair| value(&pair.on)));
    let off = |value: Value| median(pairs.iter().map(|pair| value(&pair.off)));
    let ratio = |value: Value, share| {
        let ratios = pairs.iter().map(|pair| value(&pair.on) / value(&pair.off));
        quantile(ratios, share)
    };
    let errors: u64 = pairs
        .iter()
        .map(|pair| pair.on.errors + pair.off.errors)
        .sum();
    format!(
        "| {case:<12} | {:>5} | {:>9.0} | {:>5.0} | {:.3} ({:.3} to {:.3}) | {:>9.1} | {:>5.1} | {:.3} | {:>9.2} | {:>5.2} | {errors:>6} |",
        pairs.len(),
        on(RPS),
        off(RPS),
        ratio(RPS, 0.5),
        ratio(RPS, 0.25),
        ratio(RPS, 0.75),
        on(CPU),
        off(CPU),
        ratio(CPU, 0.5),
        on(P99),
        off(P99),
    )
}
