//! Promise: functions share one small pool of connections without noticing each other: a transaction keeps its connection, whatever
//! ends a function ends its transaction, waiting is bounded, and a database that went away is used again when it is back.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use flowviz_tests::{Database, Innocents, PATIENCE};
use futures::future::try_join_all;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde_json::{Value, json};

/// Connections in the pool.
const POOL: usize = 25;
/// Two times this leaves some of them free: nobody waits, however slow the machine is.
const AT_ONCE: usize = 10;

fn script(statements: &[&str]) -> Value {
    json!({ "statements": statements })
}

/// Waits until the database answers a function like this.
async fn until(
    database: &Database,
    statement: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let got = database
            .ask("query", json!({ "statement": statement }))
            .await?;
        if wanted(&got) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!("{statement}: {got}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn more_statements_than_connections_all_succeed() -> Result<()> {
    let database = Database::shared().await?;
    let (from_many, from_one) = tokio::try_join!(
        try_join_all(
            (0..300)
                .map(|_| database.ask("query", json!({ "statement": "SELECT pg_sleep(0.01)" })))
        ),
        database.ask(
            "concurrent",
            json!({ "statement": "SELECT 1", "times": 300 })
        ),
    )?;
    for got in &from_many {
        ensure!(
            got["ok"]["rows"]
                .as_array()
                .is_some_and(|rows| rows.len() == 1),
            "{got}"
        );
    }
    ensure!(from_one == json!({ "ok": 300 }), "{from_one}");
    let metrics = database.host.metrics().await?;
    let pool = metrics.sum("flowviz_connection_pool_size", &[("pool", "flowviz")]);
    ensure!(pool > 0.0 && pool <= POOL as f64, "{pool} connections");
    Ok(())
}

#[tokio::test]
async fn a_transaction_keeps_its_connection() -> Result<()> {
    // Of its own: guests that die beside it cost PgBouncer connections, which it makes anew one by one while others wait.
    let database = Database::start().await?;
    database.table("pinned", "id int").await?;
    // Noise that would take the connection if it came back too early.
    let others = Innocents::start(&database.host, &["/denied/ok"]);
    let noise = stream::iter(0..100)
        .map(|_| database.ask("query", json!({ "statement": "SELECT pg_sleep(0.005)" })))
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<_>>();
    let transactions = stream::iter(0..40).map(|number| {
        let insert = format!("INSERT INTO pinned VALUES ({number})");
        let database = &database;
        async move {
            let (set, get) = (
                format!("SET LOCAL flowviz.mine = '{number}'"),
                format!("SELECT current_setting('flowviz.mine', true) = '{number}'"),
            );
            let same = script(&["BEGIN", &insert, &set, "SELECT pg_sleep(0.01)", &get]);
            // Some are left open, and so rolled back. Each costs PgBouncer a connection, and it makes new ones one by one.
            if number % 8 == 0 {
                let got = database.ask("script", same.clone()).await?;
                ensure!(
                    got == json!({ "ok": [["DbValue::Boolean(true)"]] }),
                    "{got}"
                );
            }
            let end = if number % 2 == 0 {
                "COMMIT"
            } else {
                "ROLLBACK"
            };
            let ended = script(&["BEGIN", &insert, &set, "SELECT pg_sleep(0.01)", &get, end]);
            let got = database.ask("script", ended).await?;
            ensure!(got["ok"].is_array(), "{got}");
            Ok(())
        }
    });
    let transactions = transactions
        .buffer_unordered(AT_ONCE)
        .try_collect::<Vec<_>>();
    tokio::try_join!(noise, transactions)?;
    others.stop().await?;
    // What was local to a transaction has gone with it.
    for _ in 0..POOL + 5 {
        let rows = database
            .rows("SELECT coalesce(current_setting('flowviz.mine', true), '') = ''")
            .await?;
        ensure!(rows == [["DbValue::Boolean(true)"]], "{rows:?}");
    }
    let rows = database.rows("SELECT id FROM pinned ORDER BY id").await?;
    let expected: Vec<_> = (0..40)
        .step_by(2)
        .map(|id| vec![format!("DbValue::Int32({id})")])
        .collect();
    ensure!(rows == expected, "{rows:?}");
    Ok(())
}

#[tokio::test]
async fn a_guest_that_dies_in_a_transaction_leaves_nothing_behind() -> Result<()> {
    let database = Database::shared().await?;
    database.table("locked", "id int").await?;
    let dies = script(&[
        "BEGIN",
        "LOCK TABLE locked IN ACCESS EXCLUSIVE MODE",
        "INSERT INTO locked VALUES (1)",
        "panic",
    ]);
    for _ in 0..POOL + 5 {
        let answer = database.call("probe", "script", dies.clone()).await?;
        answer.expect_problem(500, "function-failed")?;
    }
    // Nobody holds the lock, nobody sees the row, and whoever comes next is in no transaction.
    let rows = database.rows("SELECT count(*) FROM locked").await?;
    ensure!(rows == [["DbValue::Int64(0)"]], "{rows:?}");
    for _ in 0..POOL + 5 {
        let got = database
            .ask(
                "script",
                script(&[
                    "INSERT INTO locked VALUES (2)",
                    "SELECT txid_current_if_assigned() IS NULL",
                ]),
            )
            .await?;
        ensure!(
            got == json!({ "ok": [["DbValue::Boolean(true)"]] }),
            "{got}"
        );
    }
    let count = database
        .owner()
        .await?
        .query_one("SELECT count(*) FROM locked", &[])
        .await?
        .get::<_, i64>(0);
    ensure!(count == (POOL + 5) as i64, "{count} rows were committed");
    Ok(())
}

/// A failed transaction stays failed until the guest ends it, and never becomes another's.
#[tokio::test]
async fn a_failed_transaction_is_nobody_elses() -> Result<()> {
    let database = Database::shared().await?;
    for _ in 0..POOL + 5 {
        let got = database
            .ask("script", script(&["BEGIN", "SELECT 1 / 0"]))
            .await?;
        ensure!(got["error"]["db-error"]["code"] == "22012", "{got}");
        let rows = database.rows("SELECT 1").await?;
        ensure!(rows == [["DbValue::Int32(1)"]], "{rows:?}");
    }
    Ok(())
}

#[tokio::test]
async fn waiting_for_a_connection_is_bounded() -> Result<()> {
    let database = Database::start().await?;
    let holders: Vec<_> = (0..POOL)
        .map(|_| {
            let url = database.host.url("/probe/pg/query");
            let asked = json!({ "address": database.stack.app_url().to_string(), "statement": "SELECT pg_sleep(50)" });
            tokio::spawn(flowviz_tests::client().post(url).json(&asked).send())
        })
        .collect();
    let busy = [("pool", "flowviz"), ("state", "busy")];
    database
        .host
        .wait_for_metrics(|m| m.sum("flowviz_connection_pool_size", &busy) == POOL as f64)
        .await?;
    let others = Innocents::start(&database.host, &["/denied/ok"]);
    let got = database
        .ask("query", json!({ "statement": "SELECT 1" }))
        .await?;
    ensure!(got["error"]["db-error"]["code"] == "53300", "{got}");
    others.stop().await?;
    let metrics = database.host.metrics().await?;
    ensure!(metrics.sum("flowviz_db_pool_timeouts_total", &[("pool", "flowviz")]) == 1.0);
    ensure!(
        metrics.sum(
            "flowviz_db_queries_total",
            &[("function", "probe"), ("result", "timeout")]
        ) == 1.0
    );

    // Their clients leave: their statements end, and their connections are free.
    for holder in holders {
        holder.abort();
    }
    until(&database, "SELECT 1", |got| got["ok"].is_object()).await?;
    database
        .host
        .wait_for_metrics(|m| m.sum("flowviz_connection_pool_size", &busy) == 0.0)
        .await?;
    let owner = database.owner().await?;
    let deadline = Instant::now() + PATIENCE;
    let sleeping = "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.usename = 'flowviz_app' AND l.locktype = 'virtualxid'";
    while owner.query_one(sleeping, &[]).await?.get::<_, i64>(0) > 0 {
        ensure!(
            Instant::now() < deadline,
            "the statements of clients that left go on"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[tokio::test]
async fn a_database_that_went_away_is_used_again_when_it_is_back() -> Result<()> {
    let mut database = Database::start().await?;
    let others = Innocents::start(&database.host, &["/denied/ok"]);
    until(&database, "SELECT 1", |got| got["ok"].is_object()).await?;

    database.stack.stop_pgbouncer().await;
    for call in ["query", "query-async", "execute", "execute-async"] {
        let got = database
            .ask(call, json!({ "statement": "SELECT 1" }))
            .await?;
        ensure!(
            got["error"]["connection-failed"].is_string(),
            "{call}: {got}"
        );
    }
    // A function that fails for it is counted so; one that fails for its own statement is not.
    let answer = database.call("probe", "query?fails", json!({})).await?;
    ensure!(answer.status == 500, answer.text());
    database.stack.start_pgbouncer().await?;
    until(&database, "SELECT 1", |got| got["ok"].is_object()).await?;
    let answer = database
        .call(
            "probe",
            "query?fails",
            json!({ "statement": "SELECT 1 / 0" }),
        )
        .await?;
    ensure!(answer.status == 500, answer.text());
    let metrics = database.host.metrics().await?;
    ensure!(metrics.errors("probe", "database") == 1.0, "{metrics:#?}");

    // PgBouncer is there and PostgreSQL behind it is not.
    database.stack.stop_postgres().await;
    let got = database
        .ask("query", json!({ "statement": "SELECT 1" }))
        .await?;
    ensure!(got["error"].is_object(), "{got}");
    database.stack.start_postgres().await?;
    until(&database, "SELECT 1", |got| got["ok"].is_object()).await?;

    others.stop().await?;
    let metrics = database.host.metrics().await?;
    let result = |result: &str| {
        metrics.sum(
            "flowviz_db_queries_total",
            &[("function", "probe"), ("result", result)],
        )
    };
    ensure!(
        result("unavailable") >= 4.0 && result("ok") >= 3.0,
        "{metrics:#?}"
    );
    Ok(())
}

#[tokio::test]
async fn statements_are_counted_by_their_result() -> Result<()> {
    let database = Database::start().await?;
    let count = |metrics: &flowviz_tests::Metrics, result: &str| {
        let series = format!(r#"flowviz_db_queries_total{{function="probe",result="{result}"}}"#);
        metrics.get(&series)
    };
    let before = database.host.metrics().await?;
    for result in ["ok", "error", "timeout", "unavailable"] {
        ensure!(
            count(&before, result) == Some(0.0),
            "{result} doesn't exist from the start"
        );
    }
    for (call, statement) in [
        ("query", "SELECT 1"),
        ("query-async", "SELECT 1"),
        ("execute", "SELECT 1"),
        ("stream", "SELECT generate_series(1, 100000)"),
        ("query", "SELEKT"),
        ("query-async", "SELECT 1 / 0"),
        (
            "stream",
            "SELECT 1 / (50000 - i) FROM generate_series(1, 100000) i",
        ),
    ] {
        database
            .ask(call, json!({ "statement": statement }))
            .await?;
    }
    let after = database.host.metrics().await?;
    ensure!(
        count(&after, "ok") == Some(4.0),
        "{:?} ok",
        count(&after, "ok")
    );
    ensure!(
        count(&after, "error") == Some(3.0),
        "{:?} error",
        count(&after, "error")
    );
    ensure!(count(&after, "timeout") == Some(0.0) && count(&after, "unavailable") == Some(0.0));
    let timed = after.sum(
        "flowviz_db_query_duration_seconds_count",
        &[("function", "probe")],
    );
    ensure!(timed == 7.0, "{timed} durations");
    // The errors were the function's own to handle: it answered with 200.
    ensure!(after.errors("probe", "database") == 0.0);
    Ok(())
}

#[tokio::test]
async fn savepoints_work_as_anywhere() -> Result<()> {
    let database = Database::shared().await?;
    database.table("saved", "id int PRIMARY KEY").await?;
    let got = database
        .ask(
            "script",
            script(&[
                "BEGIN",
                "INSERT INTO saved VALUES (1)",
                "SAVEPOINT before",
                "INSERT INTO saved VALUES (2)",
                "ROLLBACK TO SAVEPOINT before",
                "INSERT INTO saved VALUES (3)",
                "RELEASE SAVEPOINT before",
                "COMMIT",
            ]),
        )
        .await?;
    ensure!(got["ok"].is_array(), "{got}");
    let rows = database.rows("SELECT id FROM saved ORDER BY id").await?;
    ensure!(
        rows == [["DbValue::Int32(1)"], ["DbValue::Int32(3)"]],
        "{rows:?}"
    );
    Ok(())
}

/// What can't be done is refused before anything is sent, and says what to do instead.
#[tokio::test]
async fn what_would_outlive_its_transaction_is_refused() -> Result<()> {
    let database = Database::shared().await?;
    for statement in [
        "SET search_path = pg_catalog",
        "LISTEN lots",
        "PREPARE p AS SELECT 1",
        "CREATE TEMP TABLE t (id int)",
        "SELECT pg_advisory_lock(4711)",
        "SELECT set_config('search_path', 'pg_catalog', false)",
    ] {
        let got = database
            .ask("execute", json!({ "statement": statement }))
            .await?;
        let error = &got["error"]["db-error"];
        ensure!(error["code"] == "0A000", "{statement}: {got}");
        ensure!(
            error["detail"] == "The statement was not sent.",
            "{statement}: {got}"
        );
    }
    // Several statements in one string: PostgreSQL says so itself, and nothing of it has run.
    database.table("several", "id int").await?;
    let several = "INSERT INTO several VALUES (1); INSERT INTO several VALUES (2)";
    let got = database
        .ask("execute", json!({ "statement": several }))
        .await?;
    ensure!(got["error"]["db-error"]["code"] == "42601", "{got}");
    let rows = database.rows("SELECT count(*) FROM several").await?;
    ensure!(rows == [["DbValue::Int64(0)"]], "{rows:?}");
    let owner = database.owner().await?;
    let locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = 4711";
    let locks: i64 = owner.query_one(locks, &[]).await?.get(0);
    ensure!(locks == 0, "{locks} locks");
    Ok(())
}
