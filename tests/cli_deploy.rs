//! Promise: `flowviz deploy`, `functions`, `rollback` and `reload` do what they say in a host that runs, and say in one message why
//! they can't.

use std::fs;
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use flowviz_tests::{ADMIN_TOKEN, Component, FIRST, Host, HostOptions, artifacts, probes};
use serde_json::Value;
use tempfile::TempDir;

struct Cli {
    host: Host,
    files: TempDir,
}

impl Cli {
    fn start() -> Result<Self> {
        let manifest = probes(&[("probe", ""), ("other", "")]);
        let host = Host::with_manifest(&manifest, HostOptions::default())?;
        let files = tempfile::tempdir()?;
        fs::write(files.path().join("token"), format!("{ADMIN_TOKEN}\n"))?;
        Ok(Self { host, files })
    }

    fn component(&self, version: u64) -> Result<String> {
        let file = self.files.path().join(format!("{version}.wasm"));
        fs::write(&file, Component::version(version)?.0)?;
        Ok(file.display().to_string())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&artifacts().flowviz);
        command
            .args(args)
            .env("FLOWVIZ_ADMIN_URL", self.host.admin_url(""))
            .env("FLOWVIZ_ADMIN_TOKEN_FILE", self.files.path().join("token"))
            .env_remove("FLOWVIZ_ADMIN_TOKEN");
        command
    }

    fn run(&self, args: &[&str]) -> Result<Output> {
        Ok(self.command(args).output()?)
    }

    /// What it prints, if all went well.
    fn ok(&self, args: &[&str]) -> Result<String> {
        let output = self.run(args)?;
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success() && error.is_empty(),
            "{args:?}: {error}"
        );
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// The one message of a command that fails.
fn fails(output: &Output) -> Result<String> {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.code() == Some(1),
        "{}: {error}",
        output.status
    );
    ensure!(
        error.starts_with("error: ") && output.stdout.is_empty(),
        "{error}"
    );
    ensure!(!error.contains(ADMIN_TOKEN), "{error}");
    Ok(error)
}

#[tokio::test]
async fn a_function_is_deployed_shown_and_rolled_back() -> Result<()> {
    let cli = Cli::start()?;
    let first = cli.component(1)?;
    let said = cli.ok(&["deploy", "probe", "--component", &first])?;
    ensure!(
        said.contains(" -> ") && said.contains("swapped in"),
        "{said}"
    );
    cli.host.expect_version("probe", 1).await?;

    let list = cli.ok(&["functions"])?;
    let lines: Vec<_> = list.lines().collect();
    ensure!(
        lines.len() == 3 && lines[0].starts_with("FUNCTION"),
        "{list}"
    );
    ensure!(
        lines[1].starts_with("probe") && lines[1].contains("api"),
        "{list}"
    );
    let one = cli.ok(&["functions", "probe"])?;
    ensure!(
        one.contains("live") && one.contains("kept") && one.contains("/probe/..."),
        "{one}"
    );

    let json: Value = serde_json::from_str(&cli.ok(&["functions", "probe", "--json"])?)?;
    let before = json["versions"][1]["version"]
        .as_str()
        .context("a version")?;
    let said = cli.ok(&["rollback", "probe", "--to", before])?;
    ensure!(said.contains(before), "{said}");
    cli.host.expect_version("probe", FIRST).await?;
    cli.ok(&["rollback", "probe"])?;
    cli.host.expect_version("probe", 1).await?;

    let said = cli.ok(&["reload"])?;
    ensure!(said.contains("2 functions unchanged, 2 routes"), "{said}");
    let said = cli.ok(&["reload", "--fresh"])?;
    ensure!(said.contains("changed    probe"), "{said}");
    cli.host.expect_version("probe", FIRST).await?;
    // Without a file, what the host's manifest names.
    let said = cli.ok(&["deploy", "other"])?;
    ensure!(said.contains("is live already"), "{said}");
    Ok(())
}

#[tokio::test]
async fn what_fails_says_why() -> Result<()> {
    let cli = Cli::start()?;
    let fail = |args: &[&str]| -> Result<String> { fails(&cli.run(args)?) };
    let bad = cli.files.path().join("bad.wasm");
    fs::write(&bad, "no component")?;
    let bad = bad.display().to_string();
    for (args, told) in [
        (
            &["deploy", "probe", "--component", &bad][..],
            "not WebAssembly",
        ),
        (
            &["deploy", "probe", "--component", "/nowhere.wasm"],
            "--component FILE",
        ),
        (
            &["deploy", "nothing", "--component", &bad],
            "no function `nothing`",
        ),
        (
            &["rollback", "probe"],
            "No version of this function was live before",
        ),
        (&["functions", "nothing"], "no function `nothing`"),
        (
            &["functions", "--admin", "http://127.0.0.1:1"],
            "--admin URL",
        ),
    ] {
        let error = fail(args)?;
        ensure!(
            error.to_lowercase().contains(&told.to_lowercase()),
            "{args:?}: {error}"
        );
    }
    let foreign = cli.host.url("");
    let error = fail(&["functions", "--admin", &foreign])?;
    ensure!(error.contains("--admin URL"), "{error}");

    let mut without = cli.command(&["functions"]);
    without.env_remove("FLOWVIZ_ADMIN_TOKEN_FILE");
    let error = fails(&without.output()?)?;
    ensure!(error.contains("--admin-token-file"), "{error}");
    let mut twice = cli.command(&["functions"]);
    twice.env("FLOWVIZ_ADMIN_TOKEN", ADMIN_TOKEN);
    let error = fails(&twice.output()?)?;
    ensure!(error.contains("given twice"), "{error}");
    cli.host.expect_version("probe", FIRST).await
}
