//! A connection on loan from a pool. However the loan ends, the pool gets back only what is clean.

use super::error::DatabaseError;
use super::message::{Field, Parameter, Row};
use super::pool::Place;
use super::server::{Server, Step};
use super::session::Budget;

#[derive(Debug)]
pub(super) struct Lease(Option<Loan>);

/// A connection and its place in the pool, given back together: the connection if it is clean by then, or closed. Until then the
/// place is taken, so that there are never more connections than places.
#[derive(Debug)]
struct Loan {
    server: Option<Server>,
    place: Place,
}

// === impl Lease ===

impl Lease {
    pub fn new(server: Server, place: Place) -> Self {
        Self(Some(Loan {
            server: Some(server),
            place,
        }))
    }

    /// No message from the server may be larger.
    pub fn limit_messages(&mut self, bytes: usize) {
        if let Ok(server) = self.server() {
            server.limit_messages(bytes);
        }
    }

    pub async fn start(
        &mut self,
        text: &str,
        parameters: &[Parameter],
    ) -> Result<Option<Vec<Field>>, DatabaseError> {
        self.server()?.start(text, parameters).await
    }

    pub async fn next(&mut self) -> Result<Step, DatabaseError> {
        self.server()?.next().await
    }

    /// Reads rows until the budget is used up. True: that was the end.
    pub async fn fill(
        &mut self,
        rows: &mut Vec<Row>,
        budget: Budget,
    ) -> Result<bool, DatabaseError> {
        let mut bytes = 0;
        let full = rows.len().saturating_add(budget.rows);
        while rows.len() <= full && bytes <= budget.bytes {
            match self.next().await? {
                Step::Row(row) => {
                    bytes += row.size();
                    rows.push(row);
                }
                Step::Done(_) => return Ok(true),
            }
        }
        Ok(false)
    }

    /// Runs a statement whose few rows are all wanted.
    pub async fn rows(&mut self, text: &str) -> Result<Vec<Row>, DatabaseError> {
        self.start(text, &[]).await?;
        let mut rows = Vec::new();
        while let Step::Row(row) = self.next().await? {
            rows.push(row);
        }
        Ok(rows)
    }

    pub fn in_transaction(&self) -> bool {
        self.lent().is_some_and(Server::in_transaction)
    }

    pub fn is_clean(&self) -> bool {
        self.lent().is_some_and(Server::is_clean)
    }

    fn lent(&self) -> Option<&Server> {
        self.0.as_ref()?.server.as_ref()
    }

    fn server(&mut self) -> Result<&mut Server, DatabaseError> {
        // Only `drop` takes it away.
        self.0
            .as_mut()
            .and_then(|loan| loan.server.as_mut())
            .ok_or_else(|| DatabaseError::Lost("it was given back".to_owned()))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Some(mut loan) = self.0.take() else {
            return;
        };
        // Without a runtime the process ends, and the connection with it.
        if loan.may_come_clean()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move { loan.settle().await });
        }
    }
}

// === impl Loan ===

impl Loan {
    /// It isn't clean, and may become so.
    fn may_come_clean(&self) -> bool {
        self.server
            .as_ref()
            .is_some_and(|server| server.is_running() || server.in_transaction())
    }

    async fn settle(&mut self) {
        if let Some(server) = &mut self.server {
            server.abandon().await;
        }
    }
}

impl Drop for Loan {
    /// Starts nothing: a runtime that shuts down drops this as soon as it is spawned.
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            self.place.give_back(server);
        }
    }
}
