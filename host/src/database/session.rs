//! What a guest's `connection` stands for: a pool, and the one connection of it that an open transaction is on.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use super::error::DatabaseError;
use super::guard;
use super::lease::Lease;
use super::message::{Field, Parameter, Row};
use super::patience::Patience;
use super::pool::Pool;
use super::server::Step;
use super::share::{Held, Share};
use super::types::{AddedTypes, Column};

/// How long the rows that a guest no longer wants are read on, to save the transaction that they are part of.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);

/// Cheap to clone: clones are the same session.
#[derive(Clone, Debug)]
pub struct Session {
    pool: Arc<Pool>,
    share: Arc<Share>,
    /// How long a statement may take, its rows included.
    limit: Duration,
    transaction: Arc<Mutex<Transaction>>,
    /// A stream of rows holds the transaction's connection.
    streaming: watch::Sender<bool>,
}

/// How much of a result to hold in memory at once. One row more is always possible.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    pub rows: usize,
    pub bytes: usize,
}

/// The beginning of a result.
#[derive(Debug)]
pub struct Answer {
    /// Known even if there is no row. Empty for a statement that returns none, such as an INSERT.
    pub columns: Vec<Column>,
    pub rows: Vec<Row>,
    /// Lives for as long as the host holds the rows.
    pub held: Held,
    /// `None`: that was all, and the connection is free again.
    pub rest: Option<Rest>,
}

/// A result that has more rows than were asked for, and its connection. Dropping it cancels the statement and closes the
/// connection; in a transaction the rows are read to their end instead, if that takes no more than two seconds.
#[derive(Debug)]
pub struct Rest {
    running: Option<Running>,
    share: Arc<Share>,
    patience: Patience,
    /// Waits until the rows before it have been taken.
    failed: Option<DatabaseError>,
}

#[derive(Debug, Default)]
enum Transaction {
    #[default]
    None,
    Open(Box<Lease>),
    /// It ended without the guest's doing. Statements that were meant to be part of it must not run on their own.
    Lost,
}

/// A statement under way. When it is dropped, its connection goes where its transaction's state says.
#[derive(Debug)]
struct Running {
    lease: Option<Lease>,
    /// In a transaction: the place of its connection, held so that the next statement waits its turn.
    place: Option<OwnedMutexGuard<Transaction>>,
    session: Session,
}

// === impl Session ===

impl Session {
    /// A statement that takes longer than `limit` is given up.
    pub fn new(pool: Arc<Pool>, share: Arc<Share>, limit: Duration) -> Self {
        Self {
            pool,
            share,
            limit,
            transaction: Arc::default(),
            streaming: watch::Sender::new(false),
        }
    }

    #[cfg(test)]
    pub(super) fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// Runs a statement for its effect. Returns the number of rows that it touched.
    pub async fn execute(
        &self,
        text: &str,
        parameters: &[Parameter],
    ) -> Result<u64, DatabaseError> {
        let run = async {
            let mut running = self.begin(text).await?;
            let lease = running.lease()?;
            lease.start(text, parameters).await?;
            loop {
                // Rows that nobody asked for are dropped one by one.
                if let Step::Done(touched) = lease.next().await? {
                    return running.end().map(|()| touched);
                }
            }
        };
        self.watched(Patience::new(self.limit).wait(run).await)
    }

    /// Runs a statement for its rows: the answer holds as many as the budget allows, and the rest can be asked for.
    pub async fn query(
        &self,
        text: &str,
        parameters: &[Parameter],
        budget: Budget,
    ) -> Result<Answer, DatabaseError> {
        let mut patience = Patience::new(self.limit);
        let run = async {
            let mut running = self.begin(text).await?;
            let lease = running.lease()?;
            let fields = lease.start(text, parameters).await?.unwrap_or_default();
            let mut rows = Vec::new();
            let ended = lease.fill(&mut rows, budget).await?;
            let columns = self.columns(&fields, lease, ended).await?;
            Ok((running, columns, rows, ended))
        };
        let (running, columns, rows, ended) = self.watched(patience.wait(run).await)?;
        let held = self.share.hold(&rows)?;
        let rest = if ended {
            running.end()?;
            None
        } else {
            if running.place.is_some() {
                self.streaming.send_replace(true);
            }
            Some(Rest {
                running: Some(running),
                share: Arc::clone(&self.share),
                patience,
                failed: None,
            })
        };
        Ok(Answer {
            columns,
            rows,
            held,
            rest,
        })
    }

    /// The pool learns from what failed.
    fn watched<T>(&self, answer: Result<T, DatabaseError>) -> Result<T, DatabaseError> {
        answer.inspect_err(|error| self.pool.saw(error))
    }

    async fn begin(&self, text: &str) -> Result<Running, DatabaseError> {
        guard::check(text)?;
        let mut streaming = self.streaming.subscribe();
        let mut place = tokio::select! {
            biased;
            // To wait for a stream would be to wait for the guest, which may be waiting for this.
            _ = streaming.wait_for(|streaming| *streaming) => return Err(DatabaseError::Busy),
            place = Arc::clone(&self.transaction).lock_owned() => place,
        };
        let (lease, place) = match std::mem::take(&mut *place) {
            Transaction::Open(lease) => {
                // Stands unless the statement ends as it should.
                *place = Transaction::Lost;
                (*lease, Some(place))
            }
            Transaction::Lost => {
                *place = Transaction::Lost;
                return Err(DatabaseError::TransactionLost);
            }
            Transaction::None => {
                drop(place);
                let mut lease = self.pool.lease(&self.share, self.limit).await?;
                lease.limit_messages(self.share.buffer());
                (lease, None)
            }
        };
        Ok(Running {
            lease: Some(lease),
            place,
            session: self.clone(),
        })
    }

    /// The columns' types, looked up where that is needed: on the statement's own connection once its rows have ended.
    async fn columns(
        &self,
        fields: &[Field],
        lease: &mut Lease,
        ended: bool,
    ) -> Result<Vec<Column>, DatabaseError> {
        let types = &self.pool.types;
        let unknown = match types.columns(fields) {
            Ok(columns) => return Ok(columns),
            Err(unknown) => unknown,
        };
        let look_up = AddedTypes::look_up(&unknown);
        let rows = if ended {
            lease.rows(&look_up).await?
        } else {
            // Beside the function's quota: it has its connection already, and may have no more.
            self.pool
                .get(self.limit, None)
                .await?
                .rows(&look_up)
                .await?
        };
        types.learn(&unknown, &rows)?;
        types
            .columns(fields)
            .map_err(|_| DatabaseError::Lost("the columns' types are unknown".to_owned()))
    }
}

// === impl Rest ===

impl Rest {
    /// More rows; none at the end. An error comes after the rows that came before it.
    pub async fn next(&mut self, budget: Budget) -> Result<(Vec<Row>, Held), DatabaseError> {
        let rows = self.read(budget).await?;
        match self.share.hold(&rows) {
            Ok(held) => Ok((rows, held)),
            Err(error) => {
                drop(self.finish());
                Err(error)
            }
        }
    }

    async fn read(&mut self, budget: Budget) -> Result<Vec<Row>, DatabaseError> {
        let mut rows = Vec::new();
        let Some(running) = &mut self.running else {
            return self.failed.take().map_or(Ok(rows), Err);
        };
        let ended = match running.lease() {
            Ok(lease) => self.patience.wait(lease.fill(&mut rows, budget)).await,
            Err(error) => Err(error),
        };
        let ended = match ended {
            Ok(false) => return Ok(rows),
            Ok(true) => self.end(),
            Err(error) => {
                if let Some(running) = self.finish() {
                    running.session.pool.saw(&error);
                }
                Err(error)
            }
        };
        match ended {
            Err(error) if rows.is_empty() => Err(error),
            Err(error) => {
                self.failed = Some(error);
                Ok(rows)
            }
            Ok(()) => Ok(rows),
        }
    }

    pub fn has_ended(&self) -> bool {
        self.running.is_none() && self.failed.is_none()
    }

    fn end(&mut self) -> Result<(), DatabaseError> {
        match self.finish() {
            Some(running) => running.end(),
            None => Ok(()),
        }
    }

    fn finish(&mut self) -> Option<Running> {
        let running = self.running.take()?;
        if running.place.is_some() {
            running.session.streaming.send_replace(false);
        }
        Some(running)
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        let Some(mut running) = self.finish() else {
            return;
        };
        if running.place.is_some()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(tokio::time::timeout(DRAIN_TIMEOUT, async move {
                while let Ok(Step::Row(_)) = running.lease()?.next().await {}
                running.end()
            }));
        }
    }
}

// === impl Running ===

impl Running {
    fn lease(&mut self) -> Result<&mut Lease, DatabaseError> {
        self.lease.as_mut().ok_or(DatabaseError::TransactionLost)
    }

    fn end(mut self) -> Result<(), DatabaseError> {
        self.settle()
    }

    /// Keeps the connection if a transaction is open on it, and gives it back otherwise.
    fn settle(&mut self) -> Result<(), DatabaseError> {
        let Some(lease) = self.lease.take() else {
            return Ok(());
        };
        let place = self.place.take();
        if lease.in_transaction() {
            let mut place = match place {
                Some(place) => place,
                // Two statements that began a transaction at the same time: only one can have the place.
                None => Arc::clone(&self.session.transaction)
                    .try_lock_owned()
                    .ok()
                    .filter(|place| matches!(**place, Transaction::None))
                    .ok_or(DatabaseError::Busy)?,
            };
            *place = Transaction::Open(Box::new(lease));
        } else if let Some(mut place) = place
            && lease.is_clean()
        {
            *place = Transaction::None;
        }
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.settle();
    }
}
