//! Promise: sizes of the pool, PgBouncer and PostgreSQL that don't fit each other are warned of at the start, each once and with what to
//! change, and again only when something has changed.

use anyhow::{Result, ensure};
use flowviz_stack::{Options, Stack};
use flowviz_tests::{Database, Host};
use tokio_postgres::NoTls;

fn warnings(host: &Host) -> Vec<String> {
    let mut log = host.log();
    log.retain(|line| line.contains("WARN") && line.contains("fix: "));
    log
}

#[tokio::test]
async fn each_misfit_is_told_once_with_what_to_change() -> Result<()> {
    let options = Options::temporary()
        .with_pgbouncer("default_pool_size = 5")
        .with_pgbouncer("max_client_conn = 30")
        .with_postgres("max_connections=10");
    let mut database = Database::watched(Stack::start(options).await?)?;
    let expected = [
        "PgBouncer lends `flowviz` 5 server connections (the 5 in reserve join only after 3 s)",
        "set `default_pool_size = 25` in pgbouncer.ini",
        "set `max_client_conn` in pgbouncer.ini to 35 or more",
        "set `max_connections` in postgresql.conf to 13 or more",
    ];
    for told in expected {
        database
            .host
            .wait_for_log(|line| line.contains(told))
            .await?;
    }
    let told = warnings(&database.host);
    ensure!(told.len() == 3, "{told:#?}");

    // What was told isn't told again because PgBouncer was away.
    database.stack.stop_pgbouncer().await;
    let up = |wanted: f64| {
        move |metrics: &flowviz_tests::Metrics| metrics.get("pgbouncer_up") == Some(wanted)
    };
    database.host.wait_for_metrics(up(0.0)).await?;
    database.stack.start_pgbouncer().await?;
    database.host.wait_for_metrics(up(1.0)).await?;

    // A change at run time is seen: first a part of it is better, then all of it but what PostgreSQL takes.
    let url = database.stack.pgbouncer_admin_url();
    let (admin, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    admin.simple_query("SET default_pool_size = 25").await?;
    let now = "set `max_connections` in postgresql.conf to 33 or more";
    database
        .host
        .wait_for_log(|line| line.contains(now))
        .await?;
    ensure!(warnings(&database.host).len() == 4, "{told:#?}");
    Ok(())
}

#[tokio::test]
async fn what_fits_again_is_said_too() -> Result<()> {
    let options = Options::temporary().with_pgbouncer("query_wait_timeout = 120");
    let database = Database::watched(Stack::start(options).await?)?;
    let told = "set `query_wait_timeout = 5`";
    database
        .host
        .wait_for_log(|line| line.contains(told))
        .await?;
    let url = database.stack.pgbouncer_admin_url();
    let (admin, connection) = tokio_postgres::connect(&url, NoTls).await?;
    tokio::spawn(connection);
    admin.simple_query("SET query_wait_timeout = 5").await?;
    database
        .host
        .wait_for_log(|line| line.contains("fit now"))
        .await?;
    ensure!(warnings(&database.host).len() == 1);
    Ok(())
}

/// A wrong connection string is an error at the start, and keeps its password to itself.
#[test]
fn what_is_no_console_is_refused_at_the_start() -> Result<()> {
    let manifest = flowviz_tests::probes(&[("probe", "")]).replacen(
        "[[trigger",
        "[application.tool.flowviz]\npgbouncer = \"postgres://stats:s3cret@127.0.0.1:6432/flowviz\"\n[[trigger",
        1,
    );
    let error = match Host::with_manifest(&manifest, flowviz_tests::HostOptions::default()) {
        Ok(_) => anyhow::bail!("it serves"),
        Err(error) => error.to_string(),
    };
    ensure!(
        error.contains("end the connection string with `/pgbouncer`"),
        "{error}"
    );
    ensure!(!error.contains("s3cret"), "{error}");
    Ok(())
}
