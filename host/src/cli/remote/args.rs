//! Which host, and how its answers are shown: the flags that all of these commands have.

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use serde::de::DeserializeOwned;

use super::client::Remote;
use super::url::{AdminUrl, BadAdminUrl};
use crate::cli::admin_token::AdminTokenArgs;

#[derive(Clone, Debug, Args)]
pub struct RemoteArgs {
    /// The host's admin listener
    #[arg(
        long,
        value_name = "URL",
        default_value = "http://127.0.0.1:9400",
        env = "FLOWVIZ_ADMIN_URL",
        value_parser = admin_url
    )]
    admin: AdminUrl,

    #[command(flatten)]
    token: AdminTokenArgs,

    /// Print the host's answer as it came, as JSON
    #[arg(long)]
    json: bool,
}

// === impl RemoteArgs ===

impl RemoteArgs {
    pub fn remote(&self) -> Result<Remote> {
        Ok(Remote::new(self.admin.clone(), self.token.read()?)?)
    }

    /// Prints an answer: as it came, or in words.
    pub fn print<T: DeserializeOwned>(
        &self,
        answer: &[u8],
        words: impl FnOnce(&T) -> String,
    ) -> Result<ExitCode> {
        let text = if self.json {
            String::from_utf8_lossy(answer).into_owned()
        } else {
            words(&serde_json::from_slice(answer)?)
        };
        match writeln!(std::io::stdout().lock(), "{text}") {
            // Whoever reads it has seen enough: `| head`.
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
            _ => Ok(ExitCode::SUCCESS),
        }
    }
}

fn admin_url(text: &str) -> Result<AdminUrl, BadAdminUrl> {
    AdminUrl::parse(text)
}
