//! The token of the admin API, as the host and the commands that speak to it are given it: never as an argument, which anybody on the
//! machine can read.

use anyhow::{Result, bail};
use clap::Args;

use super::secret_in_file;
use crate::manifest::Secret;

const VARIABLE: &str = "FLOWVIZ_ADMIN_TOKEN";

#[derive(Clone, Debug, Args)]
pub struct AdminTokenArgs {
    /// A file with the token of the admin API. The token itself may be in FLOWVIZ_ADMIN_TOKEN instead
    #[arg(long, value_name = "FILE", env = "FLOWVIZ_ADMIN_TOKEN_FILE", value_parser = secret_in_file)]
    admin_token_file: Option<Secret>,
}

// === impl AdminTokenArgs ===

impl AdminTokenArgs {
    pub fn read(&self) -> Result<Option<Secret>> {
        let variable = std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
        match (&self.admin_token_file, variable) {
            (Some(_), Some(_)) => bail!(
                "the admin token is given twice, in {VARIABLE} and in a file (--admin-token-file); give one of them"
            ),
            (file, variable) => Ok(file.clone().or(variable.map(Secret::from))),
        }
    }
}
