//! The command line.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::cases::Case;
use crate::manifest::root;
use crate::profile::Stacks;
use crate::rounds::Rounds;

/// Our host beside a native server that does the same work, on a stack of their own.
///
/// Every case at every number of connections: first as many requests as a system can answer (closed loop), then latencies at the same
/// rate for both. Medians over the rounds, and ratios.
#[derive(Debug, Parser)]
#[command(
    name = "flowviz-bench",
    version,
    max_term_width = 120,
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Option<Command>,

    /// Only these cases; may be given several times
    #[arg(long, value_enum, value_delimiter = ',')]
    case: Vec<Case>,

    /// Only these numbers of connections
    #[arg(long, value_delimiter = ',')]
    connections: Vec<usize>,

    /// Both systems in turn, so many times
    #[arg(long, env = "BENCH_ROUNDS", default_value_t = 3)]
    rounds: usize,

    /// Of each measurement, without the warm-up
    #[arg(long, env = "BENCH_SECONDS", default_value_t = 3.0)]
    seconds: f64,

    /// Before each measurement, under the same load
    #[arg(long, default_value_t = 1.0, value_name = "SECONDS")]
    warm_up: f64,

    /// One round of one second, to see whether it works
    #[arg(long, conflicts_with_all = ["rounds", "seconds"])]
    quick: bool,

    /// The figures of the host itself: how fast it starts and makes instances, what an idle function keeps [default: only where
    /// neither cases nor connections are chosen]
    #[arg(long, value_enum)]
    figures: Option<Figures>,

    /// Take a CPU profile of our host with `perf`, under the closed load of each case: target/bench/perf-CASE-CONNECTIONS.data
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "flat")]
    perf: Option<Stacks>,

    /// Both systems go straight to PostgreSQL, past the pooler
    #[arg(long)]
    pub direct: bool,

    /// How our host sends statements: `pool.statements` of the manifest
    #[arg(long, value_enum)]
    pub statements: Option<Statements>,

    /// Where the results are written, as JSON [default: target/bench/latest.json]
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Figures {
    /// Besides the cases
    With,
    Without,
    /// And no cases
    Only,
}

/// The manifest's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Statements {
    Auto,
    Unnamed,
    Named,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Be the native server that our host is measured against
    Native(Native),
    /// Find out what telemetry costs: our host with metrics, access log and scrapes beside itself without
    Telemetry(Telemetry),
}

#[derive(Clone, Debug, Args)]
pub struct Telemetry {
    /// What is asked
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Case::GetLot, Case::NoDb])]
    pub case: Vec<Case>,

    #[arg(long, default_value_t = 100)]
    pub connections: usize,

    /// Both in turn, so many times
    #[arg(long, default_value_t = 20)]
    pub pairs: usize,

    /// Of each measurement, without the warm-up
    #[arg(long, default_value_t = 3.0)]
    pub seconds: f64,
}

#[derive(Args)]
pub struct Native {
    #[arg(long)]
    pub listen: SocketAddr,

    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: String,

    #[arg(long, env = "JWT_SECRET", hide_env_values = true)]
    pub jwt_secret: String,
}

// === impl Native ===

impl fmt::Debug for Native {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the native server at {}", self.listen)
    }
}

// === impl Statements ===

impl Statements {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Unnamed => "unnamed",
            Self::Named => "named",
        }
    }
}

// === impl Cli ===

impl Cli {
    pub fn rounds(&self) -> Rounds {
        let or = |given: &[usize], all: &[usize]| {
            if given.is_empty() {
                all.to_vec()
            } else {
                given.to_vec()
            }
        };
        let cases = match self.case.as_slice() {
            _ if self.figures == Some(Figures::Only) => &[],
            [] => Case::value_variants(),
            given => given,
        };
        Rounds {
            cases: cases.to_vec(),
            connections: or(&self.connections, &[16, 100, 1000]),
            rounds: if self.quick { 1 } else { self.rounds },
            warm_up: Duration::from_secs_f64(self.warm_up),
            profiles: self.perf.map(|stacks| (self.dir(), stacks)),
            time: Duration::from_secs_f64(if self.quick { 1.0 } else { self.seconds }),
        }
    }

    pub fn with_figures(&self) -> bool {
        let default = self.case.is_empty() && self.connections.is_empty();
        self.figures
            .map_or(default, |figures| figures != Figures::Without)
    }

    pub fn output(&self) -> PathBuf {
        self.output
            .clone()
            .unwrap_or_else(|| self.dir().join("latest.json"))
    }

    /// For what is made on the way.
    pub fn dir(&self) -> PathBuf {
        root().join("target/bench")
    }
}
