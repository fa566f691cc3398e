//! `flowviz audit`: is the audit trail still what was written?

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::{Args, Subcommand};

use super::database_url::DatabaseUrlArgs;
use crate::audit::{self, AuditError, Hash, Noted, Verdict};
use crate::manifest::Secret;

/// The trail couldn't be checked. 1 says that it was, and is broken.
const UNCHECKED: u8 = 2;

/// How often a person is told how far it is.
const PROGRESS_EVERY: Duration = Duration::from_millis(200);

#[derive(Debug, Args)]
pub struct Audit {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Check the chain of hashes over all audit events. Through the pooler or straight, as a role that may read
    /// them, such as the functions' own. Ends with 0 if it holds, 1 at the first fault, 2 if it can't be checked
    Verify(Verify),
}

#[derive(Debug, Args)]
struct Verify {
    #[command(flatten)]
    database_url: DatabaseUrlArgs,

    /// The head that an earlier run printed: it must still be in the chain. Who cuts events off the end, or makes the whole chain
    /// anew, leaves one that holds in itself. So note the head after each run, somewhere that nobody who administers this database can
    /// write to: on paper, in a mail to the auditor, on another machine
    #[arg(long, value_name = "HASH")]
    expect_head: Option<Hash>,

    /// The chain must have so many events at least: the number that an earlier run printed
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(i64).range(0..))]
    expect_at_least: Option<i64>,

    /// The verdict as one JSON object
    #[arg(long)]
    json: bool,
}

/// A line on the terminal that is written over and over.
struct Progress {
    shown: bool,
    last: Instant,
}

// === impl Audit ===

impl Audit {
    pub fn run(self) -> Result<ExitCode> {
        match self.command {
            Command::Verify(verify) => verify.run(),
        }
    }
}

// === impl Verify ===

impl Verify {
    #[tokio::main]
    async fn run(self) -> Result<ExitCode> {
        let verified = match self.database_url.get() {
            Ok(url) => self.verify(url).await.map_err(Into::into),
            Err(error) => Err(error),
        };
        match verified {
            Ok(verdict) => {
                self.print(&verdict)?;
                Ok(if verdict.holds {
                    ExitCode::SUCCESS
                } else {
                    ExitCode::FAILURE
                })
            }
            Err(error) => {
                super::complain(&error);
                Ok(ExitCode::from(UNCHECKED))
            }
        }
    }

    async fn verify(&self, database_url: &Secret) -> Result<Verdict, AuditError> {
        let noted = Noted {
            head: self.expect_head,
            at_least: self.expect_at_least,
        };
        let mut progress = Progress::new();
        let verdict = audit::verify(database_url, noted, |events, total| {
            progress.show(events, total);
        })
        .await;
        progress.clear();
        verdict
    }

    fn print(&self, verdict: &Verdict) -> Result<()> {
        let text = if self.json {
            serde_json::to_string(verdict)?
        } else {
            told(verdict)
        };
        // Not `println`, which panics when nobody reads.
        writeln!(std::io::stdout(), "{text}")?;
        Ok(())
    }
}

fn told(verdict: &Verdict) -> String {
    let Verdict {
        events,
        head,
        broken,
        ..
    } = verdict;
    let plural = if *events == 1 { "" } else { "s" };
    match broken {
        None => format!("{events} event{plural}, the chain holds; head {head}"),
        Some(broken) => {
            format!("{broken}\n{events} event{plural} hold; the last one's hash {head}")
        }
    }
}

// === impl Progress ===

impl Progress {
    fn new() -> Self {
        Self {
            shown: false,
            last: Instant::now(),
        }
    }

    fn show(&mut self, events: i64, total: i64) {
        if self.last.elapsed() >= PROGRESS_EVERY && std::io::stderr().is_terminal() {
            self.shown = true;
            self.last = Instant::now();
            eprint!("\r{events} of {total} events");
        }
    }

    fn clear(&self) {
        if self.shown {
            eprint!("\r\x1b[K");
        }
    }
}
