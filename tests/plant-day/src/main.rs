//! `plant-day`: reads the command line, does it, tells what came of it.

use std::io::{ErrorKind, Write as _};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use plant_day::Overview;
use plant_day::bulk::{self, Stage};
use plant_day::cli::Cli;
use plant_day::http::{self, Credentials, End, Outcome, What};
use plant_day::progress::Progress;

/// Exit codes, as `--help` tells them.
const FAILED: u8 = 1;
const TAKEN: u8 = 3;
const INTERRUPTED: u8 = 130;

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
    match &cli.bulk {
        Some(url) => load(cli, url.reveal()).await,
        None => over_http(cli).await,
    }
}

async fn over_http(cli: &Cli) -> Result<ExitCode> {
    let password = password(cli, "FLOWVIZ_DEMO_PASSWORD")?
        .context("no password: give --password-file or set FLOWVIZ_DEMO_PASSWORD")?;
    let options = http::Options {
        url: cli.url.clone(),
        credentials: Credentials {
            email: cli.email.clone(),
            password,
        },
        connections: cli.connections.into(),
        what: if cli.mix { What::Mix } else { What::DataSet },
        with_run: !cli.no_run,
    };
    let stop = async {
        // Where signals can't be waited for, the default stays: it ends at once.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    };
    let summary = http::run(&cli.plan(), options, stop).await?;
    tell(cli, &summary)?;
    Ok(ExitCode::from(if summary.ended == End::Interrupted {
        INTERRUPTED
    } else if summary.count(Outcome::Failed) > 0 {
        FAILED
    } else if summary.count(Outcome::Taken) > 0 {
        TAKEN
    } else {
        0
    }))
}

async fn load(cli: &Cli, url: &str) -> Result<ExitCode> {
    let plan = cli.plan();
    // The parser's own error could quote the password.
    let mut target: tokio_postgres::Config =
        url.parse().ok().context("--bulk: not a postgres:// URL")?;
    if let Some(password) = password(cli, "PGPASSWORD")? {
        target.password(password);
    }
    let progress = Progress::of(plan.total(), "lots");
    let loaded = bulk::load(&plan, &target, &cli.email, |stage| match stage {
        Stage::Waiting => progress.begin("waiting for the tables"),
        Stage::Lots(lots) => {
            progress.add(lots);
            progress.tell(String::new());
        }
        Stage::Schema => progress.begin("building indexes, checking keys"),
        Stage::Vacuum => progress.begin("vacuum and statistics"),
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
    let text = if cli.json {
        serde_json::to_string(summary)?
    } else {
        summary.to_string()
    };
    match writeln!(std::io::stdout(), "{text}") {
        // Whoever read it (`| head`) has read enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        outcome => Ok(outcome?),
    }
}
