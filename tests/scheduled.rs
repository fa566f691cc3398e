//! Promise: a function with `every` is called by the host itself, at once and again, one run at a time, with its limits, metrics and
//! log lines; no client reaches it, what it does to itself harms no other, and a run under way is let end when the host does.

use std::cell::Cell;

use anyhow::{Result, ensure};
use flowviz_tests::{Answer, Host, HostOptions, Metrics, client};
use serde_json::Value;

const HEAD: &str = "spin_manifest_version = 2\n[application]\nname = \"scheduled\"\n";
const PRIVATE: &str = "route = { private = true }";

/// The test component under a name, with what the host's calls make it do.
fn probe(name: &str, does: &str, settings: &str) -> String {
    format!(
        r#"
[component.{name}]
source = "{{probe}}"
environment = {{ SCHEDULED = "{does}" }}
[component.{name}.tool.flowviz]
{settings}
"#
    )
}

fn trigger(name: &str, route: &str) -> String {
    format!("[[trigger.http]]\n{route}\ncomponent = \"{name}\"\n")
}

fn host(parts: &[String], args: &[&str]) -> Result<Host> {
    let options = HostOptions {
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        ..HostOptions::default()
    };
    Host::with_manifest(&format!("{HEAD}{}", parts.concat()), options)
}

/// The host's own calls of a function that ended with this status.
fn runs(metrics: &Metrics, function: &str, status: u16) -> f64 {
    let series = format!(
        r#"http_requests_total{{function="{function}",method="GET",route="private",status="{status}"}}"#
    );
    metrics.get(&series).unwrap_or_default()
}

fn in_flight(metrics: &Metrics, function: &str) -> f64 {
    metrics.sum("http_requests_in_flight", &[("function", function)])
}

#[tokio::test]
async fn it_is_called_at_once_and_again_and_what_it_measures_is_served() -> Result<()> {
    const GAUGE: &str = "every = '1s'\n[component.often.tool.flowviz.metrics.probe_level]\ntype = 'gauge'\nhelp = 'A level.'";
    let host = host(
        &[
            trigger("often", PRIVATE),
            probe("often", "/count?gauge,probe_level,7", GAUGE),
            // Without a trigger, and not a second time while the test lasts.
            probe("once", "/print-request", "every = '24h'"),
        ],
        &[],
    )?;
    let metrics = host
        .wait_for_metrics(|m| runs(m, "often", 200) >= 3.0 && runs(m, "once", 200) >= 1.0)
        .await?;
    ensure!(metrics.get("probe_level") == Some(7.0));
    ensure!(runs(&metrics, "once", 200) == 1.0, "{metrics:#?}");
    ensure!(metrics.sum("flowviz_function_errors_total", &[]) == 0.0);
    let queued = "flowviz_function_queue_wait_seconds_count";
    ensure!(metrics.sum(queued, &[("function", "once")]) == 1.0);

    let line = host
        .wait_for_log(|line| line.contains("x-flowviz-scheduled"))
        .await?;
    let line: Value = serde_json::from_str(&line)?;
    let message = line["message"].as_str().unwrap_or_default();
    let json = message.find('{').and_then(|at| message.get(at..));
    let seen: Value = serde_json::from_str(json.unwrap_or_default())?;
    ensure!(seen["method"] == "GET", "{seen}");
    ensure!(seen["uri"] == "http://once.spin.internal/", "{seen}");
    ensure!(seen["headers"]["x-flowviz-scheduled"] == "true", "{seen}");
    // One id in the request and in the function's log lines.
    let id = seen["headers"]["x-request-id"].as_str().unwrap_or_default();
    ensure!(id.len() >= 16 && line["request_id"] == id, "{line}");
    Ok(())
}

#[tokio::test]
async fn no_client_reaches_it_or_passes_for_the_host() -> Result<()> {
    let host = host(
        &[
            trigger("hidden", PRIVATE),
            probe("hidden", "/ok", "every = '1s'"),
            trigger("open", "route = \"/open/...\""),
            probe("open", "/ok", "every = '1s'"),
        ],
        &[],
    )?;
    let forged = |path: &str| {
        let request = client().get(host.url(path));
        Answer::of(request.header("x-flowviz-scheduled", "true"))
    };
    for path in ["/", "/hidden", "/hidden/ok", "/private", "/ok"] {
        forged(path).await?.expect_problem(404, "not-found")?;
    }
    // A function may be both: the header tells the host's calls from the clients'.
    let seen = forged("/open/request").await?.json()?;
    ensure!(seen["headers"]["x-flowviz-scheduled"].is_null(), "{seen}");
    let metrics = host
        .wait_for_metrics(|m| runs(m, "open", 200) >= 2.0)
        .await?;
    let clients = [("function", "open"), ("route", "/open/...")];
    ensure!(metrics.sum("http_requests_total", &clients) == 1.0);
    Ok(())
}

#[tokio::test]
async fn a_slow_run_is_never_joined_by_another_and_delays_nobody_else() -> Result<()> {
    let host = host(
        &[
            probe("slow", "/sleep?600000", "every = '1s'\ntimeout = '1h'"),
            probe("late", "/sleep?600000", "every = '1s'\ntimeout = '10ms'"),
            probe("prompt", "/ok", "every = '1s'"),
        ],
        &[],
    )?;
    // By the prompt one's fourth run, the slow one's next has been due for two intervals.
    let metrics = host
        .wait_for_metrics(|m| runs(m, "prompt", 200) >= 4.0 && runs(m, "late", 504) >= 2.0)
        .await?;
    ensure!(in_flight(&metrics, "slow") == 1.0, "{metrics:#?}");
    let made = "flowviz_function_instantiation_seconds_count";
    ensure!(metrics.sum(made, &[("function", "slow")]) == 1.0);
    ensure!(metrics.sum("http_requests_total", &[("function", "slow")]) == 0.0);
    ensure!(metrics.errors("late", "timeout") >= 2.0);
    Ok(())
}

#[tokio::test]
async fn runs_longer_than_the_interval_follow_one_another() -> Result<()> {
    let host = host(&[probe("long", "/sleep?1500", "every = '1s'")], &[])?;
    let most = Cell::new(0.0_f64);
    host.wait_for_metrics(|m| {
        most.set(most.get().max(in_flight(m, "long")));
        runs(m, "long", 200) >= 3.0
    })
    .await?;
    ensure!(most.get() == 1.0, "{most:?} at the same time");
    Ok(())
}

#[tokio::test]
async fn a_failing_one_is_counted_logged_and_called_again() -> Result<()> {
    let host = host(
        &[
            probe("traps", "/panic", "every = '1s'"),
            probe("refuses", "/status?409", "every = '1s'"),
            probe("dies", "/drip?2,1,panic", "every = '1s'"),
        ],
        &[],
    )?;
    let metrics = host
        .wait_for_metrics(|m| {
            m.errors("traps", "trap") >= 2.0
                && m.errors("dies", "trap") >= 2.0
                && runs(m, "refuses", 409) >= 2.0
        })
        .await?;
    ensure!(runs(&metrics, "traps", 500) >= 2.0, "{metrics:#?}");
    ensure!(metrics.errors("refuses", "error") == 0.0);
    for (function, told) in [
        ("traps", r#""status":500"#),
        ("refuses", r#""status":409"#),
        ("dies", "the scheduled run was cut"),
    ] {
        let function = format!(r#""function":"{function}""#);
        host.wait_for_log(|line| {
            line.contains("the scheduled run")
                && line.contains("WARN")
                && line.contains(&function)
                && line.contains(told)
                && line.contains("request_id")
        })
        .await?;
    }
    Ok(())
}

#[tokio::test]
async fn a_run_under_way_is_let_end_and_no_other_begins() -> Result<()> {
    let mut host = host(
        &[
            probe("long", "/sleep?4000", "every = '1h'"),
            probe("often", "/ok", "every = '1s'"),
        ],
        // A line for each request.
        &["--access-log", "on"],
    )?;
    host.wait_for_metrics(|m| in_flight(m, "long") == 1.0 && runs(m, "often", 200) >= 1.0)
        .await?;
    host.signal("TERM")?;
    let status = host.wait().await?;
    ensure!(status.code() == Some(0), "{status}");
    host.wait_for_log(|line| line.contains("every request was answered"))
        .await?;

    let log = host.log();
    let ending = log
        .iter()
        .position(|line| line.contains("ending:"))
        .unwrap_or_default();
    let ended = |function: &str| {
        let function = format!(r#""function":"{function}""#);
        log.iter()
            .skip(ending)
            .filter(|line| line.contains(r#""message":"request""#) && line.contains(&function))
            .collect::<Vec<_>>()
    };
    let long = ended("long");
    ensure!(
        long.len() == 1 && long[0].contains(r#""status":200"#) && !long[0].contains("reason"),
        "{long:?}"
    );
    // The one that was at it, at most.
    ensure!(ended("often").len() <= 1, "{:?}", ended("often"));
    Ok(())
}

#[tokio::test]
async fn a_run_that_outlasts_the_drain_timeout_is_cut() -> Result<()> {
    let mut host = host(
        &[probe(
            "endless",
            "/sleep?600000",
            "every = '1s'\ntimeout = '1h'",
        )],
        &["--drain-timeout", "1"],
    )?;
    host.wait_for_metrics(|m| in_flight(m, "endless") == 1.0)
        .await?;
    host.signal("TERM")?;
    let status = host.wait().await?;
    ensure!(status.code() == Some(1), "{status}");
    Ok(())
}
