//! Promise: `sslmode` means to functions what it means to libpq, against PostgreSQL and PgBouncer, with TLS and without; what asks for TLS
//! never goes without it, and all that works in plain text works under TLS: streams, transactions, cancelling, reuse, migrations.

use std::process::{Command, Output};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use flowviz_stack::{Authority, DatabaseUrl, Options, SERVER_NAME, Stack};
use flowviz_tests::{
    Database, Host, HostOptions, PATIENCE, artifacts, client, connect, probes, root, tls_acceptor,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio_postgres::SimpleQueryMessage;

/// Is this very connection of PostgreSQL's encrypted?
const ENCRYPTED: &str = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()";

/// A stack with TLS, and a host whose function may connect to whatever it likes.
struct Secured {
    database: Database,
    /// Of another authority than the stack's.
    strangers: TempDir,
}

/// Where a connection string leads.
#[derive(Clone, Copy)]
struct Server {
    /// As the connection string calls it; it is always 127.0.0.1.
    name: &'static str,
    port: u16,
}

/// What comes of a connection string.
#[derive(Clone, Copy, Debug)]
enum Expected {
    Encrypted,
    Plain,
    /// With this in its text.
    Error(&'static str),
}

use Expected::{Encrypted, Error, Plain};

const NOT_OFFERED: Expected = Error("the server doesn't offer TLS, and `sslmode` asks for it");
const STRANGER: Expected =
    Error("the server's certificate isn't trusted: no authority that is trusted has issued it");
const OTHER_NAME: Expected = Error(
    "the server's certificate isn't trusted: it is for another host than the one in the connection string",
);
const NO_FILE: Expected = Error("`sslrootcert` names no readable file of PEM certificates");

// === impl Secured ===

impl Secured {
    async fn start() -> Result<Self> {
        let strangers = tempfile::tempdir()?;
        std::fs::write(
            strangers.path().join("root.crt"),
            Authority::new("Strangers")?.certificate(),
        )?;
        std::fs::write(strangers.path().join("garbled.crt"), "not a certificate")?;
        let stack = Stack::start(Options::temporary().with_tls()).await?;
        let system = stack.root_certificate().context("no root")?.display();
        let options = HostOptions {
            // What this machine trusts.
            env: vec![("SSL_CERT_FILE".to_owned(), system.to_string())],
            ..HostOptions::default()
        };
        let manifest = probes(&[(
            "probe",
            "timeout = '1m'\ncpu_limit = '1m'\nmax_body_size = '8MiB'",
        )])
        .replace(
            "[component.probe.tool.flowviz]",
            "allowed_outbound_hosts = [\"postgres://*:*\"]\n[component.probe.tool.flowviz]",
        );
        Ok(Self {
            database: Database {
                host: Host::with_manifest(&manifest, options)?,
                stack,
            },
            strangers,
        })
    }

    async fn shared() -> Result<Arc<Self>> {
        static SHARED: Mutex<Weak<Secured>> = Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        if let Some(secured) = shared.upgrade() {
            return Ok(secured);
        }
        let secured = Arc::new(Self::start().await?);
        *shared = Arc::downgrade(&secured);
        Ok(secured)
    }

    /// The file of `sslrootcert`, by a name of the tests' own.
    fn root(&self, name: &str) -> Result<String> {
        let right = self.database.stack.root_certificate().context("no root")?;
        Ok(match name {
            "right" => right.display().to_string(),
            "system" => name.to_owned(),
            file => self.strangers.path().join(file).display().to_string(),
        })
    }

    fn right_pem(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.root("right")?)?)
    }

    /// A connection string for the functions' role: words, or the same as a URL.
    fn address(
        &self,
        stack: &Stack,
        server: Server,
        mode: &str,
        root: &str,
    ) -> Result<[String; 2]> {
        let Server { name, port } = server;
        let (config, _) = pg_tls::parse(&stack.app_url(), None)?;
        let password = std::str::from_utf8(config.get_password().context("no password")?)?;
        let mut words = format!(
            "host={name} hostaddr=127.0.0.1 port={port} user=flowviz_app password={password} dbname=flowviz"
        );
        let mut url =
            format!("postgres://flowviz_app:{password}@{name}:{port}/flowviz?hostaddr=127.0.0.1");
        for (key, value) in [("sslmode", mode), ("sslrootcert", root)] {
            if !value.is_empty() {
                let value = if key == "sslrootcert" {
                    self.root(value)?
                } else {
                    value.to_owned()
                };
                words += &format!(" {key}='{value}'");
                url += &format!("&{key}={}", value.replace('/', "%2F"));
            }
        }
        Ok([words, url])
    }

    async fn expect(
        &self,
        stack: &Stack,
        server: Server,
        cases: &[(&str, &str, Expected)],
    ) -> Result<()> {
        for (mode, root, expected) in cases {
            // The forms share a pool.
            for address in self.address(stack, server, mode, root)? {
                let asked = json!({ "address": address, "statement": ENCRYPTED });
                let got = self.database.ask("query", asked).await?;
                let case = format!("{}: sslmode={mode} sslrootcert={root}", server.name);
                expect(&case, &got, *expected)?;
            }
        }
        Ok(())
    }
}

fn expect(case: &str, got: &Value, expected: Expected) -> Result<()> {
    let rows = |encrypted: bool| json!([[format!("DbValue::Boolean({encrypted})")]]);
    let met = match expected {
        Encrypted => got["ok"]["rows"] == rows(true),
        Plain => got["ok"]["rows"] == rows(false),
        Error(text) => got["error"]["connection-failed"]
            .as_str()
            .is_some_and(|error| error.contains(text)),
    };
    ensure!(met, "{case}: {got}, not {expected:?}");
    Ok(())
}

fn port(url: &DatabaseUrl) -> Result<u16> {
    let (config, _) = pg_tls::parse(url, None)?;
    config.get_ports().first().copied().context("no port")
}

/// PostgreSQL that speaks TLS and takes those who don't.
#[tokio::test]
async fn each_mode_means_what_it_means_to_libpq() -> Result<()> {
    let secured = Secured::shared().await?;
    let stack = &secured.database.stack;
    let port = port(&stack.app_direct_url())?;
    let server = |name| Server { name, port };
    secured
        .expect(
            stack,
            server("127.0.0.1"),
            &[
                ("", "", Encrypted),
                ("disable", "", Plain),
                ("prefer", "", Encrypted),
                ("require", "", Encrypted),
                ("require", "right", Encrypted),
                ("verify-ca", "right", Encrypted),
                ("verify-full", "right", Encrypted),
                ("", "system", Encrypted),
                ("disable", "root.crt", Plain),
                // As libpq: it is only a preference.
                ("prefer", "root.crt", Plain),
                ("require", "root.crt", STRANGER),
                ("verify-ca", "root.crt", STRANGER),
                ("verify-full", "root.crt", STRANGER),
                ("verify-full", "absent.crt", NO_FILE),
                ("verify-ca", "garbled.crt", NO_FILE),
                ("verify-full", "", Error("need `sslrootcert`")),
                (
                    "require",
                    "system",
                    Error("`sslrootcert=system` is for `sslmode=verify-full` only"),
                ),
                ("allow", "", Error("`sslmode` is one of")),
            ],
        )
        .await?;
    secured
        .expect(
            stack,
            server(SERVER_NAME),
            &[
                ("verify-ca", "right", Encrypted),
                ("verify-full", "right", Encrypted),
            ],
        )
        .await?;
    secured
        .expect(
            stack,
            server("elsewhere.test"),
            &[
                ("prefer", "right", Encrypted),
                ("require", "right", Encrypted),
                ("verify-ca", "right", Encrypted),
                ("verify-full", "right", OTHER_NAME),
                ("verify-full", "system", OTHER_NAME),
                ("verify-full", "root.crt", STRANGER),
            ],
        )
        .await?;
    let log = secured.database.host.log().join("\n");
    ensure!(
        !log.contains("elsewhere") && !log.contains("password"),
        "{log}"
    );
    Ok(())
}

/// What libpq does without TLS where none is offered; and PgBouncer that insists on it.
#[tokio::test]
async fn what_asks_for_tls_never_goes_without() -> Result<()> {
    let secured = Secured::shared().await?;
    let plain = Stack::start(Options::temporary()).await?;
    let without = [
        ("", "", Plain),
        ("disable", "", Plain),
        ("prefer", "right", Plain),
        ("require", "", NOT_OFFERED),
        ("verify-ca", "right", NOT_OFFERED),
        ("verify-full", "right", NOT_OFFERED),
        ("", "system", NOT_OFFERED),
    ];
    for url in [plain.app_url(), plain.app_direct_url()] {
        let server = Server {
            name: "127.0.0.1",
            port: port(&url)?,
        };
        secured.expect(&plain, server, &without).await?;
    }
    let stack = &secured.database.stack;
    let pooler = Server {
        name: "127.0.0.1",
        port: port(&stack.app_url())?,
    };
    let required = Error("SSL required");
    secured
        .expect(
            stack,
            pooler,
            &[
                ("", "", Encrypted),
                ("require", "", Encrypted),
                ("verify-full", "right", Encrypted),
                ("disable", "", required),
                ("prefer", "root.crt", required),
                ("verify-full", "root.crt", STRANGER),
            ],
        )
        .await?;
    plain.stop().await;
    Ok(())
}

/// Rows of PgBouncer's console, by column.
async fn console(database: &Database, command: &str, columns: &[&str]) -> Result<Vec<Vec<String>>> {
    let console = connect(&database.stack.pgbouncer_stats_url()).await?;
    let rows = console.simple_query(command).await?;
    let cell = |row: &tokio_postgres::SimpleQueryRow, column: &str| {
        row.get(column).unwrap_or_default().to_owned()
    };
    Ok(rows
        .iter()
        .filter_map(|row| match row {
            SimpleQueryMessage::Row(row) if row.get("user") == Some("flowviz_app") => {
                Some(columns.iter().map(|column| cell(row, column)).collect())
            }
            _ => None,
        })
        .collect())
}

#[tokio::test]
async fn all_that_works_in_plain_text_works_under_tls() -> Result<()> {
    let mut secured = Secured::start().await?;
    let database = &secured.database;
    let ports = async || -> Result<Vec<Vec<String>>> {
        let mut ports = console(database, "SHOW CLIENTS", &["port"]).await?;
        ports.sort();
        Ok(ports)
    };
    // The stack itself has connected, and left.
    let deadline = Instant::now() + PATIENCE;
    while !ports().await?.is_empty() {
        ensure!(Instant::now() < deadline, "somebody else is connected");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    database.table("kept", "id int").await?;
    let many = json!({ "statement": "SELECT i, repeat(md5(i::text), 30) FROM generate_series(1, 50000) i" });
    let got = database.ask("stream", many).await?;
    ensure!(got["ok"]["rows"] == 50_000, "{got}");
    let long = "ß".repeat(1_000_000);
    let echoed =
        json!({ "statement": "SELECT octet_length($1::text)", "parameters": [{ "str": long }] });
    let got = database.ask("query", echoed).await?;
    ensure!(
        got["ok"]["rows"] == json!([["DbValue::Int32(2000000)"]]),
        "{got}"
    );
    for (end, last) in [("ROLLBACK", "1"), ("COMMIT", "2")] {
        let insert = format!("INSERT INTO kept VALUES ({last})");
        let got = database
            .ask("script", json!({ "statements": ["BEGIN", insert, end] }))
            .await?;
        ensure!(got["ok"].is_array(), "{got}");
    }
    ensure!(database.rows("SELECT id FROM kept").await? == [["DbValue::Int32(2)"]]);

    // Connections on which nothing was said for a while are used again.
    let before = ports().await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..5 {
        database.rows("SELECT 1").await?;
    }
    let after = ports().await?;
    ensure!(
        !before.is_empty() && after == before,
        "{before:?}, {after:?}"
    );

    for side in ["SHOW CLIENTS", "SHOW SERVERS"] {
        let seen = console(database, side, &["tls"]).await?;
        ensure!(
            !seen.is_empty() && seen.iter().all(|tls| tls[0].starts_with("TLSv1.3/")),
            "{side}: {seen:?}"
        );
    }

    // One that was closed meanwhile is noticed before it is used.
    secured.database.stack.stop_pgbouncer().await;
    secured.database.stack.start_pgbouncer().await?;
    secured.database.rows("SELECT 1").await?;
    Ok(())
}

#[tokio::test]
async fn a_statement_is_cancelled_under_tls() -> Result<()> {
    let secured = Secured::shared().await?;
    let database = &secured.database;
    let monitor = connect(&database.stack.monitor_url()).await?;
    let sleeping = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'flowviz_app' AND query LIKE '%pg_sleep(51)%' AND state = 'active'";
    let until = async |wanted: i64| {
        let deadline = Instant::now() + PATIENCE;
        while monitor.query_one(sleeping, &[]).await?.get::<_, i64>(0) != wanted {
            ensure!(Instant::now() < deadline, "not {wanted} sleeping");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    };
    for address in [database.stack.app_url(), database.stack.app_direct_url()] {
        let asked = json!({ "address": address.to_string(), "statement": "SELECT pg_sleep(51)" });
        let url = database.host.url("/probe/pg/query");
        let leaving = tokio::spawn(client().post(url).json(&asked).send());
        until(1).await?;
        leaving.abort();
        until(0).await?;
    }
    Ok(())
}

/// Speaks TLS with a certificate of its own to the client, and to PostgreSQL as a client: sees and passes on everything.
async fn meddler(server: u16) -> Result<u16> {
    let made = rcgen::generate_simple_self_signed([SERVER_NAME.to_owned()])?;
    let acceptor = tls_acceptor(&made.cert.pem(), &made.signing_key.serialize_pem())?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                client.read_exact(&mut [0; 8]).await?;
                client.write_all(b"S").await?;
                let mut client = acceptor.accept(client).await?;
                let mut onward = TcpStream::connect(("127.0.0.1", server)).await?;
                pg_tls::is_offered(&mut onward).await?;
                let connector = pg_tls::Connector::new(&pg_tls::Trust::Anyone, "127.0.0.1").await?;
                let mut onward = connector.handshake(onward).await?;
                tokio::io::copy_bidirectional(&mut client, &mut onward).await?;
                anyhow::Ok(())
            });
        }
    });
    Ok(port)
}

/// Under `require` anybody's certificate will do, but a login can't be passed on.
#[tokio::test]
async fn a_login_is_tied_to_the_servers_certificate() -> Result<()> {
    let secured = Secured::shared().await?;
    let stack = &secured.database.stack;
    let (direct, pooler) = (port(&stack.app_direct_url())?, port(&stack.app_url())?);
    let meddler = meddler(direct).await?;
    let unbound = Error("`channel_binding=require`, but the server doesn't tie the login");
    for (port, mode, binding, expected) in [
        (direct, "require", "require", Encrypted),
        (direct, "require", "disable", Encrypted),
        (direct, "disable", "require", unbound),
        // PgBouncer offers none.
        (pooler, "require", "prefer", Encrypted),
        (pooler, "require", "require", unbound),
        (meddler, "require", "disable", Encrypted),
        (
            meddler,
            "require",
            "prefer",
            Error("SCRAM channel binding check failed"),
        ),
        (
            meddler,
            "require",
            "require",
            Error("SCRAM channel binding check failed"),
        ),
    ] {
        let server = Server {
            name: "127.0.0.1",
            port,
        };
        let [address, _] = secured.address(stack, server, mode, "")?;
        let address = format!("{address} channel_binding={binding}");
        let asked = json!({ "address": address, "statement": ENCRYPTED });
        let got = secured.database.ask("query", asked).await?;
        expect(&format!("{mode} {binding}"), &got, expected)?;
    }
    Ok(())
}

/// `set-ca-root`, as a function calls it.
#[tokio::test]
async fn a_function_brings_its_own_root() -> Result<()> {
    let secured = Secured::shared().await?;
    let stack = &secured.database.stack;
    let port = port(&stack.app_direct_url())?;
    let (right, wrong) = (
        secured.right_pem()?,
        Authority::new("Strangers")?.certificate().to_owned(),
    );
    for (name, mode, root, ca, expected) in [
        (SERVER_NAME, "", "", &right, Encrypted),
        (SERVER_NAME, "verify-full", "", &right, Encrypted),
        // It goes before the address's own.
        (SERVER_NAME, "verify-full", "root.crt", &right, Encrypted),
        ("elsewhere.test", "prefer", "", &right, OTHER_NAME),
        ("elsewhere.test", "verify-ca", "", &right, Encrypted),
        (SERVER_NAME, "prefer", "", &wrong, STRANGER),
        (SERVER_NAME, "disable", "", &wrong, Plain),
    ] {
        let server = Server { name, port };
        for address in secured.address(stack, server, mode, root)? {
            let asked = json!({ "address": address, "statement": ENCRYPTED, "ca": ca });
            let got = secured.database.ask("build-query", asked).await?;
            expect(&format!("{name} {mode} {root}"), &got, expected)?;
        }
    }
    for ca in ["nonsense", &right[..300]] {
        let asked = json!({ "address": stack.app_url().to_string(), "ca": ca });
        let got = secured.database.ask("build-query", asked).await?;
        ensure!(
            got["error"]["other"] == "no PEM certificate was given as a root",
            "{got}"
        );
    }
    Ok(())
}

/// `/readyz`, and PgBouncer's console.
#[tokio::test]
async fn the_hosts_own_questions_go_under_tls_too() -> Result<()> {
    let stack = Stack::start(Options::temporary().with_tls()).await?;
    let database = Database::watched(stack)?;
    database.host.wait_ready(200).await?;
    database
        .host
        .wait_for_metrics(|m| m.get("pgbouncer_up") == Some(1.0))
        .await?;
    Ok(())
}

fn flowviz(arguments: &[&str], url: &str) -> Result<Output> {
    Ok(Command::new(&artifacts().flowviz)
        .args(arguments)
        .env("DATABASE_URL", url)
        .current_dir(root())
        .output()?)
}

#[tokio::test]
async fn the_other_commands_follow_the_same_rules() -> Result<()> {
    let secured = Secured::start().await?;
    let stack = &secured.database.stack;
    let wrong = secured.root("root.crt")?.replace('/', "%2F");
    let distrusting = |url: &str| {
        let (before, _) = url.split_once("sslrootcert=").unwrap_or_default();
        format!("{before}sslrootcert={wrong}")
    };
    for (command, url) in [
        (&["migrate"][..], stack.owner_url()),
        (&["audit", "verify"], stack.app_url()),
        (&["audit", "verify"], stack.app_direct_url()),
    ] {
        let refused = flowviz(command, &distrusting(&url))?;
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        ensure!(
            !refused.status.success()
                && told.contains("no authority that is trusted has issued it"),
            "{command:?}: {told}"
        );
        let done = flowviz(command, &url)?;
        let told = String::from_utf8_lossy(&done.stderr).into_owned();
        ensure!(done.status.success(), "{command:?}: {told}");
    }
    Ok(())
}
