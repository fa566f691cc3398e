//! Promise: `/readyz` tells whether the database answers, and `pg_isready` doesn't: asked of PgBouncer, it says yes with no database
//! behind it. `flowviz ready` says what `/readyz` says, with its exit code too.

use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use flowviz_stack::{Options, Stack};
use flowviz_tests::{Database, Host, artifacts};

/// What `pg_isready` says of PgBouncer.
fn pg_isready(stack: &Stack) -> Result<String> {
    let host = stack.pgbouncer_host();
    let (address, port) = host.split_once(':').context("address and port")?;
    let output = Command::new("pg_isready")
        .args([
            "-h",
            address,
            "-p",
            port,
            "-d",
            "flowviz",
            "-U",
            "flowviz_app",
            "-t",
            "10",
        ])
        .output()
        .context("pg_isready, of the package postgresql-client-common")?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// What `flowviz ready` says of the host at this address.
fn ready(admin: &str, wait: &str) -> Result<Output> {
    Ok(Command::new(&artifacts().flowviz)
        .args(["ready", "--admin", admin, "--wait", wait])
        .output()?)
}

fn is_ready(host: &Host, wait: &str) -> Result<()> {
    let output = ready(&host.admin_url(""), wait)?;
    ensure!(
        output.status.success() && output.stdout == b"ready\n" && output.stderr.is_empty(),
        "{output:?}"
    );
    Ok(())
}

/// Fails with a message that holds `why`.
fn is_not_ready(admin: &str, why: &str) -> Result<()> {
    let output = ready(admin, "0")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.code() == Some(1) && output.stdout.is_empty() && error.contains(why),
        "{output:?}"
    );
    Ok(())
}

#[tokio::test]
async fn readyz_knows_what_pg_isready_does_not() -> Result<()> {
    let mut database = Database::watched(Stack::start(Options::temporary()).await?)?;
    database.host.wait_ready(200).await?;
    is_ready(&database.host, "0")?;

    database.stack.stop_postgres().await;
    database.host.wait_ready(503).await?;
    is_not_ready(
        &database.host.admin_url(""),
        "error: Not ready: The database doesn't answer: ",
    )?;
    let said = pg_isready(&database.stack)?;
    ensure!(said.ends_with("accepting connections"), "{said}");
    // And it wasn't just late.
    database.host.wait_ready(503).await?;
    // Whoever needs no database is served, and PgBouncer's numbers are there: it is well.
    ensure!(database.host.get("/denied/ok").await?.status == 200);
    database
        .host
        .wait_for_metrics(|metrics| metrics.get("pgbouncer_up") == Some(1.0))
        .await?;

    database.stack.start_postgres().await?;
    is_ready(&database.host, "60")?;
    database.host.wait_ready(200).await?;

    database.stack.stop_pgbouncer().await;
    database.host.wait_ready(503).await?;
    let said = pg_isready(&database.stack)?;
    ensure!(said.ends_with("no response"), "{said}");
    database.stack.start_pgbouncer().await?;
    database.host.wait_ready(200).await?;

    let admin = database.host.admin_url("");
    drop(database);
    is_not_ready(&admin, "error: no host can be reached at ")
}
