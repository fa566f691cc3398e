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
//! - **Bounded.** Waiting for a connection, connecting, a statement's time, rows held in memory and the number of pools all have limits,
//!   and each function has a [`Share`] of its own, so that one that is slow can't starve the others.
//! - **Outages are waited out or told at once.** See [`connector`].
//!
//! The protocol is spoken here rather than by a general driver, because a driver hides what these promises rest on: the
//! transaction's state, the columns of an empty result, and types that it doesn't know. For those a driver asks the catalog through
//! a *named* statement after the user's statement has run, which fails through PgBouncer before 1.21 though the data has changed.

mod address;
mod connector;
mod console;
mod error;
mod guard;
mod keeper;
mod lease;
mod message;
mod patience;
mod pool;
mod pools;
mod reader;
mod server;
mod session;
mod share;
mod simple;
mod sizes;
mod startup;
mod statements;
#[cfg(test)]
mod tests;
mod tokens;
mod types;

pub use address::Address;
pub use console::{Console, ConsoleError, Snapshot};
pub use error::{DatabaseError, ServerError};
pub use message::{Format, Parameter, Row};
pub use pools::Pools;
pub use reader::{Malformed, Reader};
pub use session::{Budget, Rest, Session};
pub use share::{Held, Share};
pub use simple::Table;
pub use sizes::{Misfit, ServerLimits, misfits};
pub use statements::StatementMode;
pub use types::{Column, ColumnType};

/// No message from the server may be larger: a row that is, is refused rather than held in memory.
pub const MAX_MESSAGE_BYTES: usize = 64 * 1024 * 1024;
