//! Promise: whatever one function does with its connections, the others don't notice: they get theirs, and what they are told is done
//! is done.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use flowviz_tests::{Answer, Trial, client, wms_and_probes};
use futures::future::try_join_all;
use serde_json::{Value, json};

/// How long the guests go on.
const FOR: Duration = Duration::from_secs(5);

/// The function `guest`, beside those of the WMS.
async fn start(fault: &'static str) -> Result<Trial> {
    let directory = wms_and_probes(&[("guest", "timeout = '6s'\nmax_concurrency = 1000")])?;
    let manifest = directory.path().join("spin.toml");
    let stack = Trial::stack().await?;
    let trial = Trial::on(stack, fault, |options| options.manifest = manifest).await?;
    let doomed = "CREATE TABLE doomed (id int); GRANT ALL ON doomed TO flowviz_app";
    trial.wms.database().await?.batch_execute(doomed).await?;
    Ok(trial)
}

/// So many clients ask the guest for the same again and again. Gives how often it answered with which status.
async fn visit(
    trial: &Trial,
    guests: usize,
    call: &str,
    mut asked: Value,
) -> Result<BTreeMap<u16, usize>> {
    asked["address"] = json!(trial.wms.stack.app_url().to_string());
    let url = trial.wms.host.url(&format!("/guest/pg/{call}"));
    let until = Instant::now() + FOR;
    let visitors = (0..guests).map(|_| async {
        let (client, mut statuses) = (client(), Vec::new());
        while Instant::now() < until {
            let answer = Answer::of(client.post(&url).json(&asked)).await?;
            statuses.push(answer.status.as_u16());
        }
        anyhow::Ok(statuses)
    });
    let mut counts = BTreeMap::new();
    for status in try_join_all(visitors).await?.concat() {
        *counts.entry(status).or_default() += 1;
    }
    Ok(counts)
}

/// The guest's transactions took no effect, and the others noticed nothing of it since it `began`.
async fn unnoticed(trial: Trial, began: Instant) -> Result<()> {
    let database = trial.wms.database().await?;
    let rows = database
        .query_one("SELECT count(*) FROM doomed", &[])
        .await?;
    ensure!(rows.get::<_, i64>(0) == 0, "{rows:?}");
    trial.expect_no_failure(began)?;
    trial.over().await?.expect_no_outage()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_queries_fill_the_pool() -> Result<()> {
    let trial = start("guest: 40 slow queries at a time").await?;
    let began = Instant::now();
    let slow = json!({ "statement": "SELECT pg_sleep(4)" });
    let statuses = visit(&trial, 40, "query", slow).await?;
    ensure!(statuses.contains_key(&200), "{statuses:?}");
    unnoticed(trial, began).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_never_closed() -> Result<()> {
    let trial = start("guest: 8 at a time open 50 connections each and never close them").await?;
    let began = Instant::now();
    let statuses = visit(&trial, 8, "hoard", json!({ "times": 50, "pause": 500 })).await?;
    ensure!(statuses.contains_key(&200), "{statuses:?}");
    unnoticed(trial, began).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transactions_that_sleep() -> Result<()> {
    let trial = start("guest: 40 at a time begin a transaction and sleep in it").await?;
    let began = Instant::now();
    let sleeps = json!({
        "statements": ["BEGIN", "INSERT INTO doomed VALUES (1)", "pause"], "pause": 60_000
    });
    let statuses = visit(&trial, 40, "script", sleeps).await?;
    ensure!(statuses.contains_key(&504), "{statuses:?}");
    unnoticed(trial, began).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn traps_in_a_transaction() -> Result<()> {
    let trial = start("guest: 20 at a time trap in a transaction").await?;
    let began = Instant::now();
    let traps = json!({ "statements": ["BEGIN", "INSERT INTO doomed VALUES (1)", "panic"] });
    let statuses = visit(&trial, 20, "script", traps).await?;
    ensure!(statuses.contains_key(&500), "{statuses:?}");
    unnoticed(trial, began).await
}
