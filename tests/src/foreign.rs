//! Components of other languages, made by their own tools, which `make setup` puts into `target/tools`.
//!
//! Such a build takes long, so what it made is kept in `target/foreign`, under a digest of all that it was made from.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, ensure};
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;

use crate::root;

/// A language whose components are under test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// `wasi:http/handler@0.3.0` and `spin:postgres@4.2.0`, by Spin's SDK for Python.
    Python,
    /// `wasi:http/incoming-handler@0.2.3` and `spin:postgres@3.0.0`, by ComponentizeJS.
    JavaScript,
}

/// What the function in JavaScript imports, and what that needs, of the packages in [`spin_wit`].
const JAVASCRIPT_WIT: [&str; 9] = [
    "cli@0.2.3",
    "clocks@0.2.3",
    "filesystem@0.2.3",
    "http@0.2.3",
    "io@0.2.3",
    "random@0.2.3",
    "sockets@0.2.3",
    "spin-postgres@3.0.0",
    "wasi-runtime-config-2024-09-27",
];

/// Spin's WIT, of all versions that it still serves, as its SDK for Python ships it.
pub fn spin_wit() -> Result<PathBuf> {
    Ok(site_packages()?.join("spin_sdk/wit"))
}

fn tools() -> PathBuf {
    root().join("target/tools")
}

fn site_packages() -> Result<PathBuf> {
    let lib = tools().join("python/lib");
    let python = fs::read_dir(&lib)
        .and_then(|mut versions| versions.next().transpose())
        .with_context(|| lib.display().to_string())
        .context(SETUP)?
        .with_context(|| format!("{} is empty", lib.display()))?;
    Ok(python.path().join("site-packages"))
}

const SETUP: &str = "`make setup` installs what this test needs";

// === impl Language ===

impl Language {
    pub fn name(self) -> &'static str {
        match self {
            Self::Python => "python",
            Self::JavaScript => "javascript",
        }
    }

    /// The component in this language, built if its sources or tools are others than those of the last build.
    pub fn component(self) -> Result<PathBuf> {
        // Tests that run at once build it once.
        static BUILDING: Mutex<()> = Mutex::new(());
        let _building = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
        let sources = root().join("tests/components").join(self.name());
        let kept = root().join("target/foreign");
        fs::create_dir_all(&kept)?;
        let component = kept.join(format!("{}-{}.wasm", self.name(), self.digest(&sources)?));
        if component.exists() {
            return Ok(component);
        }
        let made = TempDir::new_in(&kept)?;
        let stage = made.path().join(self.name());
        copy(&sources, &stage)?;
        let out = made.path().join("app.wasm");
        self.build(&stage, &out)
            .with_context(|| format!("building the component in {}", sources.display()))?;
        for old in self.builds(&kept)? {
            fs::remove_file(old)?;
        }
        fs::rename(out, &component)?;
        Ok(component)
    }

    fn build(self, stage: &Path, out: &Path) -> Result<()> {
        let mut command;
        match self {
            Self::Python => {
                command = Command::new(tools().join("python/bin/componentize-py"));
                command
                    .env("VIRTUAL_ENV", tools().join("python"))
                    .args(["--quiet", "--wit-path", "wit"])
                    // All that Spin has, of which the component would import every part, used or not: and so cut down.
                    .args(["--world", "spin:up/http-trigger@4.1.0", "componentize"])
                    .args(["--intersect-world", "flowviz:python/offered", "app"])
                    .arg("--output");
            }
            Self::JavaScript => {
                let deps = spin_wit()?.join("deps");
                for package in JAVASCRIPT_WIT {
                    copy(&deps.join(package), &stage.join("wit/deps").join(package))?;
                }
                command =
                    Command::new(tools().join("javascript/node_modules/.bin/componentize-js"));
                command.args([
                    "app.js",
                    "--wit",
                    "wit",
                    "--world-name",
                    "function",
                    "--out",
                ]);
            }
        }
        let output = command
            .arg(out)
            .current_dir(stage)
            .output()
            .with_context(|| format!("{}", command.get_program().display()))
            .context(SETUP)?;
        ensure!(
            output.status.success(),
            "{command:?}: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }

    /// Of the sources, of what the tools are installed from, and of this file, which says how they are called.
    fn digest(self, sources: &Path) -> Result<String> {
        let mut digest = Sha256::new();
        digest.update(include_bytes!("foreign.rs"));
        // Both are made from the WIT that this installs.
        digest.update(fs::read(
            root().join("tests/components/python/requirements.txt"),
        )?);
        for file in files(sources)? {
            digest.update(file.as_os_str().as_encoded_bytes());
            let content = fs::read(&file)?;
            digest.update(content.len().to_le_bytes());
            digest.update(content);
        }
        let digest = digest.finalize();
        Ok(digest[..8]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect())
    }

    /// The builds that are kept.
    fn builds(self, kept: &Path) -> Result<Vec<PathBuf>> {
        let mut builds = files(kept)?;
        builds.retain(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            path.parent() == Some(kept) && name.starts_with(&format!("{}-", self.name()))
        });
        Ok(builds)
    }
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    for file in files(from)? {
        let copied = to.join(file.strip_prefix(from)?);
        fs::create_dir_all(copied.parent().context("a file has a directory")?)?;
        fs::copy(&file, copied)?;
    }
    Ok(())
}

/// All files below the directory, in an order that is always the same.
fn files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let entries = fs::read_dir(directory).with_context(|| directory.display().to_string())?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}
