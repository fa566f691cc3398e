//! Promise: whatever the network between the host and PgBouncer does, no acknowledged write is lost, no client waits longer than its
//! function may take, and all is well by itself once the network is.

use std::time::{Duration, Instant};

use anyhow::Result;
use flowviz_tests::{Network, Trial, Way, Weather};

/// The way to a server in the same country.
const FAR: Duration = Duration::from_millis(25);

/// Longer than a statement of the WMS may take (8 s).
const GIVEN_UP: Duration = Duration::from_secs(10);

async fn start(fault: &'static str) -> Result<(Network, Trial)> {
    let stack = Trial::stack().await?;
    let network = Network::before(stack.pgbouncer_host()).await?;
    let trial = Trial::on(stack, fault, |options| network.divert(options)).await?;
    Ok((network, trial))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_black_hole() -> Result<()> {
    let (network, trial) = start("network: a black hole, and what fell into it comes out").await?;
    network.turn(Weather::Hole);
    tokio::time::sleep(GIVEN_UP).await;
    trial.until_unready().await?;
    network.turn(Weather::Fair);
    trial.over().await?.expect_outage()
}

/// A firewall that lost its memory: no packet says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn forgotten_connections() -> Result<()> {
    let (network, trial) = start("network: all connections lead nowhere, new ones work").await?;
    network.forget();
    trial.over().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_way() -> Result<()> {
    let (network, trial) = start("network: 25 ms more each way, for 4 s").await?;
    let began = Instant::now();
    network.turn(Weather::Slow(FAR));
    tokio::time::sleep(Duration::from_secs(4)).await;
    network.turn(Weather::Fair);
    trial.expect_no_failure(began)?;
    trial.over().await?.expect_no_outage()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_closed_connections() -> Result<()> {
    let (network, trial) =
        start("network: connections are closed in one direction, 20 times").await?;
    for time in 0..20 {
        network.half_close(match time % 2 {
            0 => Way::ToClient,
            _ => Way::ToServer,
        });
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    trial.over().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resets() -> Result<()> {
    let (network, trial) =
        start("network: connections are reset, and new ones turned away").await?;
    for _ in 0..10 {
        network.reset();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    network.turn(Weather::Closed);
    network.reset();
    trial.until_unready().await?;
    network.turn(Weather::Fair);
    trial.over().await?.expect_outage()
}
