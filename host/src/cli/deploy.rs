//! `flowviz deploy`: puts a component in place of the live one, in a host that runs.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Args;

use super::remote::{Function, RemoteArgs, show};

#[derive(Debug, Args)]
pub struct Deploy {
    /// The function, as the manifest calls it
    function: String,

    /// The component [default: the function's `source` in the host's manifest]
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,

    #[command(flatten)]
    remote: RemoteArgs,
}

// === impl Deploy ===

impl Deploy {
    #[tokio::main(flavor = "current_thread")]
    pub async fn run(self) -> Result<ExitCode> {
        let remote = self.remote.remote()?;
        let path = format!("/functions/{}", self.function);
        let file = match self.component {
            Some(file) => file,
            None => {
                let function: Function = serde_json::from_slice(&remote.get(&path).await?)?;
                PathBuf::from(function.source)
            }
        };
        let answer = remote.put(&path, read(&file)?).await?;
        self.remote.print(&answer, show::deployed)
    }
}

fn read(file: &Path) -> Result<Vec<u8>> {
    std::fs::read(file).with_context(|| {
        format!(
            "{}: the component can't be read; name it with --component FILE",
            file.display()
        )
    })
}
