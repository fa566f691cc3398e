//! Promise: whatever is wrong with an application, its components or its addresses, `flowviz` says so before it serves: one message
//! that names the place and the remedy, and an exit code that isn't 0. A database that isn't there is no such fault.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context as _, Result, ensure};
use flowviz_tests::{Host, HostOptions, artifacts};
use tempfile::TempDir;

/// An application in a directory of its own.
struct Bad {
    dir: TempDir,
}

impl Bad {
    fn new(manifest: &str) -> Result<Self> {
        let dir = TempDir::new()?;
        let probe = artifacts().probe.display().to_string();
        std::fs::write(
            dir.path().join("spin.toml"),
            manifest.replace("{probe}", &probe),
        )?;
        Ok(Self { dir })
    }

    /// With the one component `odd.wasm`.
    fn component(bytes: &[u8]) -> Result<Self> {
        let bad = Self::new(&app("source = \"odd.wasm\""))?;
        std::fs::write(bad.dir.path().join("odd.wasm"), bytes)?;
        Ok(bad)
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// What a command says about it.
    fn run(&self, command: &[&str]) -> Result<Output> {
        Command::new(&artifacts().flowviz)
            .args(command)
            .current_dir(self.path())
            .env_remove("RUST_LOG")
            .env_remove("RUST_BACKTRACE")
            .env("FLOWVIZ_CACHE_DIR", self.path().join("cache"))
            .stdin(Stdio::null())
            .output()
            .context("running flowviz")
    }

    /// Both commands refuse it with one line, in which all of these are.
    fn refused(&self, parts: &[&str]) -> Result<()> {
        for command in [
            &["check"][..],
            &[
                "up",
                "--listen",
                "127.0.0.1:0",
                "--admin-listen",
                "127.0.0.1:0",
            ],
        ] {
            one_line(&self.run(command)?, parts).with_context(|| format!("{command:?}"))?;
        }
        Ok(())
    }
}

fn one_line(output: &Output, parts: &[&str]) -> Result<()> {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(1), "{}: {text}", output.status);
    let errors: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("error: "))
        .collect();
    ensure!(
        errors.len() == 1 && text.lines().count() == 1,
        "not one line:\n{text}"
    );
    for part in parts {
        ensure!(text.contains(part), "`{part}` isn't in: {text}");
    }
    ensure!(
        !text.contains("panicked") && !text.contains("stack backtrace"),
        "{text}"
    );
    ensure!(
        output.stdout.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
    Ok(())
}

/// An application of one function; its component's table begins on line 8.
fn app(component: &str) -> String {
    format!(
        r#"spin_manifest_version = 2
[application]
name = "bad"

[[trigger.http]]
route = "/odd/..."
component = "odd"
[component.odd]
{component}
"#
    )
}

#[test]
fn a_component_that_is_not_there() -> Result<()> {
    Bad::new(&app("source = \"odd.wasm\""))?.refused(&[
        "spin.toml:9: [component.odd] source",
        "odd.wasm",
        "fix: ",
    ])
}

#[test]
fn a_file_that_is_no_wasm() -> Result<()> {
    Bad::component(b"#!/bin/sh\n")?.refused(&[
        "spin.toml:9: [component.odd]",
        "odd.wasm is not WebAssembly",
    ])?;
    Bad::component(b"")?.refused(&[
        "spin.toml:9: [component.odd]",
        "odd.wasm is not WebAssembly",
    ])
}

#[test]
fn a_component_that_is_cut_short() -> Result<()> {
    let mut probe = std::fs::read(&artifacts().probe)?;
    probe.truncate(probe.len() / 2);
    Bad::component(&probe)?.refused(&["spin.toml:9: [component.odd]", "odd.wasm does not compile"])
}

#[test]
fn a_core_module() -> Result<()> {
    let module = wat::parse_str("(module (func (export \"_start\")))")?;
    Bad::component(&module)?.refused(&[
        "spin.toml:9: [component.odd]",
        "core WebAssembly module",
        "wasm32-wasip2",
    ])
}

#[test]
fn a_component_that_imports_what_the_host_does_not_have() -> Result<()> {
    let component = wat::parse_str(
        r#"(component (import "acme:printer/labels@1.2.0" (instance (export "print" (func (param "text" string))))))"#,
    )?;
    Bad::component(&component)?.refused(&[
        "spin.toml:9: [component.odd]",
        "acme:printer/labels@1.2.0",
        "imports",
    ])
}

#[test]
fn a_component_that_handles_no_http() -> Result<()> {
    let component = wat::parse_str("(component)")?;
    Bad::component(&component)?.refused(&[
        "spin.toml:9: [component.odd]",
        "not an HTTP function",
        "wasi:http/handler@0.3.0",
    ])
}

#[test]
fn faults_of_the_manifest() -> Result<()> {
    let good = app("source = \"{probe}\"");
    let trigger = |route: &str, component: &str| {
        format!("{good}[[trigger.http]]\nroute = \"{route}\"\ncomponent = \"{component}\"\n")
    };
    let with = |lines: &str| app(&format!("source = \"{{probe}}\"\n{lines}"));
    for (manifest, parts) in [
        (
            trigger("/odd/*", "odd"),
            &[
                "spin.toml:11: ",
                "route",
                "line 6 already routes the same paths",
                "fix: remove one",
            ][..],
        ),
        (
            trigger("/other", "ood"),
            &[
                "spin.toml:12: ",
                "component",
                "there is no component `ood`",
                "did you mean `odd`?",
            ],
        ),
        (
            with("allowed_outbound_host = []"),
            &[
                "spin.toml:10: ",
                "allowed_outbound_host",
                "did you mean `allowed_outbound_hosts`?",
            ],
        ),
        (
            with("key_value_stores = [\"mine\"]"),
            &[
                "spin.toml:10: ",
                "there is no store `mine`",
                "write `key_value_stores = [\"default\"]`",
            ],
        ),
        (
            with("[component.odd.tool.flowviz]\ntimeout = \"2 parsecs\""),
            &[
                "spin.toml:11: ",
                "timeout",
                "`2 parsecs`",
                "fix: write for example",
            ],
        ),
        (
            with("[component.odd.tool.flowviz]\nmemory_limit = \"1KB\""),
            &[
                "spin.toml:11: ",
                "memory_limit",
                "out of range",
                "choose from 1MiB to 4GiB",
            ],
        ),
        (
            with("variables = { token = \"{{ token }}\" }"),
            &[
                "spin.toml:10: ",
                "no variable `token`",
                "fix: declare it under `[variables]`",
            ],
        ),
        (
            format!("{good}[variables]\ntoken = {{ required = true }}\n"),
            &[
                "spin.toml:11: ",
                "token",
                "has no value",
                "SPIN_VARIABLE_TOKEN",
            ],
        ),
        (
            with("files = [\"not-there.txt\"]"),
            &["spin.toml:10: ", "not-there.txt", "fix: "],
        ),
        (format!("{good}not toml at all\n"), &["spin.toml:10: "]),
        (
            good.replace("version = 2", "version = 1"),
            &["spin.toml:1: ", "spin_manifest_version"],
        ),
    ] {
        Bad::new(&manifest)?
            .refused(parts)
            .with_context(|| manifest.clone())?;
    }
    Ok(())
}

/// Not one fault per run: whoever mends a manifest wants to see all of them.
#[test]
fn every_fault_is_named_at_once() -> Result<()> {
    let bad = Bad::new(&app(
        "source = \"{probe}\"\nsorce = 1\n[component.odd.tool.flowviz]\ntimeot = 1\nqueue = -1",
    ))?;
    let output = bad.run(&["check"])?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(
        output.status.code() == Some(1) && text.lines().count() == 3,
        "{text}"
    );
    for (line, place) in text
        .lines()
        .zip(["spin.toml:10: ", "spin.toml:12: ", "spin.toml:13: "])
    {
        ensure!(
            line.starts_with("error: ") && line.contains(place) && line.contains("; fix: "),
            "{line}"
        );
    }
    Ok(())
}

#[test]
fn no_manifest() -> Result<()> {
    let bad = Bad::new("")?;
    std::fs::remove_file(bad.path().join("spin.toml"))?;
    bad.refused(&["spin.toml", "can't be read", "fix: name a Spin manifest"])
}

#[test]
fn values_that_are_given_wrongly() -> Result<()> {
    let bad = Bad::new(&app("source = \"{probe}\""))?;
    one_line(
        &bad.run(&["check", "--variable", "nobody=1"])?,
        &["--variable nobody", "declares no variable `nobody`"],
    )?;
    one_line(
        &bad.run(&["check", "--variable", "key=@not-there"])?,
        &["--variable key=@not-there", "No such file"],
    )?;
    for wrong in [
        &["check", "--variable", "noequals"][..],
        &["up", "--listen", "somewhere"],
        &["serve"],
        &[],
    ] {
        let output = bad.run(wrong)?;
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(
            output.status.code() == Some(2) && text.contains("help"),
            "{wrong:?}: {text}"
        );
    }
    Ok(())
}

#[test]
fn a_port_that_is_taken() -> Result<()> {
    let bad = Bad::new(&app("source = \"{probe}\""))?;
    let free = "127.0.0.1:0";
    let held = std::net::TcpListener::bind(free)?;
    let taken = held.local_addr()?.to_string();
    for (listen, admin, flag) in [
        (taken.as_str(), free, "--listen"),
        (free, taken.as_str(), "--admin-listen"),
    ] {
        let output = bad.run(&["up", "--listen", listen, "--admin-listen", admin])?;
        one_line(
            &output,
            &[
                &taken,
                &format!("choose another address with {flag} ADDRESS"),
                "in use",
            ],
        )?;
    }
    Ok(())
}

#[test]
fn a_good_application_is_said_to_be_good() -> Result<()> {
    let output = Bad::new(&app("source = \"{probe}\""))?.run(&["check"])?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(
        output.status.success() && text.contains("1 function, 1 route:"),
        "{text}"
    );
    ensure!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// It may come later: the host serves, says that it isn't ready and why, once, and finds the database by itself.
#[tokio::test]
async fn a_database_that_is_not_there_yet() -> Result<()> {
    let mut stack = flowviz_stack::Stack::start(flowviz_stack::Options::temporary()).await?;
    let url = stack.app_url().to_string();
    stack.stop_pgbouncer().await;
    let manifest = app("source = \"{probe}\"").replace(
        "[[trigger.http]]",
        "[application.tool.flowviz]\ndatabase = \"{{ url }}\"\n[variables]\nurl = { required = true, secret = true }\n[[trigger.http]]",
    );
    let host = Host::with_manifest(
        &manifest,
        HostOptions {
            env: vec![("SPIN_VARIABLE_URL".to_owned(), url.clone())],
            ..HostOptions::default()
        },
    )?;
    ensure!(host.get("/odd/ok").await?.status == 200);
    host.wait_ready(503).await?;
    let complaint = |line: &&String| line.contains("the database doesn't answer");
    host.wait_for_log(|line| line.contains("the database doesn't answer"))
        .await?;
    stack.start_pgbouncer().await?;
    host.wait_ready(200).await?;
    host.wait_for_log(|line| line.contains("the database answers"))
        .await?;
    let log = host.log();
    ensure!(log.iter().filter(complaint).count() == 1, "{log:#?}");
    let password = url.split(['/', ':', '@']).nth(4).unwrap_or_default();
    ensure!(password.len() > 5 && !log.join("\n").contains(password));
    Ok(())
}
