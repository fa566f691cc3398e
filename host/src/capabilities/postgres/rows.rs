//! Rows on their way to the guest. The first ones are read before `query-async` returns, so that a small result frees its
//! connection at once; the others follow as the guest reads, many at a time.

use std::pin::Pin;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::oneshot;
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, StreamProducer, StreamResult, VecBuffer};

use super::{DbValue, Error, Observer, values};
use crate::database::{Budget, Column, Held, Rest};
use crate::telemetry::database::{Outcome, Statement};

/// What is held of one result at a time.
pub(super) const BATCH: Budget = Budget {
    rows: 256,
    bytes: 256 * 1024,
};

type Row = Vec<DbValue>;

/// Rows that have arrived, and those that haven't.
#[derive(Debug)]
pub(super) struct Outbox {
    pub rows: Vec<Row>,
    /// The rows' part of what the host holds for the function.
    pub held: Held,
    pub more: Option<More>,
}

/// A statement that has more rows. Dropped early, it counts as done: the guest has what it wanted.
#[derive(Debug)]
pub(super) struct More {
    columns: Vec<Column>,
    rest: Rest,
    observer: Observer,
    statement: Statement,
}

/// Gives rows to a guest that reads a stream, and the outcome to the future beside it.
pub(super) struct RowProducer {
    state: State,
    result: Option<oneshot::Sender<Result<(), Error>>>,
}

enum State {
    Outbox(Box<Outbox>),
    Fetching(BoxFuture<'static, Result<Box<Outbox>, Error>>),
    Ended,
}

// === impl More ===

impl More {
    pub fn new(
        columns: Vec<Column>,
        rest: Rest,
        observer: Observer,
        mut statement: Statement,
    ) -> Self {
        statement.dropped_counts_as(Outcome::Ok);
        Self {
            columns,
            rest,
            observer,
            statement,
        }
    }

    /// The next rows, and what comes after them.
    pub async fn next(self) -> Result<Outbox, Error> {
        let Self {
            columns,
            mut rest,
            observer,
            mut statement,
        } = self;
        statement.dropped_counts_as(Outcome::Timeout);
        let (rows, held) = match rest.next(BATCH).await {
            Ok(rows) => rows,
            Err(error) => return Err(observer.failed(statement, error)),
        };
        let converted = match values::rows(&columns, &rows) {
            Ok(converted) => converted,
            Err(error) => return Err(observer.unconvertible(statement, error)),
        };
        let more = if rest.has_ended() {
            statement.end(Outcome::Ok);
            None
        } else {
            Some(Self::new(columns, rest, observer, statement))
        };
        Ok(Outbox {
            rows: converted,
            held,
            more,
        })
    }
}

// === impl RowProducer ===

impl RowProducer {
    pub fn new(outbox: Outbox) -> (Self, oneshot::Receiver<Result<(), Error>>) {
        let (sender, receiver) = oneshot::channel();
        (
            Self {
                state: State::Outbox(Box::new(outbox)),
                result: Some(sender),
            },
            receiver,
        )
    }

    fn end(&mut self, result: Result<(), Error>) {
        self.state = State::Ended;
        if let Some(sender) = self.result.take() {
            // The guest may have dropped the future: then it doesn't want to know.
            let _ = sender.send(result);
        }
    }
}

impl<D> StreamProducer<D> for RowProducer {
    type Item = Row;
    type Buffer = VecBuffer<Row>;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut store: StoreContextMut<'a, D>,
        mut destination: Destination<'a, Row, VecBuffer<Row>>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        if destination.remaining(&mut store) == Some(0) {
            return Poll::Ready(Ok(StreamResult::Completed));
        }
        loop {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Outbox(outbox) => {
                    // What is handed over counts no more: the guest's own memory is what it takes.
                    let Outbox { rows, more, .. } = *outbox;
                    let ended = match more {
                        Some(more) => {
                            self.state = State::Fetching(fetch(more).boxed());
                            false
                        }
                        None => {
                            self.end(Ok(()));
                            true
                        }
                    };
                    if !rows.is_empty() || ended {
                        destination.set_buffer(rows.into());
                        return Poll::Ready(Ok(if ended {
                            StreamResult::Dropped
                        } else {
                            StreamResult::Completed
                        }));
                    }
                }
                State::Fetching(mut fetching) => match fetching.poll_unpin(cx) {
                    Poll::Ready(Ok(outbox)) => self.state = State::Outbox(outbox),
                    Poll::Ready(Err(error)) => self.end(Err(error)),
                    Poll::Pending => {
                        // What it fetches is for the next read.
                        self.state = State::Fetching(fetching);
                        return if finish {
                            Poll::Ready(Ok(StreamResult::Cancelled))
                        } else {
                            Poll::Pending
                        };
                    }
                },
                State::Ended => return Poll::Ready(Ok(StreamResult::Dropped)),
            }
        }
    }
}

async fn fetch(more: More) -> Result<Box<Outbox>, Error> {
    Ok(Box::new(more.next().await?))
}
