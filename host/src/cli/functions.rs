//! `flowviz functions`: what is live in a host that runs.

use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use super::remote::{RemoteArgs, show};

#[derive(Debug, Args)]
pub struct Functions {
    /// One function, with its versions
    function: Option<String>,

    #[command(flatten)]
    remote: RemoteArgs,
}

// === impl Functions ===

impl Functions {
    #[tokio::main(flavor = "current_thread")]
    pub async fn run(self) -> Result<ExitCode> {
        let remote = self.remote.remote()?;
        match &self.function {
            Some(id) => {
                let answer = remote.get(&format!("/functions/{id}")).await?;
                self.remote.print(&answer, show::function)
            }
            None => {
                let answer = remote.get("/functions").await?;
                self.remote.print(&answer, show::functions)
            }
        }
    }
}
