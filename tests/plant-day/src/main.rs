//! `plant-day`: reads the command line, does it, tells what came of it.

use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use plant_day::cli::Cli;
use plant_day::progress::Progress;
use plant_day::{Overview, bulk};

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Cli::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: &Cli) -> Result<ExitCode> {
    if cli.dry_run {
        tell(cli, &Overview::of(&cli.plan()))?;
        return Ok(ExitCode::SUCCESS);
    }
    load(cli).await
}

async fn load(cli: &Cli) -> Result<ExitCode> {
    let plan = cli.plan();
    let url = cli.bulk.as_ref().context("--bulk")?.reveal();
    // The parser's own error could quote the password.
    let mut target: tokio_postgres::Config =
        url.parse().ok().context("--bulk: not a postgres:// URL")?;
    if let Some(password) = password(cli, "PGPASSWORD")? {
        target.password(password);
    }
    let progress = Progress::of(plan.total(), "lots");
    let loaded = bulk::load(&plan, &target, &cli.email, |lots| {
        progress.add(lots, String::new)
    })
    .await;
    progress.finish();
    tell(cli, &loaded?)?;
    Ok(ExitCode::SUCCESS)
}

fn password(cli: &Cli, variable: &str) -> Result<Option<String>> {
    let Some(file) = &cli.password_file else {
        return Ok(std::env::var(variable).ok());
    };
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("--password-file {}", file.display()))?;
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}

fn tell(cli: &Cli, summary: &(impl serde::Serialize + std::fmt::Display)) -> Result<()> {
    if cli.json {
        println!("{}", serde_json::to_string(summary)?);
    } else {
        println!("{summary}");
    }
    Ok(())
}
