//! Promise: an app that was started once compiles nothing when it is started again; a cache that is damaged, or that others may
//! write to, costs time and nothing else.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use flowviz_tests::{Host, HostOptions, probes};
use serde_json::Value;
use tempfile::TempDir;

/// Starts the app, sees it serve, and gives the components that it compiled and its log.
async fn start(options: HostOptions) -> Result<(u64, String)> {
    let host = Host::with_manifest(&probes(&[("probe", "")]), options)?;
    ensure!(host.get("/probe/ok").await?.text() == "ok");
    let line = host
        .wait_for_log(|line| line.contains("functions loaded"))
        .await?;
    let loaded = serde_json::from_str::<Value>(&line)?;
    ensure!(loaded["ms"].is_u64(), "a number belongs there: {line}");
    Ok((
        loaded["compiled"].as_u64().context(line)?,
        host.log().join("\n"),
    ))
}

async fn start_with(cache: &Path) -> Result<(u64, String)> {
    start(HostOptions {
        cache_dir: Some(cache.to_owned()),
        ..HostOptions::default()
    })
    .await
}

/// The compiled form. Beside it is the component that it was made of.
fn only_file(cache: &Path) -> Result<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(cache)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    files.retain(|file| {
        file.extension()
            .is_some_and(|extension| extension == "cwasm")
    });
    let file = files.pop().context("the cache is empty")?;
    ensure!(files.is_empty(), "{files:?}");
    Ok(file)
}

#[tokio::test]
async fn a_second_start_compiles_nothing() -> Result<()> {
    let cache = TempDir::new()?;
    ensure!(start_with(cache.path()).await?.0 == 1);
    ensure!(start_with(cache.path()).await?.0 == 0);
    Ok(())
}

#[tokio::test]
async fn a_damaged_file_is_replaced() -> Result<()> {
    let cache = TempDir::new()?;
    start_with(cache.path()).await?;
    let file = only_file(cache.path())?;
    let good = fs::read(&file)?;
    let foreign = [&good[..64], &vec![0xff; good.len() - 64][..]].concat();
    for damaged in [
        &b""[..],
        b"half a file",
        &good[..100],
        &good[..good.len() / 2],
        &foreign,
    ] {
        fs::write(&file, damaged)?;
        let (compiled, log) = start_with(cache.path()).await?;
        ensure!(
            compiled == 1 && log.contains("can't be used"),
            "{} bytes: {log}",
            damaged.len()
        );
        let (compiled, log) = start_with(cache.path()).await?;
        ensure!(
            compiled == 0 && !log.contains("can't be used"),
            "{} bytes: {log}",
            damaged.len()
        );
        ensure!(only_file(cache.path())? == file);
    }
    Ok(())
}

#[tokio::test]
async fn without_a_cache_each_start_compiles() -> Result<()> {
    let options = HostOptions {
        args: vec!["--no-cache".to_owned()],
        ..HostOptions::default()
    };
    for _ in 0..2 {
        ensure!(start(options.clone()).await?.0 == 1);
    }
    Ok(())
}

/// What is in there is executed.
#[tokio::test]
async fn a_directory_that_others_may_write_to_is_not_trusted() -> Result<()> {
    let cache = TempDir::new()?;
    start_with(cache.path()).await?;
    fs::set_permissions(cache.path(), fs::Permissions::from_mode(0o777))?;
    let (compiled, log) = start_with(cache.path()).await?;
    ensure!(compiled == 1 && log.contains("others may write"), log);
    Ok(())
}
