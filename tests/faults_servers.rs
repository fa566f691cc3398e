//! Promise: whatever happens to PostgreSQL or PgBouncer, no acknowledged write is lost, clients are told to come again, and all is
//! well by itself once the server is.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use flowviz_stack::Part;
use flowviz_tests::Trial;
use tokio_postgres::{Client, NoTls};

async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

async fn console(trial: &Trial) -> Result<Client> {
    connect(&trial.wms.stack.pgbouncer_admin_url()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_crashes() -> Result<()> {
    let mut trial = Trial::start("PostgreSQL is killed (-9) and started again").await?;
    trial.wms.stack.kill(Part::Postgres);
    trial.until_unready().await?;
    trial.wms.stack.start_postgres().await?;
    trial.over().await?.expect_outage()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pgbouncer_crashes() -> Result<()> {
    let mut trial = Trial::start("PgBouncer is killed (-9) and started again").await?;
    trial.wms.stack.kill(Part::PgBouncer);
    trial.until_unready().await?;
    trial.wms.stack.start_pgbouncer().await?;
    trial.over().await?.expect_outage()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pgbouncer_restarts() -> Result<()> {
    let mut trial = Trial::start("PgBouncer is restarted in order").await?;
    trial.wms.stack.stop_pgbouncer().await;
    trial.wms.stack.start_pgbouncer().await?;
    trial.over().await?;
    Ok(())
}

/// What an operator does to move the database: nobody notices a short pause, and a long one is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pgbouncer_pauses() -> Result<()> {
    let trial = Trial::start("PgBouncer: PAUSE, RESUME").await?;
    let console = console(&trial).await?;
    let began = Instant::now();
    console.simple_query("PAUSE flowviz").await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    console.simple_query("RESUME flowviz").await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    trial.expect_no_failure(began)?;

    console.simple_query("PAUSE flowviz").await?;
    trial.until_unready().await?;
    console.simple_query("RESUME flowviz").await?;
    trial.over().await?.expect_outage()
}

/// Every server connection is replaced, each when it is free: nobody notices. But a connection that logs in at that moment is ended too,
/// which PgBouncer takes for a failed login: then it refuses everybody until another login succeeds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pgbouncer_reconnects() -> Result<()> {
    let trial = Trial::start("PgBouncer: RECONNECT, five times").await?;
    let console = console(&trial).await?;
    let began = Instant::now();
    for _ in 0..5 {
        console.simple_query("RECONNECT flowviz").await?;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let log = std::fs::read_to_string(trial.wms.stack.dir().join("logs/pgbouncer.log"))?;
    if !log.contains("server login has been failing") {
        trial.expect_no_failure(began)?;
    }
    trial.over().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn server_connections_are_terminated_one_by_one() -> Result<()> {
    let trial = Trial::start("server connections are terminated, one every 50 ms").await?;
    let terminator = connect(&trial.wms.stack.app_direct_url()).await?;
    let mut terminated = 0;
    for _ in 0..100 {
        let one = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE usename = 'flowviz_app' AND pid <> pg_backend_pid() ORDER BY random() LIMIT 1";
        terminated += terminator.query(one, &[]).await?.len();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(terminator);
    ensure!(terminated > 10, "only {terminated} were terminated");
    trial.over().await?;
    Ok(())
}
