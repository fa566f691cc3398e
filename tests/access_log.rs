//! Promise: each request leaves one line in the log, when its response has ended, by which it is found: its id, function, version, status
//! and duration; never its query. Who reads the log slowly, or not at all, holds up no request.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use flowviz_tests::{Host, HostOptions, PATIENCE, client, probes};
use serde_json::Value;

fn host(settings: &str, more: &[(&str, &str)]) -> Result<Host> {
    let env = [("FLOWVIZ_ACCESS_LOG", "on")].iter().chain(more);
    let options = HostOptions {
        env: env
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..HostOptions::default()
    };
    Host::with_manifest(&probes(&[("probe", settings)]), options)
}

/// The line of a request, by its id.
async fn line(host: &Host, id: &str) -> Result<Value> {
    let wanted = |line: &str| line.contains(id) && line.contains(r#""target":"access""#);
    Ok(serde_json::from_str(&host.wait_for_log(wanted).await?)?)
}

#[tokio::test]
async fn a_request_is_found_by_its_id() -> Result<()> {
    let host = host("timeout = '200ms'", &[])?;
    let ask = async |method: &str, path: &str, id: &str| -> Result<u16> {
        let request = client()
            .request(method.parse()?, host.url(path))
            .header("x-request-id", id);
        Ok(request.send().await?.status().as_u16())
    };
    assert_eq!(ask("GET", "/probe/ok?token=hidden", "req-ok").await?, 200);
    assert_eq!(ask("GET", "/nowhere", "req-none").await?, 404);
    assert_eq!(ask("POST", "/probe/panic", "req-trap").await?, 500);
    assert_eq!(ask("GET", "/probe/sleep?60000", "req-late").await?, 504);

    let ok = line(&host, "req-ok").await?;
    let scrape = host.scrape().await?;
    let version = ok["version"].as_str().context("a version")?;
    assert!(
        scrape.contains(&format!(
            r#"flowviz_function_info{{function="probe",state="live",version="{version}"}} 1"#
        )),
        "{version}"
    );
    let told = |line: &Value| {
        let field = |name: &str| line[name].to_string().replace('"', "");
        [
            "level", "function", "route", "method", "path", "status", "reason",
        ]
        .map(field)
        .join(" ")
    };
    assert_eq!(
        told(&ok),
        "INFO probe /probe/... GET /probe/ok 200 null",
        "{ok}"
    );
    assert_eq!(ok["client"], "127.0.0.1");
    assert!(ok["ms"].as_f64().is_some_and(|ms| ms > 0.0), "{ok}");
    let none = line(&host, "req-none").await?;
    assert_eq!(told(&none), "INFO none none GET /nowhere 404 null");
    assert_eq!(none["version"], Value::Null);
    let trap = line(&host, "req-trap").await?;
    assert_eq!(
        told(&trap),
        "WARN probe /probe/... POST /probe/panic 500 trap"
    );
    let late = line(&host, "req-late").await?;
    assert_eq!(
        told(&late),
        "WARN probe /probe/... GET /probe/sleep 504 timeout"
    );
    assert!(late["ms"].as_f64().is_some_and(|ms| ms >= 200.0), "{late}");

    assert_eq!(host.access_log().len(), 4, "{:?}", host.access_log());
    assert!(!host.log().join("\n").contains("hidden"));

    // The version's own counters say the same. Nobody counts what no version got.
    let metrics = host.metrics().await?;
    let served = |result: &str| {
        let labels = [("version", version), ("result", result)];
        metrics.sum("flowviz_function_version_requests_total", &labels)
    };
    assert_eq!((served("ok"), served("failed")), (1.0, 2.0));
    Ok(())
}

#[tokio::test]
async fn the_levels_choose_what_is_logged() -> Result<()> {
    let failures = host("", &[("RUST_LOG", "flowviz=info,access=warn")])?;
    let silent = host("", &[("FLOWVIZ_ACCESS_LOG", "off")])?;
    for host in [&failures, &silent] {
        assert_eq!(host.get("/probe/ok").await?.status, 200);
        assert_eq!(host.get("/probe/panic").await?.status, 500);
        // What is logged comes in order: the trap's own line, then the request's, then this one's.
        host.signal("HUP")?;
        host.wait_for_log(|line| line.contains("read again"))
            .await?;
    }
    let logged = failures.access_log();
    assert_eq!(logged.len(), 1, "{logged:?}");
    assert_eq!(logged[0]["path"], "/probe/panic");
    assert_eq!(silent.access_log(), [] as [Value; 0]);
    Ok(())
}

/// Far more than a pipe holds.
const UNREAD: usize = 2_000;

#[tokio::test]
#[expect(
    clippy::await_holding_lock,
    reason = "that nobody can read is what is tested"
)]
async fn who_does_not_read_the_log_holds_up_nobody() -> Result<()> {
    let host = host("", &[])?;
    {
        let held = host.hold_log();
        for _ in 0..UNREAD {
            let answer = client().get(host.url("/probe/ok")).send().await?;
            assert_eq!(answer.status(), 200);
        }
        drop(held);
    }
    // They waited in the host.
    let begun = Instant::now();
    while host.access_log().len() < UNREAD {
        ensure!(
            begun.elapsed() < PATIENCE,
            "{} lines",
            host.access_log().len()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let metrics = host.metrics().await?;
    assert_eq!(metrics.get("flowviz_log_lines_dropped_total"), Some(0.0));
    Ok(())
}
