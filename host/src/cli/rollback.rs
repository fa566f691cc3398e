//! `flowviz rollback`: back to a version that was live before, in a host that runs.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::remote::{RemoteArgs, show};

#[derive(Debug, Args)]
pub struct Rollback {
    /// The function, as the manifest calls it
    function: String,

    /// A version, as `flowviz functions <FUNCTION>` lists it [default: the one that was live before]
    #[arg(long, value_name = "VERSION")]
    to: Option<String>,

    #[command(flatten)]
    remote: RemoteArgs,
}

// === impl Rollback ===

impl Rollback {
    #[tokio::main(flavor = "current_thread")]
    pub async fn run(self) -> Result<ExitCode> {
        let order = match &self.to {
            Some(version) => json!({ "version": version }),
            None => json!({}),
        };
        let path = format!("/functions/{}/rollback", self.function);
        let answer = self.remote.remote()?.post(&path, order).await?;
        self.remote.print(&answer, show::deployed)
    }
}
