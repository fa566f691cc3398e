//! One connection to a server, and the statement that runs on it.
//!
//! I/O happens in the task that asks: there is no task per connection, so no hand-over between threads, and a reader that stops
//! reading stops the server by TCP's own flow control.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use postgres_protocol::message::frontend;

use super::address::Address;
use super::error::{DatabaseError, ServerError};
use super::message::{self, Field, Message, Parameter, Row, TransactionStatus};
use super::statements::{Names, Plan, StatementMode};
use super::wire::{Route, Wire};
use super::{MAX_MESSAGE_BYTES, startup};

/// How long a statement that nobody waits for any more may go on, outside a transaction. Most end within it, and their connection
/// stays: clients that leave early can't make the host connect anew all the time.
const GRACE: Duration = Duration::from_millis(250);

/// How long a request to cancel may take. It is only a courtesy to the server: nobody waits for it.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

/// How long a transaction that was given up may take to be rolled back. Closing its connection does it too, but costs the pooler its
/// connection to the server, and a function that keeps failing would use those up for everybody.
const ROLLBACK_TIMEOUT: Duration = Duration::from_secs(1);

/// A logged-in connection.
#[derive(Debug)]
pub(super) struct Server {
    wire: Wire,
    cancel_key: Option<CancelKey>,
    state: State,
    /// When the connection is too old to be handed out again.
    expires: Instant,
    /// The statements that the server knows by a name, if it can.
    names: Option<Names>,
    /// Bytes. A larger message is refused rather than held in memory.
    message_limit: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Ready(TransactionStatus),
    /// A statement was sent, and the server hasn't said that it's ready for the next.
    Running {
        in_transaction: bool,
    },
    /// Nothing that comes from here can be trusted any more.
    Broken,
}

/// Names a connection to the server, on another connection, to cancel what runs on it.
#[derive(Clone, Copy)]
pub(super) struct CancelKey {
    pub process: i32,
    pub secret: i32,
}

/// The next thing in a statement's answer.
#[derive(Debug)]
pub(super) enum Step {
    Row(Row),
    /// The end, and the rows that the statement touched.
    Done(u64),
}

// === impl Server ===

impl Server {
    /// Connects to the first endpoint that takes the connection, and logs in.
    pub async fn connect(
        address: &Address,
        lifetime: Duration,
        mode: StatementMode,
    ) -> Result<Self, DatabaseError> {
        let mut failure = DatabaseError::Connect("no server to try".to_owned());
        for endpoint in address.endpoints() {
            match Wire::open(endpoint, &address.encryption).await {
                Ok(mut wire) => {
                    let welcome = match startup::log_in(&mut wire, address).await {
                        Ok(welcome) => welcome,
                        Err(DatabaseError::Lost(reason)) => {
                            return Err(DatabaseError::Connect(reason));
                        }
                        Err(error) => return Err(error),
                    };
                    let mut server = Self {
                        wire,
                        cancel_key: welcome.cancel_key,
                        state: State::Ready(TransactionStatus::Idle),
                        expires: Instant::now() + lifetime,
                        names: None,
                        message_limit: MAX_MESSAGE_BYTES,
                    };
                    if server.keeps_names(mode, welcome.tracks_statements).await? {
                        server.names = Some(Names::default());
                    }
                    return Ok(server);
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Sends a statement, and reads on to where its rows begin. `None`: it has no columns.
    pub async fn start(
        &mut self,
        text: &str,
        parameters: &[Parameter],
    ) -> Result<Option<Vec<Field>>, DatabaseError> {
        let in_transaction = self.in_transaction();
        let mut plan = match &mut self.names {
            Some(names) => names.plan(text, parameters),
            None => Plan::unnamed(),
        };
        let answer = self.send(text, parameters, &mut plan).await;
        match answer {
            Err(DatabaseError::Server(error)) if !plan.parse && error.is_stale_name() => {
                if let Some(names) = &mut self.names {
                    names.forget(text);
                }
                if in_transaction {
                    return Err(DatabaseError::Server(error));
                }
                // It hasn't run: this comes before that.
                let mut plan = self
                    .names
                    .as_mut()
                    .map_or_else(Plan::unnamed, |names| names.plan(text, parameters));
                self.send(text, parameters, &mut plan).await
            }
            answer => answer,
        }
    }

    async fn send(
        &mut self,
        text: &str,
        parameters: &[Parameter],
        plan: &mut Plan,
    ) -> Result<Option<Vec<Field>>, DatabaseError> {
        let mut out = BytesMut::new();
        message::statement(text, parameters, plan, &mut out)?;
        self.write(&out).await?;
        loop {
            match self.message().await? {
                Message::Columns(fields) => return Ok(Some(fields)),
                Message::NoColumns => return Ok(None),
                Message::Parsed => {
                    if let Some(names) = &mut self.names {
                        names.parsed(text, plan);
                    }
                }
                Message::Setting(..) | Message::Other => {}
                _ => return Err(self.out_of_step()),
            }
        }
    }

    /// Writes a whole statement, which runs from then on.
    async fn write(&mut self, statement: &[u8]) -> Result<(), DatabaseError> {
        self.state = State::Running {
            in_transaction: self.in_transaction(),
        };
        let written = self.wire.write(statement).await;
        written.inspect_err(|_| self.state = State::Broken)
    }

    /// The same by the simple protocol, all that PgBouncer's console speaks: no parameters, and values come as text.
    pub async fn start_simple(&mut self, text: &str) -> Result<Option<Vec<Field>>, DatabaseError> {
        let mut out = BytesMut::new();
        frontend::query(text, &mut out).map_err(|_| DatabaseError::Unsendable)?;
        self.write(&out).await?;
        loop {
            match self.message().await? {
                Message::Columns(fields) => return Ok(Some(fields)),
                Message::Complete(_) => return Ok(None),
                Message::Setting(..) | Message::Other => {}
                _ => return Err(self.out_of_step()),
            }
        }
    }

    /// Whether the server knows tomorrow what it was told a name for today.
    async fn keeps_names(
        &mut self,
        mode: StatementMode,
        tracked: bool,
    ) -> Result<bool, DatabaseError> {
        let process = self.cancel_key.map_or(0, |key| key.process);
        match mode {
            StatementMode::Named => return Ok(true),
            StatementMode::Auto if tracked => return Ok(true),
            mode if !mode.may_be_direct(process) => return Ok(false),
            _ => {}
        }
        // A pooler's server is another process than the one that it speaks of.
        self.start("SELECT pg_catalog.pg_backend_pid()", &[])
            .await?;
        let mut own = None;
        while let Step::Row(row) = self.next().await? {
            let value = row.values()?.next().transpose()?.flatten();
            own = value.and_then(|bytes| Some(i32::from_be_bytes(bytes.try_into().ok()?)));
        }
        Ok(own == Some(process))
    }

    /// Reads on. After [`Step::Done`], or an error, there is no next.
    pub async fn next(&mut self) -> Result<Step, DatabaseError> {
        let mut touched = 0;
        loop {
            match self.message().await? {
                Message::Row(row) => return Ok(Step::Row(row)),
                Message::Complete(rows) => touched = rows,
                Message::Ready(status) => {
                    self.ready(status);
                    return Ok(Step::Done(touched));
                }
                Message::Setting(..) | Message::Other => {}
                _ => return Err(self.out_of_step()),
            }
        }
    }

    /// Whether it answers at all.
    pub async fn check(&mut self) -> Result<(), DatabaseError> {
        self.run("SELECT 1").await
    }

    /// Runs a statement whose rows nobody wants.
    async fn run(&mut self, text: &str) -> Result<(), DatabaseError> {
        self.start(text, &[]).await?;
        while let Step::Row(_) = self.next().await? {}
        Ok(())
    }

    /// For the next borrower: no message may be larger than `bytes`.
    pub fn limit_messages(&mut self, bytes: usize) {
        self.message_limit = bytes.min(MAX_MESSAGE_BYTES);
    }

    /// When its certificate ends to be valid, in seconds since 1970; `None` without TLS.
    pub fn certificate_expires(&self) -> Option<i64> {
        self.wire.certificate_expires()
    }

    pub fn in_transaction(&self) -> bool {
        matches!(
            self.state,
            State::Ready(TransactionStatus::Open | TransactionStatus::Failed)
        )
    }

    /// The next borrower finds nothing of this one.
    pub fn is_clean(&self) -> bool {
        self.state == State::Ready(TransactionStatus::Idle)
    }

    /// Whether it can be handed out: not too old, and not closed by the server meanwhile. Costs no round trip.
    pub fn is_fresh(&mut self) -> bool {
        // An idle server has nothing to say but that it goes away.
        self.is_clean() && self.expires > Instant::now() && self.wire.is_quiet()
    }

    pub fn is_running(&self) -> bool {
        matches!(self.state, State::Running { .. })
    }

    /// Ends what nobody wants any more. A statement may come to its end by itself, for a short while, and is cancelled then; in a
    /// transaction, whose locks others may wait for, it is cancelled at once. A transaction between two statements is rolled back.
    /// Unless the connection is clean after this, it must be closed.
    pub async fn abandon(&mut self) {
        if self.in_transaction() {
            let _ = tokio::time::timeout(ROLLBACK_TIMEOUT, self.run("ROLLBACK")).await;
            return;
        }
        let State::Running { in_transaction } = self.state else {
            return;
        };
        if !in_transaction {
            let _ = tokio::time::timeout(GRACE, self.skip()).await;
        }
        // Only while this connection is open does a pooler know whose statement the key is about.
        if let (true, Some(key)) = (self.is_running(), self.cancel_key) {
            let _ = tokio::time::timeout(CANCEL_TIMEOUT, cancel(self.wire.route(), key)).await;
        }
    }

    /// Reads to the end of the answer, wherever in it the last reader stopped.
    async fn skip(&mut self) {
        loop {
            match self.message().await {
                Ok(Message::Ready(status)) => return self.ready(status),
                Ok(_) => {}
                // The server is ready, or gone.
                Err(_) => return,
            }
        }
    }

    /// The next message; an error of the server's is returned only when the server is ready again, or gone.
    async fn message(&mut self) -> Result<Message, DatabaseError> {
        match self.wire.message(self.message_limit).await {
            Ok(Message::Error(error)) => Err(self.recover(error).await),
            Ok(Message::Copy) => {
                self.state = State::Broken;
                Err(DatabaseError::Copy)
            }
            Ok(message) => Ok(message),
            Err(error) => {
                // A message too large to take is still on its way: the statement runs, and can be cancelled.
                if !matches!(error, DatabaseError::TooLarge(_)) {
                    self.state = State::Broken;
                }
                Err(error)
            }
        }
    }

    async fn recover(&mut self, error: ServerError) -> DatabaseError {
        if error.is_fatal() {
            self.state = State::Broken;
            return DatabaseError::Lost(error.to_string());
        }
        loop {
            match self.wire.message(self.message_limit).await {
                Ok(Message::Ready(status)) => {
                    self.ready(status);
                    break;
                }
                Ok(_) => {}
                Err(_) => {
                    self.state = State::Broken;
                    break;
                }
            }
        }
        DatabaseError::Server(Box::new(error))
    }

    fn ready(&mut self, status: TransactionStatus) {
        self.state = State::Ready(status);
        self.wire.shrink();
    }

    fn out_of_step(&mut self) -> DatabaseError {
        self.state = State::Broken;
        DatabaseError::Lost("the server sent messages out of order".to_owned())
    }
}

/// On a connection that is protected as the one whose statement it is: what is sent here can end that statement.
async fn cancel(route: &Arc<Route>, key: CancelKey) -> Result<(), DatabaseError> {
    let mut wire = Wire::along(route).await?;
    let mut request = BytesMut::new();
    frontend::cancel_request(key.process, key.secret, &mut request);
    wire.write(&request).await?;
    // The server closes the connection when it has passed the request on.
    wire.message(MAX_MESSAGE_BYTES).await.map(drop)
}

// === impl CancelKey ===

impl std::fmt::Debug for CancelKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CancelKey(..)")
    }
}
