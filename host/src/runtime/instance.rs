//! An instance of a component: what it has beside its own memory, and how it serves a request.
//!
//! It serves one at a time, in the task of whoever asks: handing it to a task of its own would cost two switches between threads for
//! each request, which is more than most requests take.

use std::future::{pending, poll_fn};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use futures::channel::oneshot;
use wasmtime::component::ResourceTable;
use wasmtime::{AsContextMut, Store, UpdateDeadline};
use wasmtime_wasi::WasiCtx;
use wasmtime_wasi_http::handler::{Prepared, Proxy, Request, Response};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpView};

use super::clock::GuestClock;
use super::limits::{LimitExceeded, MemoryLimiter};
use super::version::FunctionConfig;
use crate::capabilities::{OutboundHttp, PostgresCtx};
use crate::manifest::CPU_TICK;
use crate::telemetry::versions::VersionSeries;

/// One that is ready to serve, or serves.
pub(super) struct Instance {
    store: Store<InstanceState>,
    proxy: Proxy,
    pub shared: Arc<InstanceShared>,
    /// Requests so far.
    served: usize,
    busy: bool,
}

/// What an instance's host functions, and whoever waits for its answer, see of the request that it serves.
#[derive(Debug)]
pub struct InstanceShared {
    pub config: Arc<FunctionConfig>,
    pub version: Arc<VersionSeries>,
    pub clock: GuestClock,
    /// Set by the postgres capability; cleared when a request starts.
    pub database_failed: Arc<AtomicBool>,
    request_id: Mutex<Option<Arc<str>>>,
}

/// What an instance has beside its own memory.
pub struct InstanceState {
    pub table: ResourceTable,
    pub wasi: WasiCtx,
    pub http: WasiHttpCtx,
    pub outbound_http: OutboundHttp,
    pub postgres: PostgresCtx,
    pub config: Arc<FunctionConfig>,
    memory: MemoryLimiter,
}

// === impl Instance ===

impl Instance {
    /// In a store whose state is for `shared`. It counts as idle from here on; making it `took` so long.
    pub fn new(
        store: Store<InstanceState>,
        proxy: Proxy,
        shared: Arc<InstanceShared>,
        took: Duration,
    ) -> Self {
        shared.config.metrics.made(took);
        Self {
            store,
            proxy,
            shared,
            served: 0,
            busy: false,
        }
    }

    /// A store for one instance, with its limits.
    pub fn store(
        engine: &wasmtime::Engine,
        shared: &Arc<InstanceShared>,
    ) -> wasmtime::Result<Store<InstanceState>> {
        let mut store = Store::new(engine, InstanceState::new(shared)?);
        store.limiter(|state| &mut state.memory);
        keep_time(&mut store, shared);
        Ok(store)
    }

    /// A request begins.
    pub fn begin(&mut self, request_id: Arc<str>) {
        self.served += 1;
        self.busy = true;
        self.shared.config.metrics.begins();
        self.shared.clock.restart();
        self.shared.database_failed.store(false, Ordering::Relaxed);
        self.shared.set_request_id(Some(request_id));
    }

    /// Serves it: `head` gets the response, whose body comes while this is polled. Ends when the guest has nothing left to do, with
    /// whether it takes another request.
    pub async fn serve(
        &mut self,
        request: Request,
        head: oneshot::Sender<wasmtime::Result<Response>>,
    ) -> wasmtime::Result<bool> {
        let Self {
            store,
            proxy,
            shared,
            ..
        } = self;
        let proxy = &*proxy;
        let serving = store.run_concurrent(async |accessor| {
            let prepared = accessor.with(|mut store| {
                let view = InstanceState::http;
                Prepared::new(store.as_context_mut(), proxy, request, view, head)
            })?;
            // Whoever waits for the response keeps the time.
            prepared.run(accessor, pending()).await?;
            poll_fn(|cx| accessor.poll_no_interesting_tasks(cx)).await;
            let entry = match proxy {
                Proxy::P3(guest) => *guest.wasi_http_handler().func_handle().func(),
                // Such components are made for one request.
                Proxy::P2(_) => return Ok(false),
            };
            let takes_another = poll_fn(|cx| {
                let ready = accessor.poll_ready_for_concurrent_call(entry, cx);
                Poll::Ready(ready.is_ready())
            });
            wasmtime::error::Ok(takes_another.await)
        });
        shared.clock.time(serving).await.flatten()
    }

    /// The request has ended, with all that the guest did for it. True: it may have another.
    pub fn end(&mut self) -> bool {
        self.shared.set_request_id(None);
        self.rest();
        self.served < self.shared.config.limits.instance_reuse.max_requests
    }

    fn rest(&mut self) {
        let metrics = &self.shared.config.metrics;
        metrics.used(self.shared.clock.take());
        if std::mem::take(&mut self.busy) {
            metrics.rests();
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.rest();
        let memory = self.store.data().memory_peak();
        self.shared.config.metrics.gone(memory);
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance")
            .field("function", &self.shared.config.id)
            .field("served", &self.served)
            .finish_non_exhaustive()
    }
}

// === impl InstanceShared ===

impl InstanceShared {
    pub fn new(config: Arc<FunctionConfig>, version: Arc<VersionSeries>) -> Arc<Self> {
        Arc::new(Self {
            config,
            version,
            clock: GuestClock::default(),
            database_failed: Arc::default(),
            request_id: Mutex::default(),
        })
    }

    /// The id of the request that the instance serves.
    pub fn request_id(&self) -> Option<Arc<str>> {
        self.request_id
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set_request_id(&self, id: Option<Arc<str>>) {
        *self
            .request_id
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = id;
    }
}

/// Makes a busy guest yield at every epoch tick, and ends it at `cpu_limit`.
fn keep_time(store: &mut Store<InstanceState>, shared: &Arc<InstanceShared>) {
    let shared = Arc::clone(shared);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |_store| {
        let limit = shared.config.limits.cpu;
        if shared.clock.used() > limit {
            return Err(LimitExceeded::Cpu(limit).into());
        }
        // Ticks that passed while it waited are no reason to wait again.
        if shared.clock.running_for() < CPU_TICK {
            return Ok(UpdateDeadline::Continue(1));
        }
        Ok(UpdateDeadline::YieldCustom(
            1,
            Box::pin(tokio::task::yield_now()),
        ))
    });
}

// === impl InstanceState ===

impl InstanceState {
    fn new(shared: &Arc<InstanceShared>) -> wasmtime::Result<Self> {
        let config = Arc::clone(&shared.config);
        Ok(Self {
            table: ResourceTable::new(),
            wasi: config.grants.wasi(shared)?,
            http: WasiHttpCtx::new(),
            outbound_http: OutboundHttp::new(Arc::clone(&config.grants.allowed_hosts)),
            postgres: config
                .grants
                .postgres(config.limits.timeout, Arc::clone(&shared.database_failed)),
            memory: MemoryLimiter::new(config.limits.memory),
            config,
        })
    }

    /// Bytes.
    pub fn memory_peak(&self) -> usize {
        self.memory.peak
    }
}
