//! Log lines on standard error: for people, or one JSON object a line.
//!
//! No request ever waits for whoever reads the log ([`LogWriter`]). A reader that is too slow loses lines, which
//! `flowviz_log_lines_dropped_total` counts.

use std::io::IsTerminal;

use anyhow::{Context, Result};
use clap::ValueEnum;
use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{IntCounter, Opts};
use tracing_subscriber::EnvFilter;

use super::access;
use super::log_writer::LogWriter;

/// The target of the lines that functions write to their standard output and error.
pub const FUNCTION_TARGET: &str = "function";

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Human,
    /// One JSON object a line, for log collectors.
    Json,
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    pub format: Format,
    /// Of the host's own lines. `RUST_LOG` overrides the levels, in the syntax of tracing-subscriber's `EnvFilter`.
    pub level: &'a str,
    /// A line for each request.
    pub access: bool,
    /// What functions print.
    pub functions: bool,
}

/// The process's logger. Dropping it writes what still waits.
#[derive(Debug)]
pub struct Logger(LogWriter);

/// `flowviz_log_lines_dropped_total`.
struct Dropped {
    counter: IntCounter,
    log: LogWriter,
}

// === impl Settings ===

impl Settings<'_> {
    /// Installs the process's logger.
    pub fn install(&self) -> Result<Logger> {
        let directives = std::env::var("RUST_LOG").unwrap_or_else(|_| {
            // The runtime's own spans cost time on every host call; only its warnings are of use to an operator.
            format!(
                "warn,flowviz={},{FUNCTION_TARGET}=info,{}=info",
                self.level,
                access::TARGET
            )
        });
        let mut filter = EnvFilter::try_new(&directives).with_context(|| {
            format!("RUST_LOG or --log-level: `{directives}` is not a log filter")
        })?;
        for (target, wanted) in [
            (FUNCTION_TARGET, self.functions),
            (access::TARGET, self.access),
        ] {
            if !wanted {
                filter = filter.add_directive(format!("{target}=off").parse()?);
            }
        }
        let writer = LogWriter::start(std::io::stderr()).context("the log's thread")?;
        access::install(writer.clone(), self.format);
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(writer.clone());
        match self.format {
            Format::Human => subscriber
                .with_ansi(std::io::stderr().is_terminal())
                .with_target(false)
                .init(),
            Format::Json => subscriber.json().flatten_event(true).init(),
        }
        Ok(Logger(writer))
    }
}

// === impl Logger ===

impl Logger {
    /// For whoever ends the process where it isn't dropped.
    pub fn writer(&self) -> LogWriter {
        self.0.clone()
    }

    pub fn dropped(&self) -> prometheus::Result<Box<dyn Collector>> {
        Ok(Box::new(Dropped {
            counter: IntCounter::with_opts(Opts::new(
                "flowviz_log_lines_dropped_total",
                "Log lines that were lost because whoever reads the log is too slow.",
            ))?,
            log: self.0.clone(),
        }))
    }
}

impl Drop for Logger {
    fn drop(&mut self) {
        self.0.flush();
    }
}

// === impl Dropped ===

impl Collector for Dropped {
    fn desc(&self) -> Vec<&Desc> {
        self.counter.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let lines = self.log.dropped();
        self.counter
            .inc_by(lines.saturating_sub(self.counter.get()));
        self.counter.collect()
    }
}
