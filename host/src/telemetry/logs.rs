//! Log lines on standard error: for people, or one JSON object a line.

use std::io::IsTerminal;

use anyhow::{Context, Result};
use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// The target of the lines that functions write to their standard output and error.
pub const FUNCTION_TARGET: &str = "function";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Human,
    /// One JSON object a line, for log collectors.
    Json,
}

/// Installs the process's logger. `quiet` leaves out what functions print, as `spin up --quiet` does.
///
/// `RUST_LOG` overrides the level, in the syntax of tracing-subscriber's `EnvFilter`.
pub fn init(format: Format, level: &str, quiet: bool) -> Result<()> {
    let directives = std::env::var("RUST_LOG").unwrap_or_else(|_| {
        // The runtime's own spans cost time on every host call; only its warnings are of use to an operator.
        format!("warn,flowviz={level},{FUNCTION_TARGET}=info")
    });
    let mut filter = EnvFilter::try_new(&directives)
        .with_context(|| format!("RUST_LOG or --log-level: `{directives}` is not a log filter"))?;
    if quiet {
        filter = filter.add_directive(format!("{FUNCTION_TARGET}=off").parse()?);
    }
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match format {
        Format::Human => subscriber
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .init(),
        Format::Json => subscriber.json().flatten_event(true).init(),
    }
    Ok(())
}
