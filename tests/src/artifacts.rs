//! The binaries and components under test, built from the sources as they are, so that no test runs against yesterday's.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Result, ensure};

/// Where things are after a build.
#[derive(Clone, Debug)]
pub struct Artifacts {
    /// The host's binary.
    pub flowviz: PathBuf,
    /// The test component that misbehaves on request.
    pub probe: PathBuf,
    /// One of WASI 0.2, made with an older SDK.
    pub p2: PathBuf,
}

/// The workspace's root.
pub fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}

/// Builds once per test process; `cargo` does nothing where nothing changed.
pub fn artifacts() -> &'static Artifacts {
    static ARTIFACTS: OnceLock<Artifacts> = OnceLock::new();
    ARTIFACTS.get_or_init(|| match build() {
        Ok(artifacts) => artifacts,
        Err(error) => panic!("building what is tested: {error:#}"),
    })
}

/// The WMS's functions, where the repository's `spin.toml` expects them. Built once too, and only for whoever needs them.
pub fn functions() -> PathBuf {
    static BUILT: OnceLock<()> = OnceLock::new();
    BUILT.get_or_init(|| {
        if let Err(error) = cargo(&["functions"]) {
            panic!("building the functions: {error:#}");
        }
    });
    components()
}

fn components() -> PathBuf {
    root().join("target/wasm32-wasip2/component")
}

fn build() -> Result<Artifacts> {
    cargo(&["build", "-p", "flowviz"])?;
    cargo(&[
        "build",
        "--target",
        "wasm32-wasip2",
        "--profile",
        "component",
        "-p",
        "probe",
        "-p",
        "p2",
    ])?;
    Ok(Artifacts {
        flowviz: root().join("target/debug/flowviz"),
        probe: components().join("probe.wasm"),
        p2: components().join("p2.wasm"),
    })
}

fn cargo(args: &[&str]) -> Result<()> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let mut command = Command::new(cargo);
    // Cargo tells a test which package it belongs to. Build scripts that look at that, such as ring's, would run anew each time.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    let status = command
        .args(args)
        .args(["--locked", "--quiet"])
        // spin.toml names the components below the workspace's own `target`.
        .env("CARGO_TARGET_DIR", root().join("target"))
        .current_dir(root())
        .status()?;
    ensure!(status.success(), "cargo {args:?}: {status}");
    Ok(())
}
