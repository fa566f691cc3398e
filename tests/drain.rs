//! Promise: a host that is told to end answers every request that it has accepted, says that it is not ready meanwhile, and exits
//! with 0; told a second time, it ends at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use flowviz_tests::{Answer, Held, Host, HostOptions, client, probes};
use tokio::task::JoinSet;

const KEEP_ALIVE_CLIENTS: usize = 50;
const NEW_CONNECTION_CLIENTS: usize = 5;

fn host(args: &[&str]) -> Result<Host> {
    let options = HostOptions {
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        ..HostOptions::default()
    };
    Host::with_manifest(&probes(&[("probe", "")]), options)
}

/// Only a connection that was refused, or never completed, has not been accepted.
fn was_refused(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<reqwest::Error>()
        .is_some_and(reqwest::Error::is_connect)
}

/// Clients that send one request after the other until the host is gone. Any other end is an error.
struct Load {
    answered: Arc<AtomicU64>,
    told: Arc<AtomicBool>,
    clients: JoinSet<Result<()>>,
}

impl Load {
    fn start(host: &Host) -> Self {
        let mut load = Self {
            answered: Arc::default(),
            told: Arc::default(),
            clients: JoinSet::new(),
        };
        for number in 0..KEEP_ALIVE_CLIENTS + NEW_CONNECTION_CLIENTS {
            let keeps = number < KEEP_ALIVE_CLIENTS;
            let url = host.url(["/probe/ok", "/probe/sleep?20", "/probe/bytes?20000"][number % 3]);
            let (answered, told) = (Arc::clone(&load.answered), Arc::clone(&load.told));
            load.clients.spawn(async move {
                let mut client = client();
                loop {
                    if !keeps {
                        client = flowviz_tests::client();
                    }
                    match Answer::of(client.get(&url)).await {
                        Ok(answer) if answer.status == 200 => answered.fetch_add(1, Relaxed),
                        Ok(answer) => bail!("{url}: {} {}", answer.status, answer.text()),
                        Err(error) if told.load(Relaxed) && was_refused(&error) => return Ok(()),
                        Err(error) => return Err(error),
                    };
                }
            });
        }
        load
    }

    async fn until(&self, answered: u64) {
        while self.answered.load(Relaxed) < answered && !self.clients.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn end(mut self) -> Result<()> {
        while let Some(ended) = self.clients.join_next().await {
            ended??;
        }
        Ok(())
    }
}

async fn drains(signal: &str) -> Result<()> {
    let mut host = host(&[])?;
    host.wait_ready(200).await?;
    let load = Load::start(&host);
    load.until(500).await;
    // In flight when the signal comes, and for long after the other clients have gone.
    let (url, patient) = (host.url("/probe/sleep?2000"), client());
    let sleeper = tokio::spawn(async move { Answer::of(patient.get(url)).await });
    let (url, reader) = (host.url("/probe/drip?4,400"), client());
    let mut drip = reader.get(url).send().await?;
    ensure!(drip.chunk().await?.is_some());
    let held = Held::post(&client(), host.url("/probe/echo"));
    host.wait_for_metrics(|m| m.sum("flowviz_function_instances", &[("state", "busy")]) >= 3.0)
        .await?;

    load.told.store(true, Relaxed);
    host.signal(signal)?;
    host.wait_ready(503).await?;
    let answer = Answer::of(client().get(host.admin_url("/readyz"))).await?;
    ensure!(answer.text().contains("Draining"), answer.text());

    load.end().await?;
    held.send("all of it");
    let held = held.finish().await?;
    ensure!(
        held.status == 200 && held.text() == "all of it",
        held.text()
    );
    ensure!(sleeper.await??.text() == "slept");
    let mut pieces = 1;
    while let Some(piece) = drip.chunk().await? {
        pieces += String::from_utf8_lossy(&piece).lines().count();
    }
    ensure!(pieces == 4, "{pieces} pieces of the body came");

    let status = host.wait().await?;
    ensure!(status.code() == Some(0), "{status}");
    host.wait_for_log(|line| line.contains("every request was answered"))
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_under_load_loses_no_request() -> Result<()> {
    drains("TERM").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigint_does_the_same() -> Result<()> {
    drains("INT").await
}

#[tokio::test]
async fn an_idle_host_ends_by_itself() -> Result<()> {
    let mut host = host(&[])?;
    // A connection that is kept open, without a request, holds up nothing.
    let client = client();
    ensure!(Answer::of(client.get(host.url("/probe/ok"))).await?.status == 200);
    host.signal("TERM")?;
    ensure!(host.wait().await?.code() == Some(0));
    Ok(())
}

#[tokio::test]
async fn a_second_signal_ends_at_once() -> Result<()> {
    for (first, second) in [("TERM", "TERM"), ("INT", "INT"), ("TERM", "INT")] {
        let mut host = host(&[])?;
        let (url, client) = (host.url("/probe/sleep?600000"), client());
        let sleeper = tokio::spawn(async move { client.get(url).send().await });
        host.wait_for_metrics(|m| m.sum("http_requests_in_flight", &[]) == 1.0)
            .await?;
        host.signal(first)?;
        host.wait_ready(503).await?;
        host.signal(second)?;
        let status = host.wait().await?;
        ensure!(status.code().is_some_and(|code| code != 0), "{status}");
        ensure!(sleeper.await?.is_err());
    }
    Ok(())
}

#[tokio::test]
async fn a_request_that_outlasts_the_drain_timeout_is_cut() -> Result<()> {
    let mut host = host(&["--drain-timeout", "1"])?;
    let (url, client) = (host.url("/probe/sleep?20000"), client());
    let sleeper = tokio::spawn(async move { client.get(url).send().await });
    host.wait_for_metrics(|m| m.sum("http_requests_in_flight", &[]) == 1.0)
        .await?;
    host.signal("TERM")?;
    let status = host.wait().await?;
    ensure!(status.code() == Some(1), "{status}");
    ensure!(sleeper.await?.is_err());
    host.wait_for_log(|line| line.contains("--drain-timeout"))
        .await?;
    Ok(())
}
