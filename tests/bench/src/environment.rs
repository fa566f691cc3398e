//! What it was measured on.

use std::fmt;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use serde::Serialize;

use crate::manifest::root;
use crate::plant::Plant;

#[derive(Clone, Debug, Serialize)]
pub struct Environment {
    /// Seconds since 1970.
    pub at: u64,
    /// With `+` behind it, if the sources differed from it.
    pub commit: String,
    pub cpu: String,
    pub cores: usize,
    pub kernel: String,
    /// Processes that wanted to run in the minute before: not much above 0, or somebody else is measured too.
    pub load: f64,
    pub rustc: String,
    pub postgres: String,
    pub pgbouncer: String,
    pub rounds: usize,
    pub seconds: f64,
    pub warm_up_seconds: f64,
}

impl Environment {
    pub async fn of(plant: &Plant, rounds: &crate::rounds::Rounds) -> Result<Self> {
        let changed = !said("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty();
        Ok(Self {
            at: SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs(),
            commit: said("git", &["rev-parse", "--short=10", "HEAD"])
                + if changed { "+" } else { "" },
            cpu: cpu().unwrap_or_default(),
            cores: std::thread::available_parallelism()?.get(),
            kernel: said("uname", &["-r"]),
            load: load().unwrap_or(f64::NAN),
            rustc: said("rustc", &["--version"]),
            postgres: plant.postgres_version().await?,
            pgbouncer: plant.pgbouncer_version().await?,
            rounds: rounds.rounds,
            seconds: rounds.time.as_secs_f64(),
            warm_up_seconds: rounds.warm_up.as_secs_f64(),
        })
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} cores of {}, Linux {}, load {}; {}; PostgreSQL {}; {}; commit {}; {} rounds of {} s after {} s",
            self.cores,
            self.cpu,
            self.kernel,
            self.load,
            self.rustc,
            self.postgres,
            self.pgbouncer,
            self.commit,
            self.rounds,
            self.seconds,
            self.warm_up_seconds
        )
    }
}

/// What a program says; nothing, if it isn't there.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output();
    output.map_or(String::new(), |output| {
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    })
}

fn cpu() -> Option<String> {
    let info = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn load() -> Option<f64> {
    let loads = std::fs::read_to_string("/proc/loadavg").ok()?;
    loads.split(' ').next()?.parse().ok()
}
