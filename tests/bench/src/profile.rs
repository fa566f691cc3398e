//! A CPU profile of a process, for as long as it is measured: `perf record`, if it is installed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::ValueEnum;
use tokio::process::{Child, Command};

/// What a sample keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stacks {
    /// Where the CPU was
    Flat,
    /// And 8 KiB of the stack, to see who had called
    Graph,
}

// === impl Stacks ===

impl Stacks {
    /// Frequencies in samples per second and core; not round ones, which would beat with timers.
    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Flat => &["--freq", "499"],
            Self::Graph => &["--freq", "199", "--call-graph", "dwarf,8192"],
        }
    }
}

#[derive(Debug)]
pub struct Profile {
    perf: Child,
    file: PathBuf,
}

// === impl Profile ===

impl Profile {
    /// Begins at once and ends after `time`.
    pub fn start(pid: u32, time: Duration, file: &Path, stacks: Stacks) -> Result<Self> {
        let perf = Command::new("perf")
            .args(["record", "--quiet"])
            .args(stacks.arguments())
            .arg("--output")
            .arg(file)
            .args([
                "--pid",
                &pid.to_string(),
                "--",
                "sleep",
                &time.as_secs_f64().to_string(),
            ])
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("perf can't be started; Debian has it in linux-perf")?;
        Ok(Self {
            perf,
            file: file.to_owned(),
        })
    }

    /// Waits until it is written.
    pub async fn finish(self) -> Result<()> {
        let output = self.perf.wait_with_output().await?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "perf record: {}", said.trim());
        eprintln!(
            "profile: perf report --no-inline --input {}",
            self.file.display()
        );
        Ok(())
    }
}
