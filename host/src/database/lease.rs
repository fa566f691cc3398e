//! A connection on loan from a pool. However the loan ends, the pool gets back only what is clean.

use deadpool::managed::Object;

use super::error::DatabaseError;
use super::message::{Field, Parameter, Row};
use super::pool::Connector;
use super::server::{Server, Step};
use super::session::Budget;

#[derive(Debug)]
pub(super) struct Lease(Option<Object<Connector>>);

/// A connection on its way back: into the pool if it is clean by then, and closed otherwise. Until then its place in the pool is
/// taken, so that there are never more connections than places.
#[derive(Debug)]
struct Returning(Option<Object<Connector>>);

// === impl Lease ===

impl Lease {
    pub fn new(object: Object<Connector>) -> Self {
        Self(Some(object))
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
        self.0
            .as_ref()
            .is_some_and(|object| object.in_transaction())
    }

    pub fn is_clean(&self) -> bool {
        self.0.as_ref().is_some_and(|object| object.is_clean())
    }

    fn server(&mut self) -> Result<&mut Server, DatabaseError> {
        // Only `drop` takes it away.
        self.0
            .as_deref_mut()
            .ok_or_else(|| DatabaseError::Lost("it was given back".to_owned()))
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let mut returning = Returning(self.0.take());
        // Without a runtime the process ends, and the connection with it.
        if returning.is_wanted_back()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(async move { returning.settle().await });
        }
    }
}

// === impl Returning ===

impl Returning {
    /// It isn't clean, and may become so.
    fn is_wanted_back(&self) -> bool {
        self.0
            .as_ref()
            .is_some_and(|object| object.is_running() || object.in_transaction())
    }

    async fn settle(&mut self) {
        if let Some(object) = &mut self.0 {
            object.abandon().await;
        }
    }
}

impl Drop for Returning {
    /// Starts nothing: a runtime that shuts down drops this as soon as it is spawned.
    fn drop(&mut self) {
        if let Some(object) = self.0.take()
            && !object.is_clean()
        {
            drop(Object::take(object));
        }
    }
}
