//! Promise: a function gets what its manifest grants, and nothing else: variables, environment, files, clocks, the log and its own
//! metrics; no network, and no value of a variable ever shows in the log or the metrics.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use flowviz_tests::{Host, HostOptions, artifacts, probes};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Hosts that run beside this one must not meet it in the environment.
fn with(manifest: &str, args: &[&str], env: &[(&str, &str)]) -> Result<Host> {
    let options = HostOptions {
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..HostOptions::default()
    };
    Host::with_manifest(manifest, options)
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

#[tokio::test]
async fn variables_come_from_the_outside_and_stay_secret() -> Result<()> {
    const MANIFEST: &str = r#"
spin_manifest_version = 2
[application]
name = "variables"
[variables]
flag = { default = "flag-by-default" }
environment = { default = "environment-by-default" }
untouched = { default = "by-default" }
from_file = { required = true, secret = true }
host = { required = true }
[[trigger.http]]
route = "/probe/..."
component = "probe"
[component.probe]
source = "{probe}"
[component.probe.variables]
flag = "{{ flag }}"
environment = "{{ environment }}"
untouched = "{{ untouched }}"
from_file = "{{ from_file }}"
composed = "https://{{ host }}/{{untouched}}?{{ flag }}"
literal = "no template"
[[trigger.http]]
route = "/other/..."
component = "other"
[component.other]
source = "{probe}"
"#;
    let files = TempDir::new()?;
    let file = files.path().join("secret");
    std::fs::write(&file, "top-s3cret-from-a-file\n")?;
    let from_file = format!("from_file=@{}", file.display());
    let host = with(
        MANIFEST,
        &[
            "--variable",
            "flag=value-of-the-flag",
            "--variable",
            &from_file,
        ],
        &[
            ("SPIN_VARIABLE_FLAG", "the-flag-goes-before-this"),
            ("SPIN_VARIABLE_ENVIRONMENT", "value-of-the-environment"),
            ("SPIN_VARIABLE_HOST", "h0st.internal"),
        ],
    )?;
    for (name, value) in [
        ("flag", "value-of-the-flag"),
        ("environment", "value-of-the-environment"),
        ("untouched", "by-default"),
        ("from_file", "top-s3cret-from-a-file"),
        (
            "composed",
            "https://h0st.internal/by-default?value-of-the-flag",
        ),
        ("literal", "no template"),
    ] {
        let got = ask(&host, &format!("/probe/variable?{name}")).await?;
        ensure!(got == json!({ "ok": value }), "{name}: {got}");
    }
    // An application's variable is not the component's, nor is another component's.
    for (path, error) in [
        ("/probe/variable?host", "Undefined"),
        ("/other/variable?flag", "Undefined"),
        ("/probe/variable?Flag", "InvalidName"),
        ("/probe/variable?two__words", "InvalidName"),
        ("/probe/variable?", "InvalidName"),
    ] {
        let got = ask(&host, path).await?;
        ensure!(
            got["error"]
                .as_str()
                .is_some_and(|text| text.contains(error)),
            "{path}: {got}"
        );
    }
    let environment = ask(&host, "/probe/environment").await?.to_string();
    let shown = format!(
        "{}\n{:?}\n{environment}",
        host.log().join("\n"),
        host.metrics().await?
    );
    for value in [
        "value-of-the-flag",
        "value-of-the-environment",
        "top-s3cret",
        "h0st.internal",
    ] {
        ensure!(!shown.contains(value), "{value} shows");
    }
    Ok(())
}

#[tokio::test]
async fn the_environment_is_what_the_manifest_and_the_flags_say() -> Result<()> {
    let manifest = probes(&[("probe", "")]).replace(
        "source = \"{probe}\"",
        "source = \"{probe}\"\nenvironment = { GREETING = \"hello\", CHANGED = \"before\" }",
    );
    let host = with(
        &manifest,
        &["--env", "CHANGED=after", "-e", "ADDED=by a flag"],
        &[("HIDDEN", "the host's own")],
    )?;
    let got = ask(&host, "/probe/environment").await?;
    ensure!(
        got == json!({ "GREETING": "hello", "CHANGED": "after", "ADDED": "by a flag" }),
        "{got}"
    );
    Ok(())
}

#[tokio::test]
async fn files_are_mounted_where_the_manifest_says_and_read_only() -> Result<()> {
    let app = TempDir::new()?;
    let write = |path: &str, text: &str| {
        let path = app.path().join(path);
        std::fs::create_dir_all(path.parent().context("a file at the root")?)?;
        std::fs::write(path, text).map_err(anyhow::Error::from)
    };
    write("web/index.html", "the index")?;
    write("web/img/logo.svg", "the logo")?;
    write("web/private.key", "the key")?;
    write("data/units.csv", "kg,g")?;
    write("not-mounted.txt", "outside")?;
    let manifest = probes(&[("probe", "")])
        .replace("{probe}", &artifacts().probe.display().to_string())
        .replace(
            "[component.probe.tool.flowviz]",
            "files = [\"web/**/*\", { source = \"data\", destination = \"/reference\" }]\nexclude_files = [\"**/*.key\"]",
        );
    write("spin.toml", &manifest)?;
    let host = Host::start(HostOptions {
        manifest: app.path().join("spin.toml"),
        ..HostOptions::default()
    })?;
    for (path, content) in [
        ("/web/index.html", "the index"),
        ("/web/img/logo.svg", "the logo"),
        ("/reference/units.csv", "kg,g"),
    ] {
        let got = ask(&host, &format!("/probe/file?{path}")).await?;
        ensure!(got == json!({ "ok": content }), "{path}: {got}");
    }
    for path in [
        "/web/private.key",
        "/not-mounted.txt",
        "/../not-mounted.txt",
        "/etc/passwd",
        "/web/../../not-mounted.txt",
    ] {
        let got = ask(&host, &format!("/probe/file?{path}")).await?;
        ensure!(got["error"].is_string(), "{path}: {got}");
    }
    for path in ["/web/index.html", "/web/new.txt", "/new.txt"] {
        let got = ask(&host, &format!("/probe/write-file?{path}")).await?;
        ensure!(got["error"].is_string(), "{path}: {got}");
    }
    // What is mounted is a copy: the function sees the version that it was started with.
    write("web/index.html", "changed")?;
    let got = ask(&host, "/probe/file?/web/index.html").await?;
    ensure!(got == json!({ "ok": "the index" }), "{got}");
    Ok(())
}

#[tokio::test]
async fn clocks_tell_the_time() -> Result<()> {
    let host = with(&probes(&[("probe", "")]), &[], &[])?;
    let now = || {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map(|time| time.as_secs())
    };
    let before = now()?;
    let told = ask(&host, "/probe/clock")
        .await?
        .as_u64()
        .unwrap_or_default();
    ensure!((before..=now()?).contains(&told), "{told}");
    Ok(())
}

#[tokio::test]
async fn what_a_function_prints_is_logged_with_its_name_and_the_request() -> Result<()> {
    let host = with(&probes(&[("talker", "")]), &[], &[])?;
    let answer = host.get("/talker/print?hello").await?;
    let id = answer.header("x-request-id").unwrap_or_default().to_owned();
    for (stream, message) in [
        ("stdout", "to standard output: hello"),
        ("stderr", "to standard error: hello"),
    ] {
        let line = host.wait_for_log(|line| line.contains(message)).await?;
        let line: Value = serde_json::from_str(&line)?;
        ensure!(
            line["message"] == message && line["function"] == "talker" && line["stream"] == stream,
            "{line}"
        );
        ensure!(line["request_id"] == id.as_str(), "{line}");
        let version = &host.function("talker").await?["live"]["digest"];
        let version = version.as_str().unwrap_or_default();
        let said = line["version"].as_str().unwrap_or_default();
        ensure!(!said.is_empty() && version.contains(said), "{line}");
    }

    let human = Host::with_manifest(
        &probes(&[("talker", "")]),
        HostOptions {
            human_log: true,
            ..HostOptions::default()
        },
    )?;
    let answer = human.get("/talker/print?hello").await?;
    let id = answer.header("x-request-id").unwrap_or_default().to_owned();
    let line = human
        .wait_for_log(|line| line.contains("to standard output: hello"))
        .await?;
    ensure!(
        line.contains("talker") && line.contains(&id) && !line.starts_with('{'),
        line
    );
    ensure!(!line.contains('\u{1b}'), "colours in a file: {line}");

    // Quiet is about functions; the host goes on reporting.
    let quiet = with(&probes(&[("talker", "")]), &["--quiet"], &[])?;
    quiet.get("/talker/print?hello").await?;
    quiet.get("/talker/panic").await?;
    quiet.wait_for_log(|line| line.contains("trapped")).await?;
    ensure!(
        !quiet.log().join("\n").contains("hello"),
        "{:?}",
        quiet.log()
    );
    Ok(())
}

#[tokio::test]
async fn the_network_is_closed_but_to_where_http_may_go() -> Result<()> {
    let manifest = probes(&[("probe", "")]).replace(
        "source = \"{probe}\"",
        "source = \"{probe}\"\nallowed_outbound_hosts = [\"http://127.0.0.1:1\", \"https://*:*\"]",
    );
    let host = with(&manifest, &[], &[])?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let got = ask(&host, &format!("/probe/get?http://{address}/")).await?;
    ensure!(
        got["error"]
            .as_str()
            .is_some_and(|text| text.contains("Denied")),
        "{got}"
    );
    let got = ask(&host, &format!("/probe/socket?{address}")).await?;
    ensure!(got["error"].is_string(), "{got}");
    let nobody =
        tokio::time::timeout(std::time::Duration::from_millis(50), listener.accept()).await;
    ensure!(nobody.is_err(), "somebody connected");
    Ok(())
}

#[tokio::test]
async fn metrics_are_those_that_the_manifest_declares() -> Result<()> {
    const METRICS: &str = r#"
[component.probe.tool.flowviz.metrics.lots_total]
type = "counter"
help = "Lots."
labels = { kind = ["raw", "mixed"] }
[component.probe.tool.flowviz.metrics.temperature_celsius]
type = "gauge"
help = "Of the store."
[component.probe.tool.flowviz.metrics.weighing_seconds]
type = "histogram"
help = "Time to weigh."
buckets = [1, 10]
[component.probe.tool.flowviz.metrics.capped_total]
type = "counter"
help = "Has few series."
labels = { lot = [] }
max_series = 3
"#;
    let host = with(&probes(&[("probe", METRICS), ("other", "")]), &[], &[])?;
    let metrics = host.metrics().await?;
    for kind in ["raw", "mixed"] {
        let series = format!(r#"lots_total{{function="probe",kind="{kind}"}}"#);
        ensure!(metrics.sum("lots_total", &[("kind", kind)]) == 0.0);
        ensure!(
            metrics
                .series()
                .any(|(name, _)| name.contains("lots_total") && name.contains(kind)),
            "{series}: {metrics:#?}"
        );
    }

    for recorded in [
        "counter,lots_total,2,kind=raw",
        "counter,lots_total,0.5,kind=raw",
        "counter,lots_total,1,kind=cooked",
        "gauge,temperature_celsius,-18",
        "gauge,temperature_celsius,-20.5",
        "histogram,weighing_seconds,0.5",
        "histogram,weighing_seconds,5",
        "histogram,weighing_seconds,50",
    ] {
        let got = ask(&host, &format!("/probe/count?{recorded}")).await?;
        ensure!(got == json!({ "ok": null }), "{recorded}: {got}");
    }
    for (refused, error) in [
        ("/probe/count?counter,unknown_total,1", "Undeclared"),
        ("/other/count?counter,lots_total,1,kind=raw", "Undeclared"),
        ("/probe/count?gauge,lots_total,1,kind=raw", "WrongType"),
        ("/probe/count?counter,lots_total,1", "WrongLabels"),
        (
            "/probe/count?counter,lots_total,1,kind=raw,more=1",
            "WrongLabels",
        ),
        (
            "/probe/count?counter,lots_total,1,colour=raw",
            "WrongLabels",
        ),
        (
            "/probe/count?counter,lots_total,1,kind=raw,kind=raw",
            "WrongLabels",
        ),
        ("/probe/count?counter,lots_total,-1,kind=raw", "BadValue"),
        ("/probe/count?counter,lots_total,NaN,kind=raw", "BadValue"),
        ("/probe/count?gauge,temperature_celsius,inf", "BadValue"),
    ] {
        let got = ask(&host, refused).await?;
        ensure!(
            got["error"]
                .as_str()
                .is_some_and(|text| text.contains(error)),
            "{refused}: {got}"
        );
    }
    for number in 0..20 {
        ask(
            &host,
            &format!("/probe/count?counter,capped_total,1,lot=L{number}"),
        )
        .await?;
    }

    let metrics = host.metrics().await?;
    for (metric, label, value) in [
        ("lots_total", Some(("kind", "raw")), 2.5),
        ("lots_total", Some(("kind", "mixed")), 0.0),
        ("lots_total", Some(("kind", "cooked")), 1.0),
        ("lots_total", None, 3.5),
        ("temperature_celsius", None, -20.5),
        ("weighing_seconds_count", None, 3.0),
        ("weighing_seconds_sum", None, 55.5),
        ("weighing_seconds_bucket", Some(("le", "1")), 1.0),
        ("weighing_seconds_bucket", Some(("le", "10")), 2.0),
        ("weighing_seconds_bucket", Some(("le", "+Inf")), 3.0),
        // Nothing is lost, and the number of series is bounded.
        ("capped_total", None, 20.0),
    ] {
        let labels: Vec<_> = label.into_iter().collect();
        let got = metrics.sum(metric, &labels);
        ensure!(got == value, "{metric} {label:?}: {got}");
    }
    ensure!(metrics.sum("capped_total", &[("lot", "other")]) >= 16.0);
    let series = metrics
        .series()
        .filter(|(series, _)| series.starts_with("capped_total{"))
        .count();
    ensure!(series <= 4, "{series} series");
    Ok(())
}
