//! `flowviz migrate`: the schema, and on request the demonstration data.

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;

use crate::manifest::Secret;
use crate::migrate::{self, DEFAULT_DIR, Demo};

#[derive(Debug, Args)]
pub struct Migrate {
    /// PostgreSQL itself, as the owner of the schema: postgres://owner:...@host:5432/database. Better given as DATABASE_URL in
    /// the environment, where other users of the machine can't see it
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true, value_parser = super::secret)]
    database_url: Secret,

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
            database_url: self.database_url.expose().to_owned(),
            demo: self.demo.then(|| Demo::from_env(&self.dir)),
            dir: self.dir,
        };
        println!("{}", migrate::run(options).await?);
        Ok(())
    }
}
