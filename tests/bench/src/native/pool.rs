//! The native server's way to the database: as many connections as our host's pool has, one unnamed statement in one round trip.

use std::time::Duration;

use deadpool::managed::{self, Metrics, Pool as Deadpool, PoolError, RecycleError, RecycleResult};
use deadpool::{Runtime, managed::BuildError};
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, Config, NoTls, Row};
use wms::database::broken_rule;
use wms::{Kind, Problem};

/// As PgBouncer's `default_pool_size`, and our host's pool.
const CONNECTIONS: usize = 25;

/// As our host's wait for a connection.
const WAIT: Duration = Duration::from_secs(3);

#[derive(Debug)]
struct Manager(Config);

#[derive(Clone, Debug)]
pub struct Pool(Deadpool<Manager>);

// === impl Manager ===

impl managed::Manager for Manager {
    type Type = Client;
    type Error = tokio_postgres::Error;

    async fn create(&self) -> Result<Client, Self::Error> {
        let (client, connection) = self.0.connect(NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    async fn recycle(&self, client: &mut Client, _: &Metrics) -> RecycleResult<Self::Error> {
        if client.is_closed() {
            return Err(RecycleError::message("closed"));
        }
        Ok(())
    }
}

// === impl Pool ===

impl Pool {
    pub fn new(database: Config) -> Result<Self, BuildError> {
        let pool = Deadpool::builder(Manager(database))
            .max_size(CONNECTIONS)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(WAIT))
            .build()?;
        Ok(Self(pool))
    }

    /// Runs a statement whose parameters are all texts, as the functions' are.
    pub async fn query(
        &self,
        statement: &str,
        parameters: &[Option<&str>],
    ) -> Result<Vec<Row>, Problem> {
        let client = self.0.get().await.map_err(|error| no_connection(&error))?;
        let parameters: Vec<(&(dyn ToSql + Sync), Type)> = parameters
            .iter()
            .map(|text| (text as &(dyn ToSql + Sync), Type::TEXT))
            .collect();
        let rows = client.query_typed(statement, &parameters).await;
        rows.map_err(|error| refusal(&error))
    }
}

fn no_connection(error: &PoolError<tokio_postgres::Error>) -> Problem {
    eprintln!("no connection: {error}");
    Kind::DatabaseUnavailable.because("The database can't be reached or is busy; try again soon.")
}

/// What PostgreSQL refuses, as the functions tell it: the rules of the WMS by name, the rest by what a client can do about it.
fn refusal(error: &tokio_postgres::Error) -> Problem {
    let Some(refused) = error.as_db_error() else {
        eprintln!("the connection broke: {error}");
        return Kind::DatabaseUnavailable
            .because("The database can't be reached or is busy; try again soon.");
    };
    let code = refused.code().code();
    if let Some(rule) = broken_rule(code) {
        return rule.because(refused.message());
    }
    eprintln!("SQLSTATE {code}: {}", refused.message());
    match (code.get(..2), code) {
        (Some("08" | "53" | "57"), _) | (_, "40001" | "40P01" | "55P03" | "25006") => {
            Kind::DatabaseUnavailable
                .because("The database can't be reached or is busy; try again soon.")
        }
        _ => Kind::Internal.because("Something went wrong here; the log has the details."),
    }
}
