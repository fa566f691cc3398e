//! Promise: the manifest is read again without a restart, and all that it says is applied, or nothing: routes, variables, limits, new
//! functions and those that are gone, with requests in flight.

use std::fs;

use anyhow::{Context as _, Result, ensure};
use flowviz_tests::{Answer, Component, FIRST, Held, Host, HostOptions, artifacts, client, probes};
use serde_json::json;
use tempfile::TempDir;

struct Site {
    dir: TempDir,
    host: Host,
}

impl Site {
    fn start(manifest: &str) -> Result<Self> {
        let dir = TempDir::new()?;
        fs::copy(&artifacts().probe, dir.path().join("probe.wasm"))?;
        let file = dir.path().join("spin.toml");
        fs::write(&file, manifest.replace("{probe}", "probe.wasm"))?;
        let host = Host::start(HostOptions {
            manifest: file,
            ..HostOptions::default()
        })?;
        Ok(Self { dir, host })
    }

    fn write(&self, manifest: &str) -> Result<()> {
        let text = manifest.replace("{probe}", "probe.wasm");
        Ok(fs::write(self.dir.path().join("spin.toml"), text)?)
    }

    async fn reload(&self) -> Result<Answer> {
        self.host.reload(json!({})).await
    }

    async fn status(&self, path: &str) -> Result<u16> {
        Ok(self.host.get(path).await?.status.as_u16())
    }
}

/// The test component, echoing or not, with a variable.
fn with_environment(manifest: &str, value: &str) -> String {
    manifest.replace(
        "source = \"{probe}\"",
        &format!("source = \"{{probe}}\"\nenvironment = {{ COLOUR = \"{value}\" }}"),
    )
}

#[tokio::test]
async fn what_the_manifest_says_anew_holds_from_then_on() -> Result<()> {
    let before = with_environment(
        &probes(&[("stays", ""), ("changes", ""), ("goes", "")]),
        "red",
    );
    let site = Site::start(&before)?;
    let rejected = site.host.put("stays", "no component").await?;
    ensure!(rejected.status == 422, "{}", rejected.text());
    let stays = site.host.function("stays").await?;
    ensure!(stays["last_error"]["type"].is_string(), "{stays}");
    let held = Held::post(&client(), site.host.url("/goes/echo"));
    held.send("begun, ");
    site.host
        .wait_for_metrics(|metrics| {
            metrics.sum("http_requests_in_flight", &[("function", "goes")]) == 1.0
        })
        .await?;

    let after = with_environment(
        &probes(&[
            ("stays", ""),
            ("changes", "methods = ['GET']\nmax_body_size = '1KiB'"),
            ("comes", ""),
        ]),
        "red",
    );
    site.write(&after)?;
    let reloaded = site.reload().await?;
    ensure!(reloaded.status == 200, "{}", reloaded.text());
    let said = reloaded.json()?;
    ensure!(
        said["functions"]
            == json!({ "added": ["comes"], "removed": ["goes"], "changed": ["changes"], "unchanged": 1 }),
        "{said}"
    );
    // Since when it is live, and what was turned down.
    ensure!(site.host.function("stays").await? == stays, "{stays}");
    ensure!(site.status("/comes/ok").await? == 200);
    ensure!(site.status("/goes/ok").await? == 404);
    let refused = Answer::of(client().post(site.host.url("/changes/echo"))).await?;
    ensure!(refused.status == 405, "{}", refused.status);
    // Whoever was served by what is gone is served to the end.
    held.send("ended");
    let answer = held.finish().await?;
    ensure!(
        answer.status == 200 && answer.text() == "begun, ended",
        "{}",
        answer.text()
    );
    let metrics = site
        .host
        .wait_for_metrics(|metrics| {
            metrics.sum("flowviz_function_info", &[("function", "goes")]) == 0.0
        })
        .await?;
    ensure!(metrics.sum("flowviz_app_reloads_total", &[("result", "applied")]) == 1.0);
    Ok(())
}

#[tokio::test]
async fn a_faulty_manifest_changes_nothing() -> Result<()> {
    let good = probes(&[("probe", "")]);
    let site = Site::start(&good)?;
    let both = probes(&[("probe", ""), ("new", "")]);
    let faulty = [
        (
            "not TOML",
            both.replace("[application]", "[application"),
            "spin.toml:",
        ),
        (
            "an unknown key",
            both.replace("[application]\n", "[application]\ncolour = 1\n"),
            "colour",
        ),
        (
            "no component",
            both.replacen("{probe}", "gone.wasm", 1),
            "gone.wasm",
        ),
        (
            "only at start",
            format!("{both}\n[application.tool.flowviz.pool]\nsize = 3\n"),
            "pool: changes only when the host is restarted",
        ),
        (
            "too much",
            probes(&[("probe", ""), ("new", "max_concurrency = 9000")]),
            "restart it",
        ),
        (
            "a probe that fails",
            probes(&[("probe", ""), ("new", "probe = '/new/status?503'")]),
            "503",
        ),
        (
            "a probe that leads elsewhere",
            probes(&[("probe", ""), ("new", "probe = '/probe/ok'")]),
            "no route of this component",
        ),
    ];
    let count = faulty.len();
    for (what, manifest, told) in faulty {
        site.write(&manifest)?;
        let answer = site.reload().await?;
        ensure!(
            answer.status == 422,
            "{what}: {} {}",
            answer.status,
            answer.text()
        );
        let said = answer.json()?;
        ensure!(
            said["type"] == "/problems/manifest-rejected",
            "{what}: {said}"
        );
        let detail = said["detail"].as_str().unwrap_or_default();
        ensure!(detail.contains(told), "{what}: {detail}");
        ensure!(site.status("/probe/ok").await? == 200, "{what}");
        ensure!(site.status("/new/ok").await? == 404, "{what}");
    }
    let metrics = site.host.metrics().await?;
    let rejected = metrics.sum("flowviz_app_reloads_total", &[("result", "rejected")]);
    ensure!(rejected == count as f64, "{rejected}");
    site.write(&both)?;
    ensure!(site.reload().await?.status == 200);
    ensure!(site.status("/new/ok").await? == 200);
    Ok(())
}

#[tokio::test]
async fn a_new_build_and_a_signal_are_enough() -> Result<()> {
    let site = Site::start(&probes(&[("probe", "")]))?;
    site.host.expect_version("probe", FIRST).await?;
    fs::write(site.dir.path().join("probe.wasm"), Component::version(1)?.0)?;
    site.host.signal("HUP")?;
    site.host
        .wait_for_log(|line| line.contains("the manifest was read again"))
        .await?;
    site.host.expect_version("probe", 1).await?;
    // It isn't a deployment: there is nothing that a restart would have to find.
    ensure!(!site.dir.path().join(".flowviz").exists());
    Ok(())
}

#[tokio::test]
async fn a_probe_decides_whether_a_version_serves() -> Result<()> {
    let site = Site::start(&probes(&[("probe", "probe = '/probe/ok'")]))?;
    let said = site.host.deploy("probe", 1).await?;
    ensure!(
        said["ms"]["probe"].as_f64().is_some_and(|ms| ms > 0.0),
        "{said}"
    );
    // The same, with a probe that no version passes.
    site.write(&probes(&[("probe", "probe = '/probe/ok'"), ("fails", "")]))?;
    ensure!(site.reload().await?.status == 200);
    let requests = site.host.metrics().await?;
    let counted = requests.sum("http_requests_total", &[("function", "probe")]);
    ensure!(counted == 0.0, "a probe is no request: {counted}");
    site.host.expect_version("probe", 1).await
}

#[tokio::test]
async fn a_schedule_follows_the_manifest() -> Result<()> {
    let every = |seconds: u32| {
        let settings = format!("every = '{seconds}s'");
        probes(&[("probe", ""), ("timer", &settings)])
    };
    let site = Site::start(&probes(&[("probe", "")]))?;
    let runs = |metrics: &flowviz_tests::Metrics| {
        metrics.sum(
            "http_requests_total",
            &[("function", "timer"), ("route", "private")],
        )
    };
    site.write(&every(1))?;
    ensure!(site.reload().await?.status == 200);
    site.host
        .wait_for_metrics(|metrics| runs(metrics) >= 2.0)
        .await?;
    site.write(&probes(&[("probe", "")]))?;
    ensure!(site.reload().await?.status == 200);
    let stopped = runs(&site.host.metrics().await?);
    tokio::time::sleep(std::time::Duration::from_millis(2500)).await;
    let later = runs(&site.host.metrics().await?);
    ensure!(later <= stopped + 1.0, "it still runs: {stopped}, {later}");
    let series = site.host.scrape().await?;
    ensure!(!series.contains("flowviz_function_info{function=\"timer\""));
    site.host
        .function("probe")
        .await
        .context("the one that stays")?;
    Ok(())
}
