//! The token of the admin API, as the host and the commands that speak to it are given it: never as an argument, which anybody on the
//! machine can read.

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use clap::Args;

use crate::manifest::Secret;

const VARIABLE: &str = "FLOWVIZ_ADMIN_TOKEN";

#[derive(Clone, Debug, Args)]
pub struct AdminTokenArgs {
    /// A file with the token of the admin API. The token itself may be in FLOWVIZ_ADMIN_TOKEN instead
    #[arg(long, value_name = "FILE", env = "FLOWVIZ_ADMIN_TOKEN_FILE")]
    admin_token_file: Option<PathBuf>,
}

// === impl AdminTokenArgs ===

impl AdminTokenArgs {
    pub fn read(&self) -> Result<Option<Secret>> {
        let variable = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
        match (&self.admin_token_file, variable) {
            (Some(file), Some(_)) => bail!(
                "the admin token is given twice, in {VARIABLE} and in {}; give one of them",
                file.display()
            ),
            (Some(file), None) => {
                let text = std::fs::read_to_string(file)
                    .with_context(|| format!("--admin-token-file {}", file.display()))?;
                Ok(Some(Secret::from(text.trim_end_matches(['\r', '\n']))))
            }
            (None, variable) => Ok(variable.map(Secret::from)),
        }
    }
}
