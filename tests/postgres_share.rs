//! Promise: each function has a part of the pool of its own. One that is slow, or asks for more than the host may hold for it, runs
//! into its own limits; the others notice nothing.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use flowviz_stack::{Options, Stack};
use flowviz_tests::{Database, Host, HostOptions, PATIENCE, probes};
use futures::future::{join_all, try_join_all};
use serde_json::{Value, json};

/// The functions `probe` with these settings, and `other` with none.
async fn start(settings: &str, pool: &str) -> Result<Database> {
    let stack = Stack::start(Options::temporary()).await?;
    let allowed = format!(
        "allowed_outbound_hosts = [\"postgres://{}\"]\n",
        stack.pgbouncer_host()
    );
    let mut manifest = probes(&[("probe", settings), ("other", "")]);
    for function in ["probe", "other"] {
        let tool = format!("[component.{function}.tool.flowviz]");
        manifest = manifest.replace(&tool, &format!("{allowed}{tool}"));
    }
    manifest.push_str(&format!("[application.tool.flowviz.pool]\n{pool}\n"));
    let host = Host::with_manifest(&manifest, HostOptions::default())?;
    Ok(Database { host, stack })
}

fn sleep(seconds: f64) -> Value {
    json!({ "statement": format!("SELECT pg_sleep({seconds})") })
}

fn connections(state: &str) -> [(&str, &str); 2] {
    [("pool", "flowviz"), ("state", state)]
}

#[tokio::test]
async fn a_slow_function_uses_up_its_own_connections_and_nobody_elses() -> Result<()> {
    let database = start("db_quota = 3\ndb_wait = '200ms'", "size = 5").await?;
    // Long enough to be sure that the others' statements come meanwhile; the requests are dropped at the end.
    let slow = join_all((0..30).map(|_| database.ask("query", sleep(20.0))));
    let others = async {
        database
            .host
            .wait_for_metrics(|m| {
                m.sum("flowviz_connection_pool_size", &connections("busy")) == 3.0
            })
            .await?;
        for _ in 0..50 {
            let call = database.call("other", "query", json!({ "statement": "SELECT 1" }));
            let answer = call.await?.json()?;
            ensure!(answer["ok"].is_object(), "{answer}");
        }
        // All that wait have been told by now, and why.
        let metrics = database
            .host
            .wait_for_metrics(|m| {
                m.sum(
                    "flowviz_db_queries_total",
                    &[("function", "probe"), ("result", "timeout")],
                ) == 27.0
            })
            .await?;
        let busy = metrics.sum("flowviz_connection_pool_size", &connections("busy"));
        ensure!(busy == 3.0, "{busy} busy");
        let told = metrics.sum("flowviz_db_pool_timeouts_total", &[]);
        ensure!(told == 27.0, "{told} told");
        let error = database.ask("query", json!({})).await?;
        let error = &error["error"]["db-error"];
        ensure!(error["code"] == "53300", "{error}");
        let message = error["message"].as_str().unwrap_or_default();
        ensure!(message.contains("all that it may (db_quota)"), "{message}");
        anyhow::Ok(())
    };
    tokio::select! {
        _ = slow => anyhow::bail!("the slow function ended first"),
        others = others => others,
    }
}

#[tokio::test]
async fn statements_get_connections_in_the_order_in_which_they_came() -> Result<()> {
    let database = start("db_quota = 1\ntimeout = '1m'\ndb_wait = '40s'", "").await?;
    database
        .table(
            "served",
            "at timestamptz DEFAULT clock_timestamp(), number int",
        )
        .await?;
    let holder = tokio::spawn({
        let url = database.host.url("/probe/pg/query");
        let mut asked = sleep(2.0);
        asked["address"] = json!(database.stack.app_url().to_string());
        async move { flowviz_tests::client().post(url).json(&asked).send().await }
    });
    let metrics = database
        .host
        .wait_for_metrics(|m| m.sum("flowviz_connection_pool_size", &connections("busy")) == 1.0);
    metrics.await?;
    let database = &database;
    let later = (0..10u32).map(|number| async move {
        // One after the other, so that the order is known.
        tokio::time::sleep(Duration::from_millis(100) * number).await;
        let statement = format!("INSERT INTO served (number) VALUES ({number})");
        let got = database
            .ask("execute", json!({ "statement": statement }))
            .await?;
        ensure!(got == json!({ "ok": 1 }), "{got}");
        Ok(())
    });
    try_join_all(later).await?;
    holder.await??;
    let rows = database.owner().await?;
    let rows = rows
        .query("SELECT number FROM served ORDER BY at", &[])
        .await?;
    let numbers: Vec<i32> = rows.iter().map(|row| row.get(0)).collect();
    ensure!(numbers == (0..10).collect::<Vec<_>>(), "{numbers:?}");
    Ok(())
}

#[tokio::test]
async fn more_rows_than_the_host_may_hold_are_refused_and_a_stream_of_them_is_not() -> Result<()> {
    let database = start("db_buffer = '1MiB'\ntimeout = '1m'", "").await?;
    // 4 MB in rows of 1 kB.
    let rows = json!({ "statement": "SELECT repeat('x', 1000) FROM generate_series(1, 4000)" });
    let refused = database.ask("query", rows.clone()).await?;
    let error = &refused["error"]["db-error"];
    ensure!(error["code"] == "53200", "{refused}");
    let message = error["message"].as_str().unwrap_or_default();
    ensure!(message.contains("1048576 bytes (db_buffer)"), "{message}");

    let streamed = database.ask("stream", rows).await?;
    ensure!(streamed["ok"]["rows"] == 4000, "{streamed}");
    // Nothing is held any more: as much as is allowed, again and again.
    let few = json!({ "statement": "SELECT repeat('x', 1000) FROM generate_series(1, 900)" });
    for _ in 0..5 {
        let got = database.ask("query", few.clone()).await?;
        ensure!(
            got["ok"]["rows"]
                .as_array()
                .is_some_and(|rows| rows.len() == 900)
        );
    }
    // A single row can be too large, too. Its connection is closed, since the rest of the row is still to come.
    let row = json!({ "statement": "SELECT repeat('x', 2000000)" });
    for call in ["query", "stream"] {
        let refused = database.ask(call, row.clone()).await?;
        ensure!(refused["error"].is_object(), "{call}: {refused}");
    }
    let got = database.rows("SELECT 1").await?;
    ensure!(got == [["DbValue::Int32(1)"]], "{got:?}");
    let metrics = database
        .host
        .wait_for_metrics(|m| m.sum("flowviz_connection_pool_size", &connections("busy")) == 0.0);
    metrics.await?;
    Ok(())
}

/// What a function doesn't handle is still told as what it is.
#[tokio::test]
async fn an_error_that_a_function_lets_through_is_a_503() -> Result<()> {
    let database = start("db_quota = 1\ndb_wait = '50ms'", "").await?;
    let holder = database.ask("query", sleep(20.0));
    let others = async {
        let metrics = database.host.wait_for_metrics(|m| {
            m.sum("flowviz_connection_pool_size", &connections("busy")) == 1.0
        });
        metrics.await?;
        let answer = database.call("probe", "query?throws", json!({})).await?;
        ensure!(answer.status == 503, "{} {}", answer.status, answer.text());
        ensure!(answer.headers["retry-after"] == "1", "{:?}", answer.headers);
        let problem = answer.json()?;
        ensure!(
            problem["type"] == "/problems/database-unavailable",
            "{problem}"
        );
        // Its own fault isn't.
        let wrong = json!({ "statement": "SELECT 1/0" });
        let answer = database.call("other", "query?throws", wrong).await?;
        ensure!(answer.status == 500, "{} {}", answer.status, answer.text());
        let metrics = database.host.metrics().await?;
        ensure!(metrics.errors("probe", "database") == 1.0, "{metrics:#?}");
        ensure!(metrics.errors("other", "error") == 1.0, "{metrics:#?}");
        anyhow::Ok(())
    };
    tokio::select! {
        _ = holder => anyhow::bail!("the holder ended first"),
        others = others => others,
    }
}

#[tokio::test]
async fn a_few_connections_are_kept_warm_and_made_anew_by_the_host_itself() -> Result<()> {
    let mut database = start("", "min_idle = 4\nidle_timeout = '1s'").await?;
    let warm = |count: f64| {
        move |m: &flowviz_tests::Metrics| {
            m.sum("flowviz_connection_pool_size", &connections("idle")) == count
        }
    };
    database.rows("SELECT 1").await?;
    database.host.wait_for_metrics(warm(4.0)).await?;
    // More, while they are needed; and fewer again.
    try_join_all((0..10).map(|_| database.ask("query", sleep(0.5)))).await?;
    database.host.wait_for_metrics(warm(10.0)).await?;
    database.host.wait_for_metrics(warm(4.0)).await?;
    database.stack.stop_pgbouncer().await;
    database.host.wait_for_metrics(warm(0.0)).await?;
    database.stack.start_pgbouncer().await?;
    database.host.wait_for_metrics(warm(4.0)).await?;
    Ok(())
}

/// A restart of the pooler is a delay for those who come meanwhile, and no error; an outage that lasts is told at once.
#[tokio::test]
async fn a_short_outage_is_waited_out_and_a_long_one_told_at_once() -> Result<()> {
    let mut database = start("timeout = '20s'", "min_idle = 0").await?;
    database.rows("SELECT 1").await?;
    database.stack.stop_pgbouncer().await;
    let (host, stack) = (&database.host, &mut database.stack);
    let url = host.url("/probe/pg/query");
    let asked = json!({ "statement": "SELECT 1", "address": stack.app_url().to_string() });
    let ask = || async {
        let request = flowviz_tests::client().post(&url).json(&asked);
        anyhow::Ok(request.send().await?.json::<Value>().await?)
    };
    let waiting = try_join_all((0..50).map(|_| ask()));
    let restart = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        stack.start_pgbouncer().await?;
        Ok(())
    };
    let (got, ()) = tokio::try_join!(waiting, restart)?;
    for got in got {
        ensure!(got["ok"].is_object(), "{got}");
    }

    stack.stop_pgbouncer().await;
    // Lasts, until somebody has seen it last.
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (started, got) = (Instant::now(), ask().await?);
        ensure!(got["error"]["connection-failed"].is_string(), "{got}");
        // A tenth of what it takes while the outage is young.
        if started.elapsed() < Duration::from_millis(300) {
            break;
        }
        ensure!(Instant::now() < deadline, "never told at once");
    }
    stack.start_pgbouncer().await?;
    let deadline = Instant::now() + PATIENCE;
    while ask().await?["ok"].is_null() {
        ensure!(Instant::now() < deadline, "never found again");
    }
    Ok(())
}
