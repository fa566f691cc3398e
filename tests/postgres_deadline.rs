//! Promise: a database that doesn't answer leaves a function the time to say so, and clients that leave cost nobody a connection.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use flowviz_stack::{Options, Part, Stack};
use flowviz_tests::{Database, Host, HostOptions, PATIENCE, client, probes};
use futures::future::try_join_all;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_postgres::{NoTls, SimpleQueryMessage};

/// Connections in the pool.
const POOL: usize = 25;
/// Requests of one round whose clients leave.
const LEAVING: usize = 10;
const ROUNDS: usize = 30;

const BUSY: [(&str, &str); 2] = [("pool", "flowviz"), ("state", "busy")];
const IDLE: [(&str, &str); 2] = [("pool", "flowviz"), ("state", "idle")];

/// A host whose function has two seconds.
async fn hasty() -> Result<Database> {
    let stack = Stack::start(Options::temporary()).await?;
    let manifest = probes(&[(
        "probe",
        "timeout = '2s'\nmax_concurrency = 100\ndb_quota = 25",
    )])
    .replace(
        "[component.probe.tool.flowviz]",
        &format!(
            "allowed_outbound_hosts = [\"postgres://{}\"]\n[component.probe.tool.flowviz]",
            stack.pgbouncer_host()
        ),
    );
    let host = Host::with_manifest(&manifest, HostOptions::default())?;
    Ok(Database { host, stack })
}

fn expect_given_up(call: &str, got: &Value) -> Result<()> {
    let error = &got["error"]["db-error"];
    ensure!(error["code"] == "57014", "{call}: {got}");
    ensure!(
        error["message"] == "the database did not answer within 1600 ms",
        "{call}: {got}"
    );
    Ok(())
}

/// Freezes PgBouncer until it is dropped.
struct Frozen(u32);

impl Frozen {
    fn freeze(stack: &Stack) -> Result<Self> {
        let frozen = Self(stack.pid(Part::PgBouncer).context("no PgBouncer")?);
        frozen.signal("STOP")?;
        Ok(frozen)
    }

    fn signal(&self, name: &str) -> Result<()> {
        let status = std::process::Command::new("kill")
            .args([format!("-{name}"), self.0.to_string()])
            .status()?;
        ensure!(status.success(), "kill -{name}: {status}");
        Ok(())
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.signal("CONT");
    }
}

/// The host's connections, by their ports, as PgBouncer sees them.
async fn connections(database: &Database) -> Result<BTreeSet<String>> {
    let (console, connection) =
        tokio_postgres::connect(&database.stack.pgbouncer_stats_url(), NoTls).await?;
    tokio::spawn(connection);
    let rows = console.simple_query("SHOW CLIENTS").await?;
    Ok(rows
        .iter()
        .filter_map(|row| match row {
            SimpleQueryMessage::Row(row) if row.get("user") == Some("flowviz_app") => {
                row.get("port").map(str::to_owned)
            }
            _ => None,
        })
        .collect())
}

/// A request that the test may leave.
fn asking(database: &Database, call: &str, mut asked: Value) -> JoinHandle<()> {
    asked["address"] = json!(database.stack.app_url().to_string());
    let url = database.host.url(&format!("/probe/pg/{call}"));
    tokio::spawn(async move {
        // Whatever comes of it: nobody waits for the answer.
        _ = client().post(url).json(&asked).send().await;
    })
}

async fn wait_busy(database: &Database, busy: usize) -> Result<()> {
    let busy = busy as f64;
    database
        .host
        .wait_for_metrics(|m| m.sum("flowviz_connection_pool_size", &BUSY) == busy)
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_statement_that_takes_too_long_ends_before_its_function() -> Result<()> {
    let database = hasty().await?;
    let sleeps = json!({ "statement": "SELECT pg_sleep(30)" });
    // The first rows come at once, the others never.
    let stalls = json!({ "statement": "SELECT repeat('x', 1000), CASE WHEN i = 2000 THEN pg_sleep(30) END FROM generate_series(1, 3000) i" });
    let transaction = json!({ "statements": ["BEGIN", "SELECT pg_sleep(30)"] });
    for (call, asked) in [
        ("query", &sleeps),
        ("query-async", &sleeps),
        ("execute", &sleeps),
        ("execute-async", &sleeps),
        ("query", &stalls),
        ("stream", &stalls),
        ("script", &transaction),
    ] {
        expect_given_up(call, &database.ask(call, asked.clone()).await?)?;
    }
    // Such a statement is the database's failure if the function says that it failed.
    let answer = database.call("probe", "query?fails", sleeps).await?;
    ensure!(answer.status == 500, answer.text());
    expect_given_up("query?fails", &answer.json()?)?;

    wait_busy(&database, 0).await?;
    let metrics = database.host.metrics().await?;
    let timeouts = metrics.sum("flowviz_db_queries_total", &[("result", "timeout")]);
    ensure!(timeouts == 8.0, "{timeouts} timeouts");
    ensure!(metrics.errors("probe", "database") == 1.0, "{metrics:#?}");
    ensure!(metrics.errors("probe", "timeout") == 0.0, "{metrics:#?}");

    // None of them goes on.
    let (monitor, connection) =
        tokio_postgres::connect(&database.stack.monitor_url(), NoTls).await?;
    tokio::spawn(connection);
    let deadline = Instant::now() + PATIENCE;
    let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'flowviz_app' AND wait_event = 'PgSleep'";
    while monitor.query_one(sleeping, &[]).await?.get::<_, i64>(0) > 0 {
        ensure!(Instant::now() < deadline, "the statements go on");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_pooler_that_hangs_leaves_time_to_answer() -> Result<()> {
    let database = hasty().await?;
    database.rows("SELECT 1").await?;
    {
        let _frozen = Frozen::freeze(&database.stack)?;
        // On the connections that are there, and on new ones, which nobody lets in.
        let statements = (0..5).map(|_| database.call("probe", "query?fails", json!({})));
        let mut never_connected = 0;
        for answer in try_join_all(statements).await? {
            ensure!(answer.status == 500, answer.text());
            let got = answer.json()?;
            if got["error"]["connection-failed"].is_string() {
                never_connected += 1;
            } else {
                expect_given_up("query?fails", &got)?;
            }
        }
        ensure!((1..5).contains(&never_connected), "{never_connected} of 5");
        let metrics = database.host.metrics().await?;
        ensure!(metrics.errors("probe", "database") == 5.0, "{metrics:#?}");
        ensure!(metrics.errors("probe", "timeout") == 0.0, "{metrics:#?}");
    }
    let rows = database.rows("SELECT 1").await?;
    ensure!(rows == [["DbValue::Int32(1)"]], "{rows:?}");
    wait_busy(&database, 0).await
}

/// A pool without a free connection is told as that, though the function's time is shorter than the pool's patience.
#[tokio::test]
async fn a_full_pool_is_told_as_one() -> Result<()> {
    let database = hasty().await?;
    let sleeps = json!({ "statement": "SELECT pg_sleep(30)" });
    let holders = (0..POOL).map(|_| asking(&database, "query", sleeps.clone()));
    let holders: Vec<_> = holders.collect();
    // The queue's head gets its turn when the holders' time is over; whoever waits longer than its own time does not.
    let asked = (0..2 * POOL).map(|_| database.ask("query", sleeps.clone()));
    let got = try_join_all(asked).await?;
    let full = got
        .iter()
        .filter(|got| got["error"]["db-error"]["code"] == "53300")
        .count();
    ensure!(full > 0, "{got:?}");
    let metrics = database.host.metrics().await?;
    let counted = metrics.sum("flowviz_db_pool_timeouts_total", &[("pool", "flowviz")]);
    ensure!(counted >= full as f64, "{counted} of {full}");
    for holder in holders {
        holder.abort();
    }
    Ok(())
}

#[tokio::test]
async fn clients_that_leave_cost_no_connections() -> Result<()> {
    let database = Database::start().await?;
    let owner = database.owner().await?;
    let waits = json!({ "statement": "SELECT pg_advisory_xact_lock_shared(1)" });
    let mut seen = BTreeSet::new();
    for _ in 0..ROUNDS {
        // Each of them is at work on its statement when its client leaves; the answer comes soon after.
        owner.execute("SELECT pg_advisory_lock(1)", &[]).await?;
        let leaving: Vec<_> = (0..LEAVING)
            .map(|_| asking(&database, "execute", waits.clone()))
            .collect();
        wait_busy(&database, LEAVING).await?;
        for request in &leaving {
            request.abort();
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        owner.execute("SELECT pg_advisory_unlock(1)", &[]).await?;
        let open = connections(&database).await?;
        ensure!(open.len() <= POOL, "{} connections", open.len());
        seen.extend(open);
        wait_busy(&database, 0).await?;
    }
    let metrics = database.host.metrics().await?;
    ensure!(metrics.sum("flowviz_connection_pool_size", &IDLE) > 0.0);
    let left = metrics.errors("probe", "client_disconnect");
    ensure!(left > 0.0, "{left} clients left");
    let dropped = metrics.sum("flowviz_db_queries_total", &[("result", "timeout")]);
    ensure!(dropped > 0.0, "{dropped} statements were dropped");
    // A connection for each that left would be 300. A busy machine may be late for some.
    ensure!(
        seen.len() < ROUNDS * LEAVING / 3,
        "{} connections",
        seen.len()
    );
    // What they left is clean.
    let rows = try_join_all((0..POOL).map(|_| database.rows("SELECT 1"))).await?;
    ensure!(
        rows.iter().all(|rows| *rows == [["DbValue::Int32(1)"]]),
        "{rows:?}"
    );
    Ok(())
}

/// However many leave at the same time, and though their statements would go on for long.
#[tokio::test]
async fn statements_of_clients_that_left_end_and_never_exceed_the_pool() -> Result<()> {
    let database = Database::start().await?;
    database.table("held", "id int").await?;
    let autocommit = json!({ "statement": "SELECT pg_sleep(60)" });
    let transaction =
        json!({ "statements": ["BEGIN", "INSERT INTO held VALUES (1)", "SELECT pg_sleep(60)"] });
    for _ in 0..3 {
        let leaving: Vec<_> = (0..POOL)
            .map(|n| match n % 2 {
                0 => asking(&database, "query", autocommit.clone()),
                _ => asking(&database, "script", transaction.clone()),
            })
            .collect();
        wait_busy(&database, POOL).await?;
        for request in &leaving {
            request.abort();
        }
        // Others take their places at once.
        let others = (0..POOL).map(|_| database.rows("SELECT 1"));
        let (rows, open) = tokio::try_join!(try_join_all(others), connections(&database))?;
        ensure!(
            rows.iter().all(|rows| *rows == [["DbValue::Int32(1)"]]),
            "{rows:?}"
        );
        ensure!(open.len() <= POOL, "{} connections", open.len());
        wait_busy(&database, 0).await?;
    }
    let rows = database.rows("SELECT count(*) FROM held").await?;
    ensure!(rows == [["DbValue::Int64(0)"]], "{rows:?}");
    Ok(())
}

#[tokio::test]
async fn a_host_ends_well_with_statements_that_nobody_waits_for() -> Result<()> {
    let mut database = Database::start().await?;
    let leaving: Vec<_> = (0..LEAVING)
        .map(|_| {
            asking(
                &database,
                "query",
                json!({ "statement": "SELECT pg_sleep(60)" }),
            )
        })
        .collect();
    wait_busy(&database, LEAVING).await?;
    for request in &leaving {
        request.abort();
    }
    database.host.signal("TERM")?;
    let status = database.host.wait().await?;
    ensure!(status.success(), "{status}");
    let log = database.host.log().join("\n");
    ensure!(!log.contains("panicked"), "{log}");
    Ok(())
}
