//! Promise: with `--watch`, what is built anew goes live by itself, and nothing that is half written, broken or faulty ever does.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use flowviz_tests::{Component, FIRST, Host, HostOptions, PATIENCE, artifacts, probes};
use tempfile::TempDir;

struct Site {
    dir: TempDir,
    host: Host,
}

impl Site {
    async fn start() -> Result<Self> {
        let dir = TempDir::new()?;
        fs::create_dir(dir.path().join("build"))?;
        fs::copy(&artifacts().probe, dir.path().join("build/probe.wasm"))?;
        let file = dir.path().join("spin.toml");
        fs::write(&file, manifest(&[("probe", "")]))?;
        let host = Host::start(HostOptions {
            manifest: file,
            args: vec!["--watch".to_owned()],
            ..HostOptions::default()
        })?;
        host.expect_version("probe", FIRST).await?;
        Ok(Self { dir, host })
    }

    fn component(&self) -> PathBuf {
        self.dir.path().join("build/probe.wasm")
    }

    async fn until_version(&self, version: u64) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) = self.host.expect_version("probe", version).await {
            if Instant::now() > deadline {
                bail!("never: {error}\n{}", self.host.log().join("\n"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    async fn rejected(&self, count: f64) -> Result<()> {
        self.host
            .wait_for_metrics(|metrics| {
                metrics.sum("flowviz_function_swaps_total", &[("result", "rejected")]) >= count
            })
            .await?;
        Ok(())
    }
}

fn manifest(functions: &[(&str, &str)]) -> String {
    probes(functions).replace("{probe}", "build/probe.wasm")
}

#[tokio::test]
async fn a_component_that_is_built_anew_goes_live() -> Result<()> {
    let site = Site::start().await?;
    // As builds do it: beside it, and then in its place.
    let beside = site.dir.path().join("build/probe.new");
    fs::write(&beside, Component::version(1)?.0)?;
    fs::rename(&beside, site.component())?;
    site.until_version(1).await?;
    let function = site.host.function("probe").await?;
    ensure!(function["live"]["origin"] == "watch", "{function}");

    // In pieces, slower than what counts as quiet: never half of it.
    let whole = Component::version(2)?.0;
    let mut file = File::create(site.component())?;
    for piece in whole.chunks(whole.len() / 3 + 1) {
        file.write_all(piece)?;
        file.sync_all()?;
        let until = Instant::now() + Duration::from_millis(600);
        while Instant::now() < until {
            let answer = site.host.get("/probe/version").await?;
            let [old, new] = [1, 2].map(Component::says);
            ensure!(
                answer.text() == old || answer.text() == new,
                "{}",
                answer.text()
            );
        }
    }
    site.until_version(2).await?;

    // Broken, and mended.
    fs::write(site.component(), "no component")?;
    site.rejected(1.0).await?;
    site.host.expect_version("probe", 2).await?;
    fs::write(site.component(), Component::version(3)?.0)?;
    site.until_version(3).await
}

#[tokio::test]
async fn a_manifest_that_is_edited_is_applied() -> Result<()> {
    let site = Site::start().await?;
    let file = site.dir.path().join("spin.toml");
    fs::write(&file, "faulty")?;
    site.host
        .wait_for_log(|line| line.contains("the manifest is not applied"))
        .await?;
    site.host.expect_version("probe", FIRST).await?;
    fs::write(&file, manifest(&[("probe", ""), ("second", "")]))?;
    site.host
        .wait_for_log(|line| line.contains("the manifest was read again"))
        .await?;
    site.host.expect_version("second", FIRST).await?;
    // Both have the same file.
    fs::write(site.component(), Component::version(1)?.0)?;
    site.until_version(1).await?;
    let deadline = Instant::now() + PATIENCE;
    while site.host.expect_version("second", 1).await.is_err() {
        ensure!(Instant::now() < deadline, "only one of them is swapped");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}
