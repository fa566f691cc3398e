//! Promise: components of other SDKs run as they are: WASI 0.2, Spin's interfaces of that time, and outbound HTTP, each within what the
//! manifest grants and the limits that hold for all.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use flowviz_stack::{Options, Stack};
use flowviz_tests::{Answer, Host, HostOptions, artifacts, client};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// The component of WASI 0.2 at `/p2`, and the test component at `/probe`, with these grants.
fn start(grants: &str, settings: &str, stack: Option<&Stack>) -> Result<Host> {
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
    Host::with_manifest(&manifest, HostOptions::default())
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

/// A server that answers each request with `hello` and its first line.
async fn neighbour() -> Result<(String, tokio::task::JoinHandle<()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let serving = tokio::spawn(async move {
        let mut connections = tokio::task::JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            connections.spawn(async move {
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
            });
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
