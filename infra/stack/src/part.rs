//! The parts of the stack, and what is particular to each as a process.

use std::fmt;
use std::time::Duration;

use rustix::process::Signal;

/// In the order in which they end: whoever uses a part ends before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The FlowViz host: started by `flowviz-stack up`, not by the library's `Stack`.
    Host,
    Prometheus,
    Alertmanager,
    NodeExporter,
    PostgresExporter,
    PgBouncer,
    Postgres,
}

impl Part {
    pub(crate) fn log_file(self) -> &'static str {
        match self {
            Self::Postgres => "postgres.log",
            Self::PgBouncer => "pgbouncer.log",
            Self::Prometheus => "prometheus.log",
            Self::Alertmanager => "alertmanager.log",
            Self::NodeExporter => "node-exporter.log",
            Self::PostgresExporter => "postgres-exporter.log",
            Self::Host => "flowviz.log",
        }
    }

    /// Asks for an orderly end.
    pub(crate) fn stop_signal(self) -> Signal {
        match self {
            // Fast shutdown: ends sessions, writes a checkpoint. SIGTERM would wait for clients to leave.
            Self::Postgres => Signal::INT,
            // Ends when no transaction runs. From 1.23 on SIGTERM waits for clients to leave, which pooled ones never do.
            Self::PgBouncer => Signal::INT,
            Self::Prometheus
            | Self::Alertmanager
            | Self::NodeExporter
            | Self::PostgresExporter
            | Self::Host => Signal::TERM,
        }
    }

    /// What the kernel sends when we died without a word.
    pub(crate) fn orphan_signal(self) -> &'static str {
        match self {
            Self::Postgres => "INT",
            // It keeps nothing that could be lost, and no other signal means "now" in every version.
            Self::PgBouncer => "KILL",
            Self::Prometheus
            | Self::Alertmanager
            | Self::NodeExporter
            | Self::PostgresExporter
            | Self::Host => "TERM",
        }
    }

    /// How long an orderly end may take before it is forced.
    pub(crate) fn stop_grace(self) -> Duration {
        match self {
            Self::Postgres => Duration::from_secs(20),
            Self::PgBouncer => Duration::from_secs(3),
            Self::Prometheus | Self::Alertmanager => Duration::from_secs(10),
            Self::NodeExporter | Self::PostgresExporter => Duration::from_secs(3),
            Self::Host => Duration::from_secs(60),
        }
    }

    /// How many files it may need open, where the usual 1,024 are too few.
    pub(crate) fn open_files(self) -> Option<u64> {
        // 1,200 clients + 30 server connections for each pool, with room for a few pools.
        matches!(self, Self::PgBouncer).then_some(4096)
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "PostgreSQL",
            Self::PgBouncer => "PgBouncer",
            Self::Prometheus => "Prometheus",
            Self::Alertmanager => "Alertmanager",
            Self::NodeExporter => "node_exporter",
            Self::PostgresExporter => "postgres_exporter",
            Self::Host => "the FlowViz host",
        })
    }
}
