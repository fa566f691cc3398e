//! One loaded version of a function, and how an instance of it is made.

use std::sync::Arc;
use std::time::Instant;

use http::Response;
use wasmtime::component::ResourceTable;
use wasmtime::{
    CallHook, Engine, PoolConcurrencyLimitError, Store, StoreContextMut, UpdateDeadline,
};
use wasmtime_wasi::WasiCtx;
use wasmtime_wasi_http::handler::{
    HandlerState, Instance, InstantiationError, ProxyHandler, ProxyPre, Request, TrapOrPanicError,
};
use wasmtime_wasi_http::p3::bindings::{ServicePre, http::types::ErrorCode};
use wasmtime_wasi_http::{WasiBody, WasiHttpCtx, WasiHttpView};

use super::component::{Digest, Loaded};
use super::engine::Runtime;
use super::limits::{LimitExceeded, MemoryLimiter};
use super::ticket::{Failure, Stub, Ticket};
use super::worker::{Expiration, Worker, WorkerShared};
use crate::capabilities::{Grants, OutboundHttp, PostgresCtx};
use crate::manifest::{FunctionId, Limits};
use crate::telemetry::runtime::FunctionRuntimeMetrics;

/// What all instances of a function have in common.
#[derive(Debug)]
pub struct FunctionConfig {
    pub id: FunctionId,
    pub limits: Limits,
    pub grants: Grants,
    pub metrics: Arc<FunctionRuntimeMetrics>,
}

/// One version of a function, ready to serve.
pub struct FunctionVersion {
    pub digest: Digest,
    handler: ProxyHandler<Factory>,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    #[error("the instance ended: {0:?}")]
    Ended(Failure),
    #[error("the function gave an error in place of a response: {0}")]
    Guest(String),
    #[error("all places for instances are taken")]
    PoolFull,
    #[error("no instance could be made: {0}")]
    Instantiation(String),
}

/// Makes instances.
struct Factory {
    engine: Engine,
    pre: ServicePre<InstanceState>,
    config: Arc<FunctionConfig>,
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

// === impl FunctionVersion ===

impl FunctionVersion {
    pub fn new(runtime: &Runtime, loaded: Loaded, config: Arc<FunctionConfig>) -> Self {
        Self {
            digest: loaded.digest,
            handler: ProxyHandler::new(Factory {
                engine: runtime.engine.clone(),
                pre: loaded.pre,
                config,
            }),
        }
    }

    /// Hands a request to an instance, and waits for the head of its response. The caller keeps the time, and the ticket.
    pub async fn handle(
        &self,
        ticket: &Ticket,
        request: Request,
    ) -> Result<Response<WasiBody>, HandleError> {
        let error = match self.handler.handle(ticket.stub(), request).await {
            Ok(response) => return Ok(response),
            Err(error) => error,
        };
        if error.is::<TrapOrPanicError>() {
            let failure = ticket.failure().await.unwrap_or(Failure::Trap);
            return Err(HandleError::Ended(failure));
        }
        if let Some(failed) = error.downcast_ref::<InstantiationError<Stub>>() {
            return Err(match failed.error.downcast_ref() {
                Some(PoolConcurrencyLimitError { .. }) => HandleError::PoolFull,
                None => HandleError::Instantiation(format!("{:#}", failed.error)),
            });
        }
        Err(HandleError::Guest(match error.downcast_ref() {
            Some(ErrorCode::InternalError(Some(text))) => text.clone(),
            _ => format!("{error:#}"),
        }))
    }
}

impl std::fmt::Debug for FunctionVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FunctionVersion")
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}

// === impl Factory ===

impl HandlerState for Factory {
    type StoreData = InstanceState;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<InstanceState, Expiration, Worker>> {
        let started = Instant::now();
        let shared = WorkerShared::new(Arc::clone(&self.config));
        let worker = Worker(Arc::clone(&shared));
        let mut store = Store::new(&self.engine, InstanceState::new(&shared)?);
        store.limiter(|state| &mut state.memory);
        keep_time(&mut store, &shared);
        let pre = ProxyPre::P3(self.pre.clone());
        let proxy = match pre.instantiate_async(&mut store).await {
            Ok(proxy) => proxy,
            Err(error) => {
                worker.never_started();
                return Err(error);
            }
        };
        self.config
            .metrics
            .instantiation
            .observe(started.elapsed().as_secs_f64());
        Ok(Instance {
            store,
            proxy,
            view: InstanceState::http,
            expiration: Expiration::new(shared),
            state: worker,
        })
    }
}

/// Measures the guest's CPU time, makes a busy guest yield at every epoch tick, and ends it at `cpu_limit`.
fn keep_time(store: &mut Store<InstanceState>, shared: &Arc<WorkerShared>) {
    let hook = Arc::clone(shared);
    store.call_hook(
        move |mut store: StoreContextMut<'_, InstanceState>, event| {
            match event {
                CallHook::CallingWasm | CallHook::ReturningFromHost => {
                    // Ticks that passed while the guest waited are not its own; those within a call that it makes are.
                    if hook.clock.enter() {
                        store.set_epoch_deadline(1);
                    }
                }
                CallHook::ReturningFromWasm => hook.clock.leave(),
                CallHook::CallingHost => {}
            }
            Ok(())
        },
    );
    let tick = Arc::clone(shared);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(move |_store| {
        tick.clock.leave();
        let limit = tick.config.limits.cpu;
        if tick.clock.used() > limit {
            return Err(LimitExceeded::Cpu(limit).into());
        }
        let resumed = Arc::clone(&tick);
        Ok(UpdateDeadline::YieldCustom(
            1,
            Box::pin(async move {
                tokio::task::yield_now().await;
                resumed.clock.enter();
            }),
        ))
    });
}

// === impl InstanceState ===

impl InstanceState {
    fn new(shared: &Arc<WorkerShared>) -> wasmtime::Result<Self> {
        let config = Arc::clone(&shared.config);
        Ok(Self {
            table: ResourceTable::new(),
            wasi: config.grants.wasi(&config.id, shared)?,
            http: WasiHttpCtx::new(),
            outbound_http: OutboundHttp,
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
