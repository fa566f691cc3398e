//! The command line.

use std::fmt;
use std::path::PathBuf;

use chrono::NaiveDate;
use clap::Parser;

use crate::{Plan, shapes};

const EXAMPLES: &str = "\
Examples:
  A day over HTTP, on what `make up` started with FLOWVIZ_DEMO_PASSWORD set:
    plant-day --lots 20000 --seed 1

  The operators' mix of requests (10 lots : 5 decisions : 1 traceability), as load by 64 connections:
    plant-day --mix --lots 20000 --seed 2 --code-prefix MIX- --connections 64 --json

  A million lots and 1.2 million links straight into PostgreSQL, with a lot of 5,000 descendants among them:
    plant-day --bulk postgres://flowviz@127.0.0.1:5433/flowviz --password-file .flowviz/secrets/flowviz \\
        --lots 1000000 --fan-out 5000

  What would be made, and its hash:
    plant-day --dry-run --lots 20000 --seed 1

Rate limits: the API takes 600 lots and 600 decisions a minute from one user. A request that is refused for that (429) is sent again
when the server said; the progress line says who waits, and 20,000 lots then take an hour. A host for load tests is started with
FLOWVIZ_RATE_LIMITS=off.

Exit codes: 0 all was done; 1 a request finally failed, nobody answered, or nothing could be done; 2 the command line is wrong;
3 nothing failed, but lot codes existed already: choose another --day or --code-prefix; 130 Ctrl-C.";

/// A plant's day out of a seed number: the same numbers make the same lots, decisions and reads, on every machine.
///
/// Over HTTP it logs in, opens a production run, registers lots with their parents, decides on them, and completes the run. With
/// --bulk it loads the same data straight into PostgreSQL.
#[derive(Debug, Parser)]
#[command(name = "plant-day", version, after_help = EXAMPLES, max_term_width = 120)]
pub struct Cli {
    /// How many lots; more than 20,000 make more days
    #[arg(long, default_value_t = 20_000)]
    pub lots: u64,

    /// Another number, another day
    #[arg(long, default_value_t = 1)]
    pub seed: u64,

    /// The (first) day, as it stands in the lot codes
    #[arg(long, default_value = "2026-01-15", value_name = "YYYY-MM-DD")]
    pub day: NaiveDate,

    /// Put before every lot code: up to 32 letters, digits, '-', '_' and '.'
    #[arg(long, default_value = "", hide_default_value = true, value_parser = code_prefix)]
    pub code_prefix: String,

    /// Decisions of every lot, instead of 1 to 4
    #[arg(long, value_name = "0-4", value_parser = clap::value_parser!(u8).range(0..=4), conflicts_with = "mix")]
    pub decisions_per_lot: Option<u8>,

    /// Also a lot with so many descendants (RAW-<day>-FANS-0001) and a chain of depth 60 (RAW-<day>-LINE-0001 to
    /// FG-<day>-LINE-0001)
    #[arg(long, value_name = "LOTS", value_parser = fan_out)]
    pub fan_out: Option<u32>,

    /// Say what would be made, and make nothing
    #[arg(long)]
    pub dry_run: bool,

    /// The summary as one line of JSON
    #[arg(long)]
    pub json: bool,

    /// The user who signs; over HTTP, who logs in
    #[arg(long, default_value = "operator@flowviz.com")]
    pub email: String,

    /// The password (of the user, or of the database's owner), in a file; else it is $FLOWVIZ_DEMO_PASSWORD over HTTP, and what
    /// the URL says or $PGPASSWORD with --bulk
    #[arg(long, value_name = "FILE")]
    pub password_file: Option<PathBuf>,

    /// Where the functions are served
    #[arg(
        long,
        env = "FLOWVIZ_URL",
        default_value = "http://127.0.0.1:3000",
        help_heading = "Over HTTP"
    )]
    pub url: String,

    /// Requests at once
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..), help_heading = "Over HTTP")]
    pub connections: u16,

    /// The operators' mix of requests instead of the data set: of 16 requests 10 register a lot, 5 decide and 1 looks one up
    #[arg(long, help_heading = "Over HTTP", conflicts_with = "bulk")]
    pub mix: bool,

    /// Lots that belong to no production run; else one is opened for them, and completed at the end
    #[arg(long, help_heading = "Over HTTP", conflicts_with = "bulk")]
    pub no_run: bool,

    /// Load straight into this PostgreSQL (not through the pooler), as the owner of the tables, in one transaction. Nobody else
    /// gets at the tables until it ends
    #[arg(long, value_name = "POSTGRES_URL", help_heading = "Bulk")]
    pub bulk: Option<Hidden>,
}

/// A text that nobody is shown.
#[derive(Clone)]
pub struct Hidden(String);

// === impl Cli ===

impl Cli {
    pub fn plan(&self) -> Plan {
        Plan {
            lots: self.lots,
            seed: self.seed,
            day: self.day,
            code_prefix: self.code_prefix.clone(),
            decisions_per_lot: self.decisions_per_lot,
            fan_out: self.fan_out,
        }
    }
}

fn code_prefix(text: &str) -> Result<String, String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.len() <= 32 && text.chars().all(fits) {
        return Ok(text.to_owned());
    }
    Err("up to 32 letters, digits, '-', '_' and '.'".to_owned())
}

fn fan_out(text: &str) -> Result<u32, String> {
    let range = shapes::FAN_OUT;
    let wrong = || format!("a number from {} to {}", range.start(), range.end());
    text.parse()
        .ok()
        .filter(|lots| range.contains(lots))
        .ok_or_else(wrong)
}

// === impl Hidden ===

impl Hidden {
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Hidden {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
        let read = |args: &[&str]| Cli::try_parse_from([&["plant-day"], args].concat());
        assert_eq!(read(&[]).unwrap().plan(), Plan::of(20_000, 1));
        for wrong in [
            &["--code-prefix", "a\tb"][..],
            &["--fan-out", "9"],
            &["--decisions-per-lot", "5"],
            &["--connections", "0"],
            &["--day", "2026-02-30"],
            &["--mix", "--bulk", "postgres://x"],
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_database_url_is_not_shown() {
        let cli = Cli::try_parse_from(["plant-day", "--bulk", "postgres://o:secret@h/d"]).unwrap();
        assert!(!format!("{cli:?}").contains("secret"));
    }
}
