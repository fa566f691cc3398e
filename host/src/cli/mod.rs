//! The command line. `up` takes `spin up`'s flags where they mean the same.

mod admin_token;
mod app;
mod audit;
mod build;
mod check;
mod control;
mod database_url;
mod deploy;
mod functions;
mod migrate;
mod ready;
mod reload;
mod remote;
mod rollback;
mod up;

use std::convert::Infallible;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::manifest::Secret;

/// A host for database-backed WASI components.
#[derive(Debug, Parser)]
#[command(name = "flowviz", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the application
    Up(up::Up),
    /// Put a new version of a function in place of the live one, in a host that runs
    Deploy(deploy::Deploy),
    /// Show the functions of a host that runs, and their versions
    Functions(functions::Functions),
    /// Go back to a version that was live before
    Rollback(rollback::Rollback),
    /// Have a host that runs read its manifest again
    Reload(reload::Reload),
    /// Does a host that runs serve requests? It does if the exit code is 0
    Ready(ready::Ready),
    /// Check the manifest and its components, without serving
    Check(check::Check),
    /// Bring the database's schema up to date (straight to PostgreSQL, not through the pooler, as the schema's owner)
    Migrate(migrate::Migrate),
    /// Is the audit trail still what was written?
    Audit(audit::Audit),
}

/// Runs the command that the arguments name. Its error, if any, is printed once.
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match cli.command {
        Command::Up(up) => up.run(),
        Command::Deploy(deploy) => deploy.run(),
        Command::Functions(functions) => functions.run(),
        Command::Rollback(rollback) => rollback.run(),
        Command::Reload(reload) => reload.run(),
        Command::Ready(ready) => ready.run(),
        Command::Check(check) => check.run().map(|()| ExitCode::SUCCESS),
        Command::Migrate(migrate) => migrate.run().map(|()| ExitCode::SUCCESS),
        Command::Audit(audit) => audit.run(),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            ExitCode::FAILURE
        }
    }
}

/// Prints an error with its causes.
fn complain(error: &anyhow::Error) {
    let text = format!("{error:#}");
    for line in text.lines() {
        eprintln!("error: {line}");
    }
}

/// Reads an argument that is not to be shown.
fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::from(text))
}

/// Reads a file whose text, but for the end of its last line, is not to be shown.
fn secret_in_file(path: &str) -> std::io::Result<Secret> {
    let text = std::fs::read_to_string(path)?;
    match text.trim_end_matches(['\r', '\n']) {
        "" => Err(std::io::Error::other("the file is empty")),
        text => Ok(Secret::from(text)),
    }
}
