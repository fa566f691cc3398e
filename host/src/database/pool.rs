//! The connections to one database: at most so many, lent in the order in which they were asked for.
//!
//! A place in the pool is what is waited for; with it comes the connection that was used last, or a new one. A connection that idles
//! holds no place, so places and idle connections together are never more than the pool's size: a new one is only made by
//! whoever has a place and finds none that idles.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::address::Address;
use super::connector::Connector;
use super::error::DatabaseError;
use super::keeper;
use super::lease::Lease;
use super::server::Server;
use super::share::Share;
use super::types::AddedTypes;
use crate::manifest::PoolSettings;
use crate::telemetry::database::{PoolLoad, PoolMetrics, PoolSize};

/// How long a connection that is in doubt has to answer.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Pool {
    pub(super) settings: PoolSettings,
    pub(super) types: AddedTypes,
    connector: Connector,
    /// First come, first served.
    places: Arc<Semaphore>,
    /// The one used last is on top: it is the least likely to have been closed, and those below grow old.
    idle: Mutex<Vec<Idle>>,
    waiting: AtomicUsize,
    /// When the way to the database was last seen to fail: what idled then is asked before it is used again.
    doubted: Mutex<Option<Instant>>,
    /// Somebody looks after it.
    pub(super) kept: AtomicBool,
    metrics: PoolMetrics,
}

#[derive(Debug)]
struct Idle {
    server: Server,
    since: Instant,
}

/// The right to one connection.
#[derive(Debug)]
pub(super) struct Place {
    pool: Arc<Pool>,
    _place: OwnedSemaphorePermit,
    /// A function's right to one more.
    _quota: Option<OwnedSemaphorePermit>,
}

/// Counts for as long as it lives.
struct Counted<'a>(&'a AtomicUsize);

// === impl Pool ===

impl Pool {
    pub fn new(settings: &PoolSettings, address: Arc<Address>, metrics: PoolMetrics) -> Self {
        Self {
            settings: settings.clone(),
            types: AddedTypes::default(),
            connector: Connector::new(address, settings),
            places: Arc::new(Semaphore::new(settings.size)),
            idle: Mutex::default(),
            waiting: AtomicUsize::new(0),
            doubted: Mutex::default(),
            kept: AtomicBool::new(false),
            metrics,
        }
    }

    /// Waits for a connection on a function's behalf, for as long as its share says, or less if `limit` is less.
    pub(super) async fn lease(
        self: &Arc<Self>,
        share: &Share,
        limit: Duration,
    ) -> Result<Lease, DatabaseError> {
        let started = Instant::now();
        // Ends a little before the caller's own patience does, so that a pool without a free connection is told as that.
        let wait = share.wait().min(limit.mul_f64(0.9));
        let leased = async {
            let quota = share.enter(wait).await?;
            let left = wait.saturating_sub(started.elapsed());
            self.get(left, Some(quota)).await
        };
        let leased = leased.await;
        self.metrics.waited(started.elapsed());
        if let Err(DatabaseError::PoolTimeout(_) | DatabaseError::QuotaTimeout { .. }) = leased {
            self.metrics.timed_out();
        }
        leased
    }

    /// The same, unobserved, and beside the functions' quotas: for the host's own questions.
    pub(super) async fn get(
        self: &Arc<Self>,
        wait: Duration,
        quota: Option<OwnedSemaphorePermit>,
    ) -> Result<Lease, DatabaseError> {
        let started = Instant::now();
        let place = Place {
            _place: self.place(wait).await?,
            pool: Arc::clone(self),
            _quota: quota,
        };
        keeper::start(self);
        let left = wait.saturating_sub(started.elapsed());
        let server = tokio::time::timeout(left.max(Duration::from_millis(1)), self.server());
        match server.await {
            Ok(Ok(server)) => Ok(Lease::new(server, place)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(self.connector.why_not()),
        }
    }

    async fn place(&self, wait: Duration) -> Result<OwnedSemaphorePermit, DatabaseError> {
        let places = Arc::clone(&self.places);
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            return Ok(place);
        }
        let _waiting = Counted::new(&self.waiting);
        match tokio::time::timeout(wait, places.acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(DatabaseError::PoolTimeout(wait)),
        }
    }

    /// A connection that works, as far as can be known, idle or new.
    async fn server(&self) -> Result<Server, DatabaseError> {
        while let Some(Idle { mut server, since }) = self.pop() {
            if !server.is_fresh() {
                continue;
            }
            let doubted = self.doubted_at();
            if doubted.is_none_or(|doubted| since > doubted) {
                return Ok(server);
            }
            match tokio::time::timeout(CHECK_TIMEOUT, server.check()).await {
                Ok(Ok(())) => return Ok(server),
                Ok(Err(_)) => {}
                // What idled as long is no better: nobody else should wait to find that out.
                Err(_) => self.idle().retain(|idle| Some(idle.since) > doubted),
            }
        }
        self.connect().await
    }

    async fn connect(&self) -> Result<Server, DatabaseError> {
        let server = self.connector.connect().await?;
        if let Some(at) = server.certificate_expires() {
            self.metrics.certificate_expires(at);
        }
        Ok(server)
    }

    /// Lets go of the lock before the caller waits for anything.
    fn pop(&self) -> Option<Idle> {
        self.idle().pop()
    }

    /// Takes a connection back, if the next borrower will find nothing of the last one.
    fn give_back(&self, server: Server) {
        if server.is_clean() {
            self.idle().push(Idle {
                server,
                since: Instant::now(),
            });
        }
    }

    /// Doubts every connection that idles now: the way to the database has just failed somebody.
    fn doubt(&self) {
        *self.doubted.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Learns from what became of a statement.
    pub(super) fn saw(&self, error: &DatabaseError) {
        if matches!(error, DatabaseError::Lost(_) | DatabaseError::Deadline(_)) {
            self.doubt();
        }
    }

    fn doubted_at(&self) -> Option<Instant> {
        *self.doubted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes what idles and is of no more use: old, closed by the server, or more than what is kept warm and unused for long.
    pub(super) fn prune(&self) {
        let mut idle = self.idle();
        // From the bottom: those unused for longest.
        let mut spare = idle.len().saturating_sub(self.settings.min_idle);
        idle.retain_mut(|idle| {
            let unused = spare > 0 && idle.since.elapsed() > self.settings.idle_timeout;
            spare = spare.saturating_sub(usize::from(unused));
            !unused && idle.server.is_fresh()
        });
    }

    /// Makes connections until there are as many as are kept warm. Stops at the first that can't be made.
    pub(super) async fn warm(self: &Arc<Self>) {
        while let PoolSize { busy, idle, .. } = self.size()
            && busy + idle < self.settings.min_idle
            && let Ok(place) = Arc::clone(&self.places).try_acquire_owned()
        {
            let connecting = self.connect();
            match tokio::time::timeout(self.settings.connect_timeout, connecting).await {
                Ok(Ok(server)) => self.give_back(server),
                Ok(Err(_)) | Err(_) => return,
            }
            drop(place);
        }
    }

    /// Nobody has used it for so long that it needn't be remembered.
    pub(super) fn is_forgotten(&self) -> bool {
        let recently = |idle: &Idle| idle.since.elapsed() < self.settings.idle_timeout;
        self.size().busy == 0 && !self.idle().last().is_some_and(recently)
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl PoolLoad for Pool {
    fn size(&self) -> PoolSize {
        PoolSize {
            busy: self
                .settings
                .size
                .saturating_sub(self.places.available_permits()),
            idle: self.idle().len(),
            limit: self.settings.size,
            waiting: self.waiting.load(Ordering::Acquire),
        }
    }
}

// === impl Place ===

impl Place {
    pub fn give_back(&self, server: Server) {
        self.pool.give_back(server);
    }
}

// === impl Counted ===

impl<'a> Counted<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
