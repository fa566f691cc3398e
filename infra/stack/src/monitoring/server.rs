//! What the watchers have in common: each is a program that serves HTTP on one address.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::error::Result;
use crate::part::Part;
use crate::probe;
use crate::process::{Launch, Launcher, Process};

const READY_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) struct Server {
    pub part: Part,
    pub address: SocketAddr,
    pub dir: PathBuf,
    pub arguments: Vec<String>,
    /// Nothing secret: it is in `Debug`.
    pub environment: Vec<(&'static str, String)>,
    /// Answers 200 when it serves.
    pub ready: &'static str,
}

impl Server {
    pub(super) fn launch(&self, launcher: &Launcher) -> Result<Process> {
        let environment = self.environment.iter();
        let environment = environment.map(|(name, value)| (name.into(), value.into()));
        launcher.launch(Launch {
            part: self.part,
            program: launcher.programs().watcher(self.part)?,
            arguments: self.arguments.clone(),
            dir: &self.dir,
            environment: environment.collect(),
            account: launcher.account(),
        })
    }

    pub(super) async fn until_ready(&self, process: &mut Process) -> Result<()> {
        let address = self.address.to_string();
        probe::until_ready(process, READY_WITHIN, async || {
            match probe::http_get(&address, self.ready).await {
                Ok((200, _)) => Ok(()),
                Ok((status, _)) => Err(format!("{} answers {status}", self.ready)),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
    }
}
