//! Nothing is left of a load that has ended: the host, PgBouncer and PostgreSQL agree on the connections that there are, and no
//! transaction is open on any of them.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use flowviz_stack::DatabaseUrl;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage, SimpleQueryRow};

use crate::client::PATIENCE;
use crate::wms::Wms;

/// Connections in the host's pool.
const POOL: f64 = 25.0;
/// PgBouncer's server connections: `default_pool_size` and `reserve_pool_size`.
const SERVERS: i64 = 25 + 5;

/// Waits until it is so. A function that the host calls by itself may be at work for a moment.
pub async fn nothing_leaks(wms: &Wms) -> Result<()> {
    let monitor = connect(&wms.stack.monitor_url()).await?;
    let console = connect(&wms.stack.pgbouncer_stats_url()).await?;
    let deadline = Instant::now() + PATIENCE;
    loop {
        match agree(wms, &monitor, &console).await {
            Ok(()) => return Ok(()),
            Err(error) if Instant::now() > deadline => bail!("something is left: {error:#}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn agree(wms: &Wms, monitor: &Client, console: &Client) -> Result<()> {
    let metrics = wms.host.metrics().await?;
    let pool = |state| {
        let labels = [("pool", "flowviz"), ("state", state)];
        metrics.sum("flowviz_connection_pool_size", &labels)
    };
    let waiting = metrics.sum("flowviz_db_pool_waiting", &[]);
    let (busy, idle) = (pool("busy"), pool("idle"));
    ensure!(busy == 0.0 && waiting == 0.0, "{busy} busy, {waiting} wait");
    ensure!(idle <= POOL, "{idle} connections are idle");

    let clients = ours(console, "SHOW CLIENTS").await?;
    ensure!(
        clients.len() as f64 == idle,
        "the host has {idle} connections, PgBouncer {} clients",
        clients.len()
    );
    for pool in ours(console, "SHOW POOLS").await? {
        for column in ["cl_waiting", "sv_active"] {
            let number = pool.get(column).context(column)?;
            ensure!(number == "0", "PgBouncer: {number} {column}");
        }
    }
    let servers = ours(console, "SHOW SERVERS").await?.len() as i64;

    let backends = monitor
        .query_one(
            "SELECT count(*), count(*) FILTER (WHERE state <> 'idle' OR xact_start IS NOT NULL)
             FROM pg_stat_activity WHERE usename = 'flowviz_app'",
            &[],
        )
        .await?;
    let (all, at_work) = (backends.get::<_, i64>(0), backends.get::<_, i64>(1));
    ensure!(
        all == servers && all <= SERVERS,
        "PostgreSQL has {all} connections, PgBouncer {servers}"
    );
    ensure!(at_work == 0, "{at_work} backends are not idle");
    Ok(())
}

/// PgBouncer's rows about the functions' database and role.
async fn ours(console: &Client, statement: &str) -> Result<Vec<SimpleQueryRow>> {
    let messages = console.simple_query(statement).await?;
    let rows = messages.into_iter().filter_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let ours = rows.filter(|row| {
        row.get("user") == Some("flowviz_app") && row.get("database") == Some("flowviz")
    });
    Ok(ours.collect())
}

async fn connect(url: &DatabaseUrl) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}
