//! `flowviz check`: everything that `up` does before it serves.

use std::sync::Arc;

use anyhow::Result;
use clap::Args;

use super::app::AppArgs;
use super::up::key_value_file;
use crate::database::Pools;
use crate::deploy::{Deployed, Loader, engine_settings};
use crate::runtime::Runtime;
use crate::telemetry::{Telemetry, logs};

#[derive(Debug, Args)]
pub struct Check {
    #[command(flatten)]
    app: AppArgs,
}

// === impl Check ===

impl Check {
    #[tokio::main]
    pub async fn run(self) -> Result<()> {
        let _logger = logs::Settings {
            format: logs::Format::Human,
            level: "warn",
            access: false,
            functions: false,
        }
        .install()?;
        let app = Arc::new(self.app.load()?);
        for warning in &app.warnings {
            eprintln!("warning: {warning}");
        }
        let telemetry = Arc::new(Telemetry::new()?);
        let loader = Loader {
            runtime: Runtime::new(engine_settings(&app), self.app.cache())?,
            pools: Pools::new(app.settings.pool.clone(), telemetry.database.clone()).into(),
            telemetry,
            key_value: Arc::new(key_value_file(None, &app)),
        };
        loader.load(&app, &Deployed::new()).await?;
        println!(
            "{}: {}, {}: all good",
            app.file.display(),
            counted(app.functions.len(), "function"),
            counted(app.routes.len(), "route")
        );
        Ok(())
    }
}

fn counted(count: usize, what: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {what}{plural}")
}

#[cfg(test)]
mod tests {
    use super::counted;

    #[test]
    fn one_is_no_plural() {
        let counts = [0, 1, 2].map(|count| counted(count, "route"));
        assert_eq!(counts, ["0 routes", "1 route", "2 routes"]);
    }
}
