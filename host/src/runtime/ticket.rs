//! The thread between a request at the gateway and the instance that serves it.
//!
//! The gateway learns through it why an instance died, and tells the instance through it that nobody waits any more (the client
//! left, the time is over), upon which the instance is thrown away with whatever it was doing.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures::task::AtomicWaker;
use tokio::sync::Notify;

use super::worker::WorkerShared;

/// How long the gateway waits for the cause after it has heard that an instance died: the two arrive within one task's poll.
const CAUSE_WAIT: Duration = Duration::from_secs(1);

/// Why an instance died with a request in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    Trap,
    CpuLimit,
    MemoryLimit,
    /// It was thrown away because the request was over before its response.
    Cancelled,
}

/// One request's ticket. The gateway holds it for as long as the response lasts; dropping it before [`Ticket::complete`] cancels.
#[derive(Debug)]
pub struct Ticket(Arc<Inner>);

/// The instance's end of a ticket.
#[derive(Clone, Debug)]
pub struct Stub(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    request_id: String,
    stage: Mutex<Stage>,
    cancelled: AtomicBool,
    cancel_waker: AtomicWaker,
    failure: Mutex<Option<Failure>>,
    failed: Notify,
}

#[derive(Debug)]
enum Stage {
    /// No instance has taken the request yet.
    Waiting,
    Running(Arc<WorkerShared>),
    Over,
}

// === impl Ticket ===

impl Ticket {
    pub fn new(request_id: String) -> Self {
        Self(Arc::new(Inner {
            request_id,
            stage: Mutex::new(Stage::Waiting),
            cancelled: AtomicBool::new(false),
            cancel_waker: AtomicWaker::new(),
            failure: Mutex::new(None),
            failed: Notify::new(),
        }))
    }

    pub fn stub(&self) -> Stub {
        Stub(Arc::clone(&self.0))
    }

    /// Why the instance died. `None` when nothing is known.
    pub async fn failure(&self) -> Option<Failure> {
        let known = async {
            loop {
                let notified = self.0.failed.notified();
                if let Some(failure) = *lock(&self.0.failure) {
                    return failure;
                }
                notified.await;
            }
        };
        tokio::time::timeout(CAUSE_WAIT, known).await.ok()
    }

    /// Why the instance died, if that is known already.
    pub fn failure_now(&self) -> Option<Failure> {
        *lock(&self.0.failure)
    }

    /// Did the database fail the function while it served this request?
    pub fn database_failed(&self) -> bool {
        match &*lock(&self.0.stage) {
            Stage::Running(worker) => worker.database_failed.load(Ordering::Relaxed),
            Stage::Waiting | Stage::Over => false,
        }
    }

    /// The response has ended as it should: the instance may serve the next request.
    pub fn complete(&self) {
        self.0.end(false);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Nothing is left to end after `complete`.
        self.0.end(true);
    }
}

// === impl Stub ===

impl Stub {
    pub fn request_id(&self) -> &str {
        &self.0.request_id
    }

    /// An instance takes the request. False: nobody waits for it any more.
    pub fn start(&self, worker: &Arc<WorkerShared>) -> bool {
        let mut stage = lock(&self.0.stage);
        match *stage {
            Stage::Waiting => {
                *stage = Stage::Running(Arc::clone(worker));
                true
            }
            Stage::Running(_) | Stage::Over => false,
        }
    }

    /// Resolves when nobody waits for the response any more.
    pub fn cancelled(&self) -> impl Future<Output = ()> + Send + Sync + use<> {
        let inner = Arc::clone(&self.0);
        poll_fn(move |cx| {
            inner.cancel_waker.register(cx.waker());
            if inner.cancelled.load(Ordering::Acquire) {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
    }

    pub fn fail(&self, failure: Failure) {
        lock(&self.0.failure).get_or_insert(failure);
        self.0.failed.notify_waiters();
    }

    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

// === impl Inner ===

impl Inner {
    fn end(self: &Arc<Self>, cancel: bool) {
        let stage = std::mem::replace(&mut *lock(&self.stage), Stage::Over);
        match stage {
            Stage::Over => {}
            Stage::Waiting | Stage::Running(_) if cancel => {
                self.cancelled.store(true, Ordering::Release);
                self.cancel_waker.wake();
                if let Stage::Running(worker) = stage {
                    worker.cancelled(&Stub(Arc::clone(self)));
                }
            }
            Stage::Running(worker) => worker.completed(&Stub(Arc::clone(self))),
            Stage::Waiting => {}
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
