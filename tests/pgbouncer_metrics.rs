//! Promise: the host is PgBouncer's exporter. It serves what the console says under the community exporter's names, types and labels,
//! follows what happens, and serves nothing old when PgBouncer has gone.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use flowviz_stack::{DatabaseUrl, Options, Part, Stack};
use flowviz_tests::{Database, Metrics, promtool_accepts, root};
use tokio_postgres::{Client, NoTls};

/// Of the application's pool.
const POOL: [(&str, &str); 2] = [("database", "flowviz"), ("user", "flowviz_app")];

async fn connect(url: &DatabaseUrl) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Name, type and labels of PgBouncer's metrics, as `tests/pgbouncer_exporter.txt` has them.
fn contract(scrape: &str) -> BTreeSet<String> {
    let mut families = BTreeMap::new();
    for line in scrape.lines() {
        if let Some(declared) = line.strip_prefix("# TYPE ") {
            families.extend(declared.split_once(' '));
        }
    }
    let of = |line: &str| {
        let name = line.split(['{', ' ']).next()?;
        let kind = families.get(name)?;
        let labels: Vec<_> = line
            .split(['{', ','])
            .filter_map(|part| Some(part.split_once("=\"")?.0))
            .collect();
        Some(
            format!("{name} {kind} {}", labels.join(","))
                .trim()
                .to_owned(),
        )
    };
    scrape
        .lines()
        .filter(|line| line.starts_with("pgbouncer_"))
        .filter_map(of)
        .collect()
}

fn pgbouncers(metrics: &Metrics) -> Vec<(&str, f64)> {
    metrics
        .series()
        .filter(|(series, _)| series.starts_with("pgbouncer_"))
        .collect()
}

#[tokio::test]
async fn names_types_and_labels_are_those_of_the_community_exporter() -> Result<()> {
    let database = Database::watched(Stack::start(Options::temporary()).await?)?;
    let up = |metrics: &Metrics| metrics.get("pgbouncer_up") == Some(1.0);
    database.host.wait_for_metrics(up).await?;
    let scrape = database.host.scrape().await?;

    let listed = std::fs::read_to_string(root().join("tests/pgbouncer_exporter.txt"))?;
    let expected: BTreeSet<String> = listed
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    let served = contract(&scrape);
    let missing: Vec<_> = expected.difference(&served).collect();
    ensure!(missing.is_empty(), "not served: {missing:#?}\n{scrape}");
    // A newer PgBouncer counts more.
    let newer = [
        "server_assignments",
        "client_parses",
        "server_parses",
        "binds",
    ]
    .map(|what| format!("pgbouncer_stats_totals_{what}_total counter database"));
    let more: Vec<_> = served
        .difference(&expected)
        .filter(|line| !newer.contains(line))
        .collect();
    ensure!(more.is_empty(), "the exporter doesn't have {more:#?}");

    promtool_accepts(&scrape)?;

    // Sizes that fit are no news, and passwords are nobody's.
    let log = database.host.log().join("\n");
    ensure!(!log.contains("fix:"), "{log}");
    for url in [
        database.stack.app_url(),
        database.stack.pgbouncer_stats_url(),
    ] {
        let password = url.split([':', '@']).nth(2).context("a password")?;
        ensure!(!scrape.contains(password) && !log.contains(password));
    }
    Ok(())
}

#[tokio::test]
async fn values_follow_what_happens_and_nothing_old_is_served() -> Result<()> {
    let options = Options::temporary()
        .with_pgbouncer("default_pool_size = 5")
        .with_pgbouncer("reserve_pool_size = 0")
        .with_pgbouncer("query_wait_timeout = 60");
    let mut database = Database::watched(Stack::start(options).await?)?;
    let host = &database.host;
    let pools =
        |metrics: &Metrics, what: &str| metrics.sum(&format!("pgbouncer_pools_{what}"), &POOL);
    let of_database = |metrics: &Metrics, what: &str| {
        metrics.sum(
            &format!("pgbouncer_databases_{what}"),
            &[("name", "flowviz")],
        )
    };
    let total = |metrics: &Metrics, what: &str| {
        let name = format!("pgbouncer_stats_totals_{what}_total");
        metrics.sum(&name, &[("database", "flowviz")])
    };

    // As they are set.
    let before = host
        .wait_for_metrics(|metrics| metrics.get("pgbouncer_up") == Some(1.0))
        .await?;
    ensure!(before.get("pgbouncer_config_max_client_connections") == Some(1200.0));
    ensure!(of_database(&before, "pool_size") == 5.0, "{before:#?}");
    ensure!(of_database(&before, "paused") == 0.0);
    let version = before.sum("pgbouncer_version_info", &[]);
    ensure!(version == 1.0, "{before:#?}");

    // All five are taken, and others wait: two of ours, and the host's own question now and then.
    let url = database.stack.app_url();
    let mut holders = Vec::new();
    for _ in 0..5 {
        let client = connect(&url).await?;
        client.batch_execute("BEGIN").await?;
        holders.push(client);
    }
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let client = connect(&url).await?;
        waiting.push(tokio::spawn(async move {
            client.batch_execute("SELECT pg_sleep(0.01)").await
        }));
    }
    let busy = host
        .wait_for_metrics(|metrics| {
            pools(metrics, "server_active_connections") == 5.0
                && pools(metrics, "client_waiting_connections") >= 2.0
                && pools(metrics, "client_maxwait_seconds") > 0.0
        })
        .await?;
    // The host gives its own questions up, and cancels them: for that PgBouncer makes connections too.
    ensure!(
        pools(&busy, "client_waiting_connections") < 10.0,
        "{busy:#?}"
    );
    ensure!(
        (5.0..10.0).contains(&of_database(&busy, "current_connections")),
        "{busy:#?}"
    );
    let clients = busy.get("pgbouncer_used_clients");
    ensure!(clients.is_some_and(|clients| clients >= 8.0), "{busy:#?}");
    for holder in &holders {
        holder.batch_execute("COMMIT").await?;
    }
    for client in waiting {
        client.await??;
    }
    let done = host
        .wait_for_metrics(|metrics| {
            pools(metrics, "client_waiting_connections") == 0.0
                && pools(metrics, "server_active_connections") == 0.0
                && total(metrics, "sql_transactions_pooled")
                    >= total(&before, "sql_transactions_pooled") + 7.0
        })
        .await?;
    // Seconds, not microseconds.
    let waited = total(&done, "client_wait_seconds") - total(&before, "client_wait_seconds");
    let ran = total(&done, "queries_duration_seconds") - total(&before, "queries_duration_seconds");
    ensure!(waited > 0.0 && waited < 600.0, "{waited}");
    ensure!((0.01..600.0).contains(&ran), "{ran}");
    ensure!(total(&done, "received_bytes") > total(&before, "received_bytes"));

    let admin = connect(&database.stack.pgbouncer_admin_url()).await?;
    admin.simple_query("PAUSE flowviz").await?;
    host.wait_for_metrics(|metrics| of_database(metrics, "paused") == 1.0)
        .await?;
    admin.simple_query("RESUME flowviz").await?;
    host.wait_for_metrics(|metrics| of_database(metrics, "paused") == 0.0)
        .await?;

    drop((admin, holders));
    database.stack.stop_pgbouncer().await;
    let gone = database
        .host
        .wait_for_metrics(|metrics| metrics.get("pgbouncer_up") == Some(0.0))
        .await?;
    ensure!(pgbouncers(&gone) == [("pgbouncer_up", 0.0)], "{gone:#?}");
    database.stack.start_pgbouncer().await?;
    let back = database
        .host
        .wait_for_metrics(|metrics| metrics.get("pgbouncer_up") == Some(1.0))
        .await?;
    ensure!(pgbouncers(&back).len() > 40, "{back:#?}");
    Ok(())
}

/// A console that answers nothing, as one that hangs would, is one that is down, and costs nobody else anything.
#[tokio::test]
async fn a_pooler_that_hangs_is_down() -> Result<()> {
    let database = Database::watched(Stack::start(Options::temporary()).await?)?;
    let host = &database.host;
    host.wait_for_metrics(|metrics| metrics.get("pgbouncer_up") == Some(1.0))
        .await?;
    let pid = database.stack.pid(Part::PgBouncer).context("it runs")?;
    let signal = |name: &str| Command::new("kill").args([name, &pid.to_string()]).status();
    ensure!(signal("-STOP")?.success());
    let hung = host
        .wait_for_metrics(|metrics| metrics.get("pgbouncer_up") == Some(0.0))
        .await;
    ensure!(signal("-CONT")?.success());
    ensure!(pgbouncers(&hung?) == [("pgbouncer_up", 0.0)]);
    host.wait_for_metrics(|metrics| metrics.get("pgbouncer_up") == Some(1.0))
        .await?;
    Ok(())
}
