//! `flowviz migrate`: the schema, and on request the demonstration data.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use super::database_url::DatabaseUrlArgs;
use crate::migrate::{self, DEFAULT_DIR, Demo};

#[derive(Debug, Args)]
pub struct Migrate {
    #[command(flatten)]
    database_url: DatabaseUrlArgs,

    /// The directory of the migrations
    #[arg(long, value_name = "DIR", default_value = DEFAULT_DIR)]
    dir: PathBuf,

    /// Demonstration users and lots too; never in production. Passwords are printed once, or are all FLOWVIZ_DEMO_PASSWORD
    #[arg(long)]
    demo: bool,
}

// === impl Migrate ===

impl Migrate {
    #[tokio::main]
    pub async fn run(self) -> Result<()> {
        let options = migrate::Options {
            database_url: self.database_url.get()?.expose().to_owned(),
            demo: self.demo.then(|| Demo::from_env(&self.dir)),
            dir: self.dir,
        };
        println!("{}", migrate::run(options).await?);
        Ok(())
    }
}
