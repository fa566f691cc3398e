//! The `connection` resource: statements, in one piece or as a stream.

use wasmtime::component::{Accessor, FutureReader, Resource, StreamReader};

use super::rows::{BATCH, More, Outbox, RowProducer};
use super::wit::{self, HostConnection};
use super::{
    Column, DbValue, Error, Observer, ParameterValue, Postgres, PostgresView, RowSet, params,
    values,
};
use crate::database::Session;
use crate::telemetry::database::Outcome;

/// Clones are the same connection.
#[derive(Clone, Debug)]
pub struct Connection {
    session: Session,
    observer: Observer,
}

/// What `query-async` answers with.
type Rows = (
    Vec<Column>,
    StreamReader<Vec<DbValue>>,
    FutureReader<Result<(), Error>>,
);

// === impl Connection ===

impl Connection {
    pub(super) fn new(session: Session, observer: Observer) -> Self {
        Self { session, observer }
    }

    /// All of the rows.
    pub(super) async fn rows(
        &self,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> Result<RowSet, Error> {
        let (columns, mut outbox) = self.query(statement, parameters).await?;
        while let Some(more) = outbox.more.take() {
            let next = more.next().await?;
            outbox.rows.extend(next.rows);
            outbox.held.join(next.held);
            outbox.more = next.more;
        }
        let Outbox { rows, .. } = outbox;
        Ok(RowSet { columns, rows })
    }

    pub(super) async fn execute(
        &self,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> Result<u64, Error> {
        let observed = self.observer.statement();
        let parameters = match params::encode(parameters) {
            Ok(parameters) => parameters,
            Err(error) => return Err(self.observer.unconvertible(observed, error)),
        };
        match self.session.execute(&statement, &parameters).await {
            Ok(touched) => {
                observed.end(Outcome::Ok);
                Ok(touched)
            }
            Err(error) => Err(self.observer.failed(observed, error)),
        }
    }

    /// The first rows, and what is needed to get the others.
    async fn query(
        &self,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> Result<(Vec<Column>, Outbox), Error> {
        let observed = self.observer.statement();
        let parameters = match params::encode(parameters) {
            Ok(parameters) => parameters,
            Err(error) => return Err(self.observer.unconvertible(observed, error)),
        };
        let answer = match self.session.query(&statement, &parameters, BATCH).await {
            Ok(answer) => answer,
            Err(error) => return Err(self.observer.failed(observed, error)),
        };
        let rows = match values::rows(&answer.columns, &answer.rows) {
            Ok(rows) => rows,
            Err(error) => return Err(self.observer.unconvertible(observed, error)),
        };
        let columns = values::columns(&answer.columns);
        let more = match answer.rest {
            Some(rest) => Some(More::new(
                answer.columns,
                rest,
                self.observer.clone(),
                observed,
            )),
            None => {
                observed.end(Outcome::Ok);
                None
            }
        };
        let held = answer.held;
        Ok((columns, Outbox { rows, held, more }))
    }
}

impl HostConnection for PostgresView<'_> {
    async fn open(
        &mut self,
        address: String,
    ) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        self.open(&address)
    }

    async fn query(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> wasmtime::Result<Result<RowSet, Error>> {
        let connection = self.connection(&connection)?;
        Ok(connection.rows(statement, parameters).await)
    }

    async fn execute(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        let connection = self.connection(&connection)?;
        Ok(connection.execute(statement, parameters).await)
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

impl<T: Send> wit::HostConnectionWithStore<T> for Postgres {
    async fn open_async(
        accessor: &Accessor<T, Self>,
        address: String,
    ) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        accessor.with(|mut store| store.get().open(&address))
    }

    async fn query_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> wasmtime::Result<Result<Rows, Error>> {
        let connection = accessor.with(|mut store| store.get().connection(&connection))?;
        let (columns, outbox) = match connection.query(statement, parameters).await {
            Ok(answer) => answer,
            Err(error) => return Ok(Err(error)),
        };
        accessor.with(|mut store| {
            let (stream, result) = match outbox.more {
                // All of it at once: nothing is left to poll.
                None => (StreamReader::new(&mut store, outbox.rows)?, None),
                Some(_) => {
                    let (producer, result) = RowProducer::new(outbox);
                    (StreamReader::new(&mut store, producer)?, Some(result))
                }
            };
            let result = FutureReader::new(&mut store, async move {
                wasmtime::error::Ok(match result {
                    // A producer that is dropped has nothing to complain about.
                    Some(result) => result.await.unwrap_or(Ok(())),
                    None => Ok(()),
                })
            })?;
            Ok(Ok((columns, stream, result)))
        })
    }

    async fn execute_async(
        accessor: &Accessor<T, Self>,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<ParameterValue>,
    ) -> wasmtime::Result<Result<u64, Error>> {
        let connection = accessor.with(|mut store| store.get().connection(&connection))?;
        Ok(connection.execute(statement, parameters).await)
    }
}

impl PostgresView<'_> {
    pub(super) fn open(
        &mut self,
        address: &str,
    ) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        match self.ctx.open(address, None) {
            Ok(connection) => Ok(Ok(self.table.push(connection)?)),
            Err(error) => Ok(Err(error)),
        }
    }

    pub(super) fn connection(
        &self,
        connection: &Resource<Connection>,
    ) -> wasmtime::Result<Connection> {
        Ok(self.table.get(connection)?.clone())
    }
}
