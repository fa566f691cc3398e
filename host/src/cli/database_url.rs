//! The address of the database, as the commands that speak to it are given it.

use anyhow::{Context as _, Result};
use clap::Args;

use super::{secret, secret_in_file};
use crate::manifest::Secret;

#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct DatabaseUrlArgs {
    /// postgres://user:...@host:5432/database. Better in the environment or in a file, where other users of the machine can't see it
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true, value_parser = secret)]
    database_url: Option<Secret>,

    /// A file with the address in it
    #[arg(long, value_name = "FILE", env = "DATABASE_URL_FILE", value_parser = secret_in_file)]
    database_url_file: Option<Secret>,
}

// === impl DatabaseUrlArgs ===

impl DatabaseUrlArgs {
    pub fn get(&self) -> Result<&Secret> {
        let given = self.database_url.as_ref();
        given
            .or(self.database_url_file.as_ref())
            .context("which database? Set DATABASE_URL, or name a file that has the address with DATABASE_URL_FILE or --database-url-file")
    }
}
