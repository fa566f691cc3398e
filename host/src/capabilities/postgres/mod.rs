//! `spin:postgres@4.2.0` for functions: every function of the interface, over the process's pools.
//!
//! - Opening a connection checks the address against the component's `allowed_outbound_hosts`, on every way of opening one, and for
//!   every host that the address names. It connects nowhere: the first statement does, and it is what fails with
//!   `connection-failed` if the database can't be reached. That saves a round trip, and a connection for a function that needs none.
//! - A connection of the guest's costs nothing while it is idle, except in a transaction.
//! - Errors of the database reach the guest with their SQLSTATE. If no connection was free in time, that is 53300; if the answer
//!   didn't come within 80 % of the function's `timeout`, 57014: time enough is left to answer the client.

#![expect(
    clippy::result_large_err,
    reason = "the interface's own error is large, and is what the bindings want returned"
)]

mod builder;
mod connection;
mod error;
mod numeric;
mod older;
mod params;
mod rows;
mod values;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use pg_tls::Roots;
use wasmtime::component::{HasData, Linker, ResourceTable};

use crate::capabilities::bindings::older as older_bindings;
use crate::capabilities::bindings::spin::postgres::postgres as wit;
use crate::capabilities::bindings::spin::postgres::postgres::{
    Column, DbDataType, DbError, DbValue, Error, Interval, ParameterValue, QueryError,
    RangeBoundKind, RowSet,
};
use crate::database::{Address, DatabaseError, Pools, Session, Share};
use crate::manifest::AllowedHosts;
use crate::telemetry::database::{FunctionDatabaseMetrics, Outcome, Statement};

pub use builder::ConnectionBuilder;
pub use connection::Connection;

/// Of the function's time, what one statement may take: enough is left to answer when the database doesn't.
const STATEMENT_SHARE: f64 = 0.8;

/// What an instance needs to reach databases. Cheap to clone.
#[derive(Clone, Debug)]
pub struct PostgresCtx {
    pools: Arc<Pools>,
    share: Arc<Share>,
    allowed: Arc<AllowedHosts>,
    statement_limit: Duration,
    observer: Observer,
}

/// The interface's view of a store.
#[derive(Debug)]
pub struct PostgresView<'a> {
    pub ctx: &'a mut PostgresCtx,
    pub table: &'a mut ResourceTable,
}

/// Names the interface's implementation in the type system.
#[derive(Debug)]
pub struct Postgres;

/// Sees how each statement ended.
#[derive(Clone, Debug)]
struct Observer {
    metrics: FunctionDatabaseMetrics,
    failed: Arc<AtomicBool>,
}

/// Adds `spin:postgres/postgres` to a linker, in all its versions.
pub fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    get: fn(&mut T) -> PostgresView<'_>,
) -> wasmtime::Result<()> {
    wit::add_to_linker::<T, Postgres>(linker, get)?;
    older_bindings::spin::postgres::postgres::add_to_linker::<T, Postgres>(linker, get)?;
    older_bindings::fermyon::spin::rdbms_types::add_to_linker::<T, Postgres>(linker, get)?;
    older_bindings::fermyon::spin::postgres::add_to_linker::<T, Postgres>(linker, get)
}

impl HasData for Postgres {
    type Data<'a> = PostgresView<'a>;
}

impl wit::Host for PostgresView<'_> {}

// === impl PostgresCtx ===

impl PostgresCtx {
    /// `failed` is set when a statement fails because the database is unreachable, saturated or shutting down. It is not set by a
    /// statement's own fault, such as a constraint that it violates. `timeout` is the function's, for a whole request.
    pub fn new(
        pools: Arc<Pools>,
        share: Arc<Share>,
        allowed: Arc<AllowedHosts>,
        timeout: Duration,
        metrics: FunctionDatabaseMetrics,
        failed: Arc<AtomicBool>,
    ) -> Self {
        Self {
            pools,
            share,
            allowed,
            statement_limit: timeout.mul_f64(STATEMENT_SHARE),
            observer: Observer { metrics, failed },
        }
    }

    /// The one way to a session, and so to a database.
    fn open(&self, address: &str, roots: Option<Roots>) -> Result<Connection, Error> {
        let session = self.session(address, roots).map_err(error::to_guest)?;
        session
            .map(|session| Connection::new(session, self.observer.clone()))
            .map_err(Error::ConnectionFailed)
    }

    fn session(
        &self,
        address: &str,
        roots: Option<Roots>,
    ) -> Result<Result<Session, String>, DatabaseError> {
        let address = Address::parse_trusting(address, roots)?;
        for endpoint in address.endpoints() {
            let hostaddr = endpoint.hostaddr.map(|addr| addr.to_string());
            for host in std::iter::once(&endpoint.host).chain(&hostaddr) {
                if !self.allowed.allows("postgres", host, endpoint.port) {
                    return Ok(Err(format!(
                        "postgres://{host}:{} is not in the component's `allowed_outbound_hosts`",
                        endpoint.port
                    )));
                }
            }
        }
        let pool = self.pools.pool(address)?;
        let share = Arc::clone(&self.share);
        Ok(Ok(Session::new(pool, share, self.statement_limit)))
    }
}

// === impl Observer ===

impl Observer {
    fn statement(&self) -> Statement {
        self.metrics.statement()
    }

    /// Counts a failed statement, and says to the guest what it may know.
    fn failed(&self, statement: Statement, error: DatabaseError) -> Error {
        statement.end(error::outcome(&error));
        if error.is_outage() {
            self.failed.store(true, Ordering::Relaxed);
        }
        error::to_guest(error)
    }

    /// Counts a statement whose rows couldn't be converted.
    fn unconvertible(&self, statement: Statement, error: Error) -> Error {
        statement.end(Outcome::Error);
        error
    }
}
