//! Promise: components of other SDKs run as they are: WASI 0.2, Spin's interfaces of that time, and outbound HTTP, each within what the
//! manifest grants and the limits that hold for all.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use flowviz_stack::{Authority, Options, Stack};
use flowviz_tests::{Answer, Host, HostOptions, artifacts, client, tls_acceptor};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// The component of WASI 0.2 at `/p2`, and the test component at `/probe`, with these grants.
fn start(grants: &str, settings: &str, stack: Option<&Stack>) -> Result<Host> {
    Host::with_manifest(&manifest(grants, settings, stack), HostOptions::default())
}

fn manifest(grants: &str, settings: &str, stack: Option<&Stack>) -> String {
    let url = stack.map_or_else(String::new, |stack| stack.app_url().to_string());
    let mut manifest = "spin_manifest_version = 2\n[application]\nname = \"compat\"\n".to_owned();
    for (id, source) in [("p2", &artifacts().p2), ("probe", &artifacts().probe)] {
        manifest += &format!(
            r#"
[[trigger.http]]
route = "/{id}/..."
component = "{id}"
[component.{id}]
source = "{}"
variables = {{ database_url = "{url}", colour = "green" }}
{grants}
[component.{id}.tool.flowviz]
{settings}
"#,
            source.display()
        );
    }
    manifest
}

async fn ask(host: &Host, path: &str) -> Result<Value> {
    let answer = host.get(path).await?;
    ensure!(
        answer.status == 200,
        "{path}: {} {}",
        answer.status,
        answer.text()
    );
    answer.json()
}

/// Runs a statement by one of the older interfaces.
async fn query(host: &Host, interface: &str, statement: &str) -> Result<Value> {
    let url = host.url(&format!("/p2/{interface}"));
    let answer = Answer::of(client().post(url).body(statement.to_owned())).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    answer.json()
}

/// Answers each request with `hello` and its first line.
async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut head = vec![0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut head).await {
        let head = String::from_utf8_lossy(&head[..read]);
        let line = head.lines().next().unwrap_or_default();
        let body = format!("hello {line}");
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        if stream.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

/// A server with a certificate that this authority has made.
async fn secured_neighbour(authority: &Authority) -> Result<String> {
    let (certificate, key) = authority.issue()?;
    let acceptor = tls_acceptor(&certificate, &key)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(stream) = acceptor.accept(stream).await {
                    answer(stream).await;
                }
            });
        }
    });
    Ok(address)
}

/// A server that answers each request with `hello` and its first line.
async fn neighbour() -> Result<(String, tokio::task::JoinHandle<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let serving = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(answer(stream));
        }
    });
    Ok((address, serving))
}

#[tokio::test]
async fn wasi_0_2_answers_and_is_bounded_as_all_are() -> Result<()> {
    let host = start("", "cpu_limit = '300ms'\ntimeout = '20s'", None)?;
    let body = "süß".repeat(10_000);
    let echo = client().post(host.url("/p2/echo")).body(body.clone());
    let echo = Answer::of(echo).await?;
    ensure!(echo.status == 200 && echo.text() == body, "{}", echo.status);
    ensure!(host.get("/p2/status?418").await?.status == 418);
    ensure!(ask(&host, "/p2/variable?colour").await? == json!({ "ok": "green" }));
    let unknown = ask(&host, "/p2/variable?taste").await?;
    ensure!(
        unknown["error"]
            .as_str()
            .is_some_and(|e| e.contains("Undefined")),
        "{unknown}"
    );

    host.get("/p2/trap")
        .await?
        .expect_problem(500, "function-failed")?;
    host.get("/p2/loop")
        .await?
        .expect_problem(504, "cpu-limit")?;
    let metrics = host.metrics().await?;
    ensure!(metrics.errors("p2", "trap") == 1.0 && metrics.errors("p2", "cpu_limit") == 1.0);
    ensure!(
        metrics.sum(
            "http_requests_total",
            &[("function", "p2"), ("status", "418")]
        ) == 1.0
    );
    ensure!(host.get("/p2/status?200").await?.status == 200);

    ensure!(ask(&host, "/p2/config?colour").await? == json!({ "ok": "green" }));
    ensure!(ask(&host, "/p2/config?taste").await? == json!({ "ok": null }));
    let all = ask(&host, "/p2/config-all").await?;
    let pairs = all["ok"].as_array().context("pairs")?;
    ensure!(pairs.contains(&json!(["colour", "green"])), "{all}");
    Ok(())
}

#[tokio::test]
async fn wasi_0_2_has_the_limits_of_all() -> Result<()> {
    let settings = "timeout = '500ms'\nmemory_limit = '32MiB'";
    let host = start("", settings, None)?;
    ensure!(ask(&host, "/p2/sleep?1").await? == json!({ "slept": "1" }));
    host.get("/p2/sleep?60000")
        .await?
        .expect_problem(504, "timeout")?;
    ensure!(ask(&host, "/p2/allocate?8").await? == json!({ "sum": 8 << 20 }));
    host.get("/p2/allocate?64")
        .await?
        .expect_problem(500, "memory-limit")?;
    let metrics = host.metrics().await?;
    ensure!(metrics.errors("p2", "timeout") == 1.0 && metrics.errors("p2", "memory_limit") == 1.0);

    // A response that streams, whole and with a client that leaves in its middle.
    let whole = host.get("/p2/bytes?8").await?;
    ensure!(whole.status == 200 && whole.text().len() == 8 << 20);
    let response = client().get(host.url("/p2/bytes?16")).send().await?;
    ensure!(response.status() == 200);
    drop(response);
    host.wait_for_metrics(|metrics| {
        metrics.errors("p2", "client_disconnect") == 1.0
            && metrics.sum("http_requests_in_flight", &[("function", "p2")]) == 0.0
    })
    .await?;
    Ok(())
}

#[tokio::test]
async fn older_interfaces_reach_the_same_database() -> Result<()> {
    let stack = Stack::start(Options::temporary()).await?;
    let grant = format!(
        "allowed_outbound_hosts = [\"postgres://{}\"]",
        stack.pgbouncer_host()
    );
    let host = start(&grant, "", Some(&stack))?;
    let statement = "SELECT $1::text AS a, $2::bigint AS b, $3::date AS c, $4::text AS d, 1.50::numeric AS e, '{}'::jsonb AS f, '[1,2)'::int4range AS g";
    let found = query(&host, "pg3", statement).await?;
    ensure!(
        found["ok"]["rows"][0]
            == json!([
                "DbValue::Str(\"süß\")",
                "DbValue::Int64(42)",
                "DbValue::Date((2026, 11, 25))",
                "DbValue::DbNull",
                "DbValue::Str(\"1.50\")",
                "DbValue::Str(\"{}\")",
                "DbValue::Unsupported"
            ]),
        "{found}"
    );
    ensure!(
        found["ok"]["columns"][1] == "b DbDataType::Int64",
        "{found}"
    );
    let wrong = query(&host, "pg3", "SELECT 1/0").await?;
    ensure!(
        wrong["error"]
            .as_str()
            .is_some_and(|e| e.contains("division by zero")),
        "{wrong}"
    );
    let session = query(&host, "pg3", "SET search_path = x").await?;
    ensure!(
        session["error"]
            .as_str()
            .is_some_and(|e| e.contains("SET LOCAL")),
        "{session}"
    );

    let found = query(&host, "pg2", "SELECT $1::int AS a, true AS b").await?;
    ensure!(
        found["ok"]["rows"][0] == json!(["DbValue::Int32(7)", "DbValue::Boolean(true)"]),
        "{found}"
    );
    let unsigned = query(&host, "pg2", "SELECT $1::int, $2::int").await?;
    ensure!(
        unsigned["error"]
            .as_str()
            .is_some_and(|e| e.contains("unsigned")),
        "{unsigned}"
    );
    let counted = host
        .metrics()
        .await?
        .sum("flowviz_db_queries_total", &[("function", "p2")]);
    ensure!(counted >= 3.0, "{counted}");

    let denied = start("", "", Some(&stack))?;
    for path in ["pg3", "pg2"] {
        let refused = query(&denied, path, "SELECT 1").await?;
        let error = refused["error"].as_str().context("an error")?;
        ensure!(error.contains("allowed_outbound_hosts"), "{path}: {error}");
    }
    stack.stop().await;
    Ok(())
}

#[tokio::test]
async fn outbound_http_goes_where_the_manifest_says_and_nowhere_else() -> Result<()> {
    let (address, serving) = neighbour().await?;
    let host = start(
        &format!("allowed_outbound_hosts = [\"http://{address}\"]"),
        "timeout = '20s'",
        None,
    )?;
    for function in ["p2", "probe"] {
        for _ in 0..2 {
            let found = ask(&host, &format!("/{function}/get?http://{address}/a")).await?;
            ensure!(found["status"] == 200, "{function}: {found}");
            ensure!(
                found["body"] == "hello GET /a HTTP/1.1",
                "{function}: {found}"
            );
        }
        for elsewhere in [
            "http://127.0.0.1:1/",
            "https://example.com/",
            &format!("https://{address}/"),
        ] {
            let refused = ask(&host, &format!("/{function}/get?{elsewhere}")).await?;
            let error = refused["error"].as_str().context("an error")?;
            ensure!(
                error.to_lowercase().contains("denied"),
                "{function} {elsewhere}: {error}"
            );
        }
    }
    serving.abort();
    tokio::time::sleep(Duration::from_millis(50)).await;
    for function in ["p2", "probe"] {
        let gone = ask(&host, &format!("/{function}/get?http://{address}/a")).await?;
        ensure!(gone["error"].is_string(), "{function}: {gone}");
    }
    Ok(())
}

#[tokio::test]
async fn outbound_https_trusts_whom_the_machine_trusts() -> Result<()> {
    let (trusted, stranger) = (Authority::new("trusted")?, Authority::new("stranger")?);
    let dir = tempfile::tempdir()?;
    let roots = dir.path().join("roots.pem");
    std::fs::write(&roots, trusted.certificate())?;
    let good = secured_neighbour(&trusted).await?;
    let bad = secured_neighbour(&stranger).await?;
    let grants = format!("allowed_outbound_hosts = [\"https://{good}\", \"https://{bad}\"]");
    let options = HostOptions {
        env: vec![("SSL_CERT_FILE".to_owned(), roots.display().to_string())],
        ..HostOptions::default()
    };
    let host = Host::with_manifest(&manifest(&grants, "timeout = '20s'", None), options)?;
    for function in ["p2", "probe"] {
        let found = ask(&host, &format!("/{function}/get?https://{good}/a")).await?;
        ensure!(
            found["body"] == "hello GET /a HTTP/1.1",
            "{function}: {found}"
        );
        let refused = ask(&host, &format!("/{function}/get?https://{bad}/a")).await?;
        ensure!(refused["error"].is_string(), "{function}: {refused}");
        // It isn't spoken to without TLS.
        let plain = ask(&host, &format!("/{function}/get?http://{good}/a")).await?;
        ensure!(plain["error"].is_string(), "{function}: {plain}");
    }
    Ok(())
}

#[tokio::test]
async fn the_key_value_store_is_one_for_all_who_are_granted_it() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("store.redb");
    let with_store = |grants: &str| -> Result<Host> {
        let manifest = manifest(grants, "", None);
        Host::with_manifest(
            &manifest,
            HostOptions {
                args: vec![format!("--key-value-file={}", file.display())],
                ..HostOptions::default()
            },
        )
    };
    let host = with_store("")?;
    for function in ["p2", "probe"] {
        let denied = ask(&host, &format!("/{function}/key-value?default")).await?;
        let error = denied["error"].as_str().context("an error")?;
        ensure!(error.contains("AccessDenied"), "{function}: {error}");
    }
    ensure!(!file.exists(), "nobody is granted it");
    drop(host);

    let mut host = with_store("key_value_stores = [\"default\"]")?;
    let expected = json!({ "value": "a value", "there": true, "keys": ["a key"], "gone": true });
    for function in ["p2", "probe"] {
        let found = ask(&host, &format!("/{function}/key-value?default")).await?;
        ensure!(found["ok"] == expected, "{function}: {found}");
        let unknown = ask(&host, &format!("/{function}/key-value?other")).await?;
        let error = unknown["error"].as_str().context("an error")?;
        ensure!(error.contains("NoSuchStore"), "{function}: {error}");
    }
    let found = ask(&host, "/p2/wasi-key-value?default").await?;
    ensure!(
        found["ok"]
            == json!({
                "value": "a value", "counts": [40, 42], "found": [["one", true], ["none", false], ["two", true]],
                "keys": ["a key", "count", "one", "two"], "gone": true
            }),
        "{found}"
    );
    let unknown = ask(&host, "/p2/wasi-key-value?other").await?;
    ensure!(unknown["error"] == "Error::NoSuchStore", "{unknown}");
    ensure!(ask(&host, "/probe/keep?first").await? == json!({ "ok": null }));
    host.signal("KILL")?;
    host.wait().await?;
    let host = with_store("key_value_stores = [\"default\"]")?;
    ensure!(ask(&host, "/probe/keep?second").await? == json!({ "ok": "first" }));

    let other = Host::with_manifest(
        &manifest("key_value_stores = [\"mine\"]", "", None),
        HostOptions::default(),
    );
    let error = other.err().context("a store that isn't there")?.to_string();
    ensure!(
        error.contains("there is no store `mine`") && error.contains("spin.toml:"),
        "{error}"
    );
    Ok(())
}
