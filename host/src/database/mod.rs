//! The path from a function to PostgreSQL: one pool per database for the whole process, meant to point at PgBouncer in
//! transaction mode.
//!
//! What it promises:
//! - **One round trip per statement.** Parse, Bind, Describe, Execute and Sync leave in one write. Statements have no name, so any
//!   PgBouncer does, and nothing is sent to reset a session.
//! - **Leased per statement.** A guest's connection holds no socket while it is idle. The server says after each statement whether
//!   a transaction is open (`ReadyForQuery`); while it is, the socket stays with the guest's connection.
//! - **Nothing leaks to the next borrower.** A socket goes back to its pool only if its last statement was answered to the end and
//!   no transaction is open. Any other is closed, and a statement that still runs is cancelled; outside a transaction it may end by
//!   itself for a short while first. Statements that change the session (`SET`, `LISTEN`, `PREPARE` ...) are refused.
//! - **Bounded.** Waiting for a connection, connecting, a statement's time, rows held in memory and the number of pools all have limits.
//!
//! The protocol is spoken here rather than by a general driver, because a driver hides what these promises rest on: the
//! transaction's state, the columns of an empty result, and types that it doesn't know. For those a driver asks the catalog through
//! a *named* statement after the user's statement has run, which fails through PgBouncer before 1.21 though the data has changed.

mod address;
mod console;
mod error;
mod guard;
mod lease;
mod message;
mod patience;
mod pool;
mod reader;
mod server;
mod session;
mod simple;
mod sizes;
mod startup;
#[cfg(test)]
mod tests;
mod types;

use std::time::Duration;

pub use address::Address;
pub use console::{Console, ConsoleError, Snapshot};
pub use error::{DatabaseError, ServerError};
pub use message::{Format, Parameter, Row};
pub use pool::Pools;
pub use reader::{Malformed, Reader};
pub use session::{Budget, Rest, Session};
pub use simple::Table;
pub use sizes::{Misfit, ServerLimits, misfits};
pub use types::{Column, ColumnType};

/// No frame from the server may be larger: a row that is, is refused rather than held in memory.
pub const MAX_FRAME_BYTES: usize = 64 * 1024 * 1024;

/// How the pools behave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Connections per pool. 25, as PgBouncer's `default_pool_size`: a transaction pooler gives each statement a server connection
    /// of its own, so more of ours would only queue there, where the wait can't be seen or bounded per function.
    pub max_size: usize,
    /// How long a statement may wait for a connection before it fails with SQLSTATE 53300. Below the shortest sensible request
    /// timeout, so that the guest can still answer.
    pub wait: Duration,
    /// How long connecting may take, logging in included.
    pub connect_timeout: Duration,
    /// A connection older than this is replaced when it is next asked for, give or take a fifth, so that not all of them end at
    /// once. Below PgBouncer's `server_lifetime` (an hour), so that a move of the database is followed in time.
    pub max_lifetime: Duration,
    /// Pools in the process. The addresses come from the guests, so their number must have an end.
    pub max_pools: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_size: 25,
            wait: Duration::from_secs(3),
            connect_timeout: Duration::from_secs(3),
            max_lifetime: Duration::from_secs(30 * 60),
            max_pools: 64,
        }
    }
}
