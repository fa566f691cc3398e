//! `flowviz ready`: does a host that runs serve requests? For scripts and for the image's health check, which have no other client.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Args;

use super::remote::{RemoteArgs, show};

/// For one answer, which the host has at hand.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two questions.
const EVERY: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub struct Ready {
    /// Ask until it is ready, for as many seconds at most
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,

    #[command(flatten)]
    remote: RemoteArgs,
}

// === impl Ready ===

impl Ready {
    #[tokio::main(flavor = "current_thread")]
    pub async fn run(self) -> Result<ExitCode> {
        let remote = self.remote.remote()?.patient_for(PATIENCE);
        let asked = Instant::now();
        let wait = Duration::from_secs(self.wait);
        loop {
            match remote.get("/readyz").await {
                Ok(answer) => return self.remote.print(&answer, show::ready),
                Err(error) if asked.elapsed() >= wait => return Err(error.into()),
                Err(_) => tokio::time::sleep(EVERY).await,
            }
        }
    }
}
