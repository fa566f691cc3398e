//! One instance's life: which requests it has, when it takes another, and when it ends.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::thread::panicking;
use std::time::{Duration, Instant};

use futures::task::AtomicWaker;
use tokio::time::Sleep;
use tracing::{debug, warn};
use wasmtime::component::GuestTaskId;
use wasmtime::{Store, StoreContextMut, Trap};
use wasmtime_wasi_http::handler::{ShouldAccept, WorkerExpiration, WorkerState, WorkerStatus};

use super::clock::GuestClock;
use super::instance::{FunctionConfig, InstanceState};
use super::limits::LimitExceeded;
use super::ticket::{Failure, Stub};

/// What the task that drives an instance and the gateway both see.
#[derive(Debug)]
pub struct WorkerShared {
    pub config: Arc<FunctionConfig>,
    pub clock: GuestClock,
    /// Set by the postgres capability; cleared when a request starts.
    pub database_failed: Arc<AtomicBool>,
    /// Requests whose response has not ended. Also says whose log lines these are.
    requests: Mutex<Vec<Stub>>,
    /// The guest has nothing left to do for the requests that it had.
    at_rest: AtomicBool,
    /// A request was refused only for what is left of an earlier one: its end must wake the worker.
    refused: AtomicBool,
    /// Take no more requests, and end as soon as none is left.
    retired: AtomicBool,
    /// Requests that nobody waits for any more but that the guest still works on.
    abandoned: AtomicUsize,
    waker: AtomicWaker,
}

/// [`WorkerState`]: wasmtime asks it about requests.
#[derive(Debug)]
pub struct Worker(pub Arc<WorkerShared>);

/// [`WorkerExpiration`]: wasmtime asks it, whenever the guest waits for something, whether the instance must end.
#[derive(Debug)]
pub struct Expiration {
    shared: Arc<WorkerShared>,
    timer: Option<(Instant, Pin<Box<Sleep>>)>,
}

// === impl WorkerShared ===

impl WorkerShared {
    pub fn new(config: Arc<FunctionConfig>) -> Arc<Self> {
        config.metrics.instances_idle.inc();
        Arc::new(Self {
            config,
            clock: GuestClock::default(),
            database_failed: Arc::default(),
            requests: Mutex::default(),
            at_rest: AtomicBool::new(true),
            refused: AtomicBool::new(false),
            retired: AtomicBool::new(false),
            abandoned: AtomicUsize::new(0),
            waker: AtomicWaker::new(),
        })
    }

    /// The id of the request that the instance serves, when it can be told.
    pub fn request_id(&self) -> Option<String> {
        match self.requests().as_slice() {
            [only] => Some(only.request_id().to_owned()),
            _ => None,
        }
    }

    /// A response ended as it should.
    pub fn completed(&self, request: &Stub) {
        self.remove(request);
        if self.refused.load(Ordering::Acquire) {
            self.waker.wake();
        }
    }

    /// There is room again for a request like one that was refused.
    fn reconsider(&self) -> bool {
        self.refused.load(Ordering::Acquire) && self.has_room()
    }

    /// Alone, a request finds an instance without any rest of another: what a guest does after its response can trap too.
    fn has_room(&self) -> bool {
        let requests = self.requests().len();
        match self.config.limits.instance_reuse.max_concurrent {
            1 => requests == 0 && self.at_rest.load(Ordering::Acquire),
            max => requests < max,
        }
    }

    /// A request ended before its response did. An instance can't be told to stop one request, so it ends as a whole; with
    /// `max_concurrent` above 1, when the others in it have ended.
    pub fn cancelled(&self, request: &Stub) {
        self.abandoned.fetch_add(1, Ordering::AcqRel);
        self.retired.store(true, Ordering::Release);
        self.remove(request);
        self.waker.wake();
    }

    fn requests(&self) -> MutexGuard<'_, Vec<Stub>> {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, request: Stub) {
        let mut requests = self.requests();
        if requests.is_empty() {
            self.config.metrics.instances_idle.dec();
            self.config.metrics.instances_busy.inc();
        }
        requests.push(request);
    }

    fn remove(&self, request: &Stub) {
        let mut requests = self.requests();
        let before = requests.len();
        requests.retain(|stub| !stub.is(request));
        if requests.is_empty() && before > 0 {
            self.config.metrics.instances_busy.dec();
            self.config.metrics.instances_idle.inc();
            self.config.metrics.cpu.inc_by(self.clock.take());
        }
    }

    /// The instance is no more: whoever still waits learns why.
    fn ended(&self, failure: Option<Failure>) {
        let mut requests = self.requests();
        if requests.is_empty() {
            self.config.metrics.instances_idle.dec();
        } else {
            self.config.metrics.instances_busy.dec();
        }
        // An instance that ended well has answered all of them; their clients may still be reading.
        for request in requests.drain(..) {
            if let Some(failure) = failure {
                request.fail(failure);
            }
        }
        self.config.metrics.cpu.inc_by(self.clock.take());
    }
}

// === impl Worker ===

impl Worker {
    /// There is no instance after all.
    pub fn never_started(&self) {
        self.0.config.metrics.instances_idle.dec();
    }
}

impl WorkerState for Worker {
    type StoreData = InstanceState;
    type RequestData = Stub;

    fn should_accept_request(&self, _concurrent: usize, total: usize) -> ShouldAccept {
        let reuse = &self.0.config.limits.instance_reuse;
        if total >= reuse.max_requests || self.0.retired.load(Ordering::Acquire) {
            return ShouldAccept::Never;
        }
        // Not wasmtime's count, which ends with the response's head: a trap would cut a body that is still on its way.
        let room = self.0.has_room();
        self.0.refused.store(!room, Ordering::Release);
        // A response that ends from here on wakes the worker, and one that ended just before is seen when the worker next waits.
        if room {
            ShouldAccept::Yes
        } else {
            ShouldAccept::No
        }
    }

    fn on_request_start(
        &self,
        _store: StoreContextMut<'_, InstanceState>,
        request: Stub,
        _task: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + 'static + Send + Sync>> {
        self.0.at_rest.store(false, Ordering::Release);
        if request.start(&self.0) {
            if self.0.requests().is_empty() {
                self.0.clock.restart();
                self.0.database_failed.store(false, Ordering::Relaxed);
            }
            self.0.add(request.clone());
        } else {
            self.0.abandoned.fetch_add(1, Ordering::AcqRel);
            self.0.retired.store(true, Ordering::Release);
        }
        Box::pin(request.cancelled())
    }

    fn drop(&self, store: Store<InstanceState>, result: wasmtime::Result<()>) {
        let function = &self.0.config.id;
        self.0.clock.leave();
        self.0
            .config
            .metrics
            .memory
            .observe(store.data().memory_peak() as f64);
        let failure = result
            .as_ref()
            .err()
            .map(|error| match error.downcast_ref() {
                Some(LimitExceeded::Cpu(_)) => Failure::CpuLimit,
                Some(LimitExceeded::Memory { .. }) => Failure::MemoryLimit,
                None if self.0.abandoned.load(Ordering::Acquire) > 0 => Failure::Cancelled,
                // The host ends, and its tasks are dropped with their instances: wasmtime reports that as an error too.
                None if !error.is::<Trap>() && !panicking() && self.0.requests().is_empty() => {
                    Failure::Cancelled
                }
                None => Failure::Trap,
            });
        let request_id = self.0.request_id();
        let request_id = request_id.as_deref();
        match (failure, result) {
            (Some(Failure::Cancelled) | None, _) => debug!(%function, "instance ended"),
            (Some(Failure::Trap), Err(error)) => {
                warn!(%function, request_id, "the function trapped: {error:?}");
            }
            (Some(_), Err(error)) => warn!(%function, request_id, "{}", error.root_cause()),
            (Some(_), Ok(())) => {}
        }
        self.0.ended(failure);
    }
}

// === impl Expiration ===

impl Expiration {
    pub fn new(shared: Arc<WorkerShared>) -> Self {
        Self {
            shared,
            timer: None,
        }
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>, start: Instant, after: Duration) -> Poll<()> {
        let Some(deadline) = start.checked_add(after) else {
            return Poll::Pending;
        };
        let timer = match &mut self.timer {
            Some((set_for, sleep)) => {
                if *set_for != deadline {
                    sleep.as_mut().reset(deadline.into());
                    *set_for = deadline;
                }
                sleep
            }
            none => {
                let sleep = Box::pin(tokio::time::sleep_until(deadline.into()));
                &mut none.insert((deadline, sleep)).1
            }
        };
        timer.as_mut().poll(cx)
    }
}

impl WorkerExpiration for Expiration {
    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        status: WorkerStatus,
        start: Instant,
    ) -> Poll<()> {
        let this = &mut *self;
        this.shared.waker.register(cx.waker());
        this.shared
            .at_rest
            .store(status == WorkerStatus::Idle, Ordering::Release);
        // What changed before the waker was registered woke nobody.
        if this.shared.reconsider() {
            cx.waker().wake_by_ref();
        }
        this.shared.clock.wait();
        if this.shared.retired.load(Ordering::Acquire) && this.shared.requests().is_empty() {
            return Poll::Ready(());
        }
        match status {
            WorkerStatus::Idle => {
                let idle = this.shared.config.limits.instance_reuse.idle_timeout;
                this.poll_deadline(cx, start, idle)
            }
            // What a guest does after its response may last as long as a request may.
            WorkerStatus::PostReturn => {
                let timeout = this.shared.config.limits.timeout;
                this.poll_deadline(cx, start, timeout)
            }
            // The gateway keeps a request's time, and cancels.
            WorkerStatus::Requests => Poll::Pending,
        }
    }
}
