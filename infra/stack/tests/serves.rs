//! A started stack serves: the application through PgBouncer, the owner directly, Prometheus with its targets; parts can be
//! broken and healed; and nothing is left when it has been stopped.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::path::Path;
use std::time::{Duration, Instant};

use flowviz_stack::{Error, Listener, Logins, Monitoring, Options, Part, Stack, http_get};
use tokio_postgres::{Client, NoTls};

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

async fn text(client: &Client, sql: &str) -> String {
    for message in client.simple_query(sql).await.unwrap() {
        if let tokio_postgres::SimpleQueryMessage::Row(row) = message {
            return row.get(0).unwrap().to_owned();
        }
    }
    panic!("no row from {sql}")
}

/// Repeats `attempt` until it gives something.
async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = attempt().await {
            return value;
        }
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "not within 30 s: {what}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn roles_have_the_rights_that_they_need_and_no_more() {
    let stack = Stack::start(Options::temporary()).await.unwrap();

    let app = connect(&stack.app_url()).await;
    assert_eq!(
        text(&app, "SELECT current_user || '@' || current_database()").await,
        "flowviz_app@flowviz"
    );
    assert_eq!(
        text(
            &app,
            "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
        )
        .await,
        "f"
    );
    for refused in [
        "CREATE TABLE mine (id int)",
        "CREATE TEMPORARY TABLE mine (id int)",
    ] {
        let error = app.batch_execute(refused).await.unwrap_err();
        assert_eq!(
            error.code().map(|code| code.code()),
            Some("42501"),
            "{refused}"
        );
    }

    let owner = connect(&stack.owner_url()).await;
    owner
        .batch_execute("CREATE TABLE theirs (id int)")
        .await
        .unwrap();
    assert_eq!(
        text(
            &owner,
            "SELECT rolsuper FROM pg_roles WHERE rolname = current_user"
        )
        .await,
        "f"
    );

    let monitor = connect(&stack.monitor_url()).await;
    assert_eq!(
        text(&monitor, "SELECT pg_has_role('pg_monitor', 'member')").await,
        "t"
    );
    // And no more than that.
    for refused in ["SELECT * FROM theirs", "CREATE TABLE mine (id int)"] {
        let error = monitor.batch_execute(refused).await.unwrap_err();
        assert_eq!(
            error.code().map(|code| code.code()),
            Some("42501"),
            "{refused}"
        );
    }

    let stats = connect(&stack.pgbouncer_stats_url()).await;
    assert!(text(&stats, "SHOW VERSION").await.contains("PgBouncer"));
    stats.simple_query("PAUSE").await.unwrap_err();
    let admin = connect(&stack.pgbouncer_admin_url()).await;
    admin.simple_query("PAUSE").await.unwrap();
    admin.simple_query("RESUME").await.unwrap();

    let dir = stack.dir().to_owned();
    stack.stop().await;
    assert!(!dir.exists());
}

/// The log's own count: more files than it may open, and PgBouncer turns clients away long before `max_client_conn`.
fn file_descriptors(log: &str) -> (u64, u64) {
    let after = |words: &str| {
        let (_, rest) = log.rsplit_once(words).expect(words);
        let digits = rest.split(|c: char| !c.is_ascii_digit()).next().unwrap();
        digits.parse().unwrap()
    };
    (
        after("kernel file descriptor limit: "),
        after("max expected fd use: "),
    )
}

#[tokio::test]
async fn a_role_made_in_postgresql_logs_in_through_pgbouncer_by_auth_query() {
    let options = Options {
        logins: Logins::AuthQuery,
        ..Options::temporary()
    };
    let stack = Stack::start(options).await.unwrap();
    // The application's own role isn't in PgBouncer's list either.
    let users = std::fs::read_to_string(stack.dir().join("pgbouncer/userlist.txt")).unwrap();
    let app = stack.app_url();
    assert!(!users.contains("flowviz_app") && !users.contains(&password(&app)));

    let owner = connect(&stack.owner_url()).await;
    owner
        .batch_execute(
            "CREATE ROLE newcomer LOGIN PASSWORD 'first';
             GRANT CONNECT ON DATABASE flowviz TO newcomer;
             CREATE ROLE expired LOGIN PASSWORD 'first' VALID UNTIL '2020-01-01';
             CREATE ROLE group_of_some PASSWORD 'first'",
        )
        .await
        .unwrap();
    let stored = text(
        &connect(&stack.owner_url()).await,
        "SELECT current_setting('password_encryption')",
    )
    .await;
    assert_eq!(stored, "scram-sha-256");
    let host = stack.pgbouncer_host();
    let url = |user: &str, password: &str| format!("postgres://{user}:{password}@{host}/flowviz");
    let newcomer = connect(&url("newcomer", "first")).await;
    assert_eq!(text(&newcomer, "SELECT current_user").await, "newcomer");

    // PgBouncer knows nothing that could grow old: a changed password counts at the next login.
    owner
        .batch_execute("ALTER ROLE newcomer PASSWORD 'second'")
        .await
        .unwrap();
    let second = url("newcomer", "second");
    eventually("the new password is good", async || {
        connect_or_error(&second).await.ok()
    })
    .await;
    let superuser = std::fs::read_to_string(stack.dir().join("secrets/postgres")).unwrap();
    for (user, password) in [
        ("newcomer", "first"),
        ("newcomer", ""),
        ("expired", "first"),
        ("group_of_some", "first"),
        ("nobody_at_all", "first"),
        ("postgres", superuser.trim()),
    ] {
        let refused = connect_or_error(&url(user, password)).await;
        assert!(refused.is_err(), "{user} got in");
    }

    // Nobody else can look secrets up.
    for role in [app.to_string(), stack.owner_url().to_string()] {
        let client = connect(&role).await;
        let error = client
            .simple_query("SELECT * FROM pgbouncer.user_lookup('newcomer')")
            .await
            .unwrap_err();
        assert_eq!(error.code().map(|code| code.code()), Some("42501"));
    }
}

#[tokio::test]
async fn a_thousand_clients_get_answers_through_twenty_five_connections() {
    let stack = Stack::start(Options::temporary()).await.unwrap();
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..1000 {
        let url = stack.app_url();
        clients.spawn(async move { connect(&url).await });
    }
    let clients = clients.join_all().await;
    let mut answers = tokio::task::JoinSet::new();
    for client in clients {
        answers.spawn(async move {
            client.simple_query("SELECT 1").await.unwrap();
            client
        });
    }
    let clients = answers.join_all().await;
    assert_eq!(clients.len(), 1000);
    let owner = connect(&stack.owner_url()).await;
    let servers: usize = text(
        &owner,
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'flowviz_app'",
    )
    .await
    .parse()
    .unwrap();
    assert!((1..=30).contains(&servers), "{servers}");
    let log = std::fs::read_to_string(stack.dir().join("logs/pgbouncer.log")).unwrap();
    let (limit, expected) = file_descriptors(&log);
    assert!(
        limit >= expected && expected > 1200,
        "{limit} of {expected}"
    );
}

#[tokio::test]
async fn parts_break_and_heal_on_the_same_addresses() {
    let mut stack = Stack::start(Options::temporary()).await.unwrap();
    let (app_url, host) = (stack.app_url(), stack.pgbouncer_host());
    let owner = connect(&stack.owner_url()).await;
    owner
        .batch_execute("CREATE TABLE kept (id int)")
        .await
        .unwrap();

    stack.stop_postgres().await;
    let app = connect_or_error(&app_url).await;
    assert!(app.is_err(), "there is no PostgreSQL to answer");
    stack.start_postgres().await.unwrap();
    eventually("PgBouncer finds PostgreSQL again", async || {
        connect_or_error(&app_url).await.ok()
    })
    .await;

    stack.stop_pgbouncer().await;
    assert!(tokio::net::TcpStream::connect(&host).await.is_err());
    stack.start_pgbouncer().await.unwrap();
    connect_or_error(&app_url).await.unwrap();
    assert_eq!(host, stack.pgbouncer_host());
    assert_eq!(
        text(
            &connect(&stack.owner_url()).await,
            "SELECT count(*) FROM kept"
        )
        .await,
        "0"
    );

    // Its children are still there when the server is gone, and it can't start before they have noticed.
    stack.kill(Part::Postgres);
    assert!(connect_or_error(&stack.owner_url()).await.is_err());
    stack.start_postgres().await.unwrap();
    stack.kill(Part::PgBouncer);
    assert!(tokio::net::TcpStream::connect(&host).await.is_err());
    stack.start_pgbouncer().await.unwrap();
    eventually("all is back after two crashes", async || {
        connect_or_error(&app_url).await.ok()
    })
    .await;

    stack.check().unwrap();
    let pid = stack.pid(Part::PgBouncer).unwrap();
    let killed = std::process::Command::new("kill")
        .args(["-9", &pid.to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let error = eventually("the death is noticed", async || stack.check().err()).await;
    assert!(
        matches!(
            error,
            Error::Ended {
                part: Part::PgBouncer,
                ..
            }
        ),
        "{error}"
    );
}

async fn connect_or_error(url: &str) -> Result<(), tokio_postgres::Error> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    client.simple_query("SELECT 1").await.map(|_| ())
}

#[tokio::test]
async fn prometheus_takes_up_the_host_that_it_is_told_of() {
    let stack = Stack::start(Options::temporary().with_prometheus())
        .await
        .unwrap();
    let prometheus = stack.prometheus_url().unwrap();
    let address = prometheus.trim_start_matches("http://").to_owned();
    // Prometheus itself stands in for the host: it serves /metrics too.
    stack.scrape_host(address.parse().unwrap()).unwrap();
    eventually("the job `functions` is up", async || {
        let (_, body) = http_get(
            &address,
            "/api/v1/query?query=up%7Bjob%3D%22functions%22%7D",
        )
        .await
        .ok()?;
        body.contains("\"1\"]").then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_second_run_keeps_data_and_passwords_and_a_second_stack_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    open_to_all(dir.path());
    let mut options = Options::persistent(dir.path().join("stack"));
    options.monitoring = Monitoring::Nothing;

    let first = Stack::start(options.clone()).await.unwrap();
    let owner = connect(&first.owner_url()).await;
    owner
        .batch_execute("CREATE TABLE kept AS SELECT 42 AS answer")
        .await
        .unwrap();
    let error = Stack::start(options.clone()).await.unwrap_err();
    assert!(matches!(error, Error::DirInUse(_)), "{error}");
    let password = password(&first.owner_url());
    drop(first);

    let second = Stack::start(options).await.unwrap();
    assert_eq!(password, self::password(&second.owner_url()));
    assert_eq!(
        text(
            &connect(&second.owner_url()).await,
            "SELECT answer FROM kept"
        )
        .await,
        "42"
    );
    assert_eq!(
        text(&connect(&second.owner_url()).await, "SHOW fsync").await,
        "on"
    );
    let shown = format!("{second:?}");
    assert!(!shown.contains(&password), "{shown}");
}

#[tokio::test]
async fn a_taken_port_is_said_before_anything_starts() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port();
    let dir = tempfile::tempdir().unwrap();
    let mut options = Options::temporary();
    options.dir = Some(dir.path().to_owned());
    options.ports.pgbouncer = Some(port);
    let error = Stack::start(options).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::PortTaken {
                listener: Listener::PgBouncer,
                ..
            }
        ),
        "{error}"
    );
    assert!(
        error.to_string().contains(&format!("port {port}")),
        "{error}"
    );
    assert!(!dir.path().join("postgres").exists());
}

fn password(url: &str) -> String {
    url.split([':', '@']).nth(2).unwrap().to_owned()
}

/// `tempfile` makes directories that only we can enter; the children may be somebody else.
fn open_to_all(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).unwrap();
}
