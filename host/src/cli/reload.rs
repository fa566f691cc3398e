//! `flowviz reload`: has a host that runs read its manifest again.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::remote::{RemoteArgs, show};

#[derive(Debug, Args)]
pub struct Reload {
    /// Forget what was deployed: the manifest's files serve
    #[arg(long)]
    fresh: bool,

    #[command(flatten)]
    remote: RemoteArgs,
}

// === impl Reload ===

impl Reload {
    #[tokio::main(flavor = "current_thread")]
    pub async fn run(self) -> Result<ExitCode> {
        let order = json!({ "fresh": self.fresh });
        let answer = self.remote.remote()?.post("/app/reload", order).await?;
        self.remote.print(&answer, show::reloaded)
    }
}
