//! `flowviz-stack up`: everything that FlowViz needs on this machine, with FlowViz itself, in the foreground.

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use flowviz_stack::up::{self, Up};

/// The local stack: PostgreSQL, PgBouncer, the FlowViz host, and Prometheus, Alertmanager and exporters, which watch them.
#[derive(Debug, Parser)]
#[command(name = "flowviz-stack", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start everything and stay in the foreground until Ctrl-C
    Up(Up),
}

#[tokio::main]
async fn main() -> ExitCode {
    let Command::Up(options) = Cli::parse().command;
    match up::run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
