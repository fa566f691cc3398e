//! One loaded version of a function, and the instances of it that have nothing to do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use wasmtime::{Engine, PoolConcurrencyLimitError};
use wasmtime_wasi_http::handler::Request;

use super::call::Call;
use super::component::{Digest, Loaded};
use super::engine::Runtime;
use super::idle::IdleInstances;
use super::instance::{Instance, InstanceShared};
use crate::capabilities::Grants;
use crate::manifest::{FunctionId, Limits};
use crate::telemetry::runtime::FunctionRuntimeMetrics;
use crate::telemetry::versions::{FunctionVersions, VersionSeries};

/// What all instances of a function have in common.
#[derive(Debug)]
pub struct FunctionConfig {
    pub id: FunctionId,
    pub limits: Limits,
    pub grants: Grants,
    pub metrics: Arc<FunctionRuntimeMetrics>,
    pub versions: FunctionVersions,
}

/// One version of a function, ready to serve. It is gone, with its code, when nobody has it any more: neither the function, of
/// which it is the live version, nor a request.
pub struct FunctionVersion {
    pub loaded: Loaded,
    engine: Engine,
    config: Arc<FunctionConfig>,
    idle: Arc<IdleInstances>,
    in_flight: AtomicUsize,
    series: Arc<VersionSeries>,
}

/// A request that a version serves, until its guest has nothing left to do.
#[derive(Debug)]
pub(super) struct Serving(Arc<FunctionVersion>);

/// Why there is no instance.
#[derive(Debug, thiserror::Error)]
pub enum NoInstance {
    #[error("all places for instances are taken")]
    PoolFull,
    #[error("no instance could be made: {0}")]
    Instantiation(String),
}

// === impl FunctionVersion ===

impl FunctionVersion {
    pub fn new(runtime: &Runtime, loaded: Loaded, config: Arc<FunctionConfig>) -> Self {
        let idle_timeout = config.limits.instance_reuse.idle_timeout;
        let version = loaded.digest.short();
        Self {
            loaded,
            engine: runtime.engine.clone(),
            series: config.versions.of(&version),
            config,
            idle: IdleInstances::new(idle_timeout),
            in_flight: AtomicUsize::new(0),
        }
    }

    pub fn digest(&self) -> &Digest {
        &self.loaded.digest
    }

    /// Requests whose guests haven't ended.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Acquire)
    }

    /// Where its requests are counted.
    pub fn series(&self) -> &Arc<VersionSeries> {
        &self.series
    }

    /// It serves from now on.
    pub fn publish(&self) {
        self.series.live();
    }

    /// Another one has taken its place: it ends the requests that it has, and keeps no instance for more.
    pub fn retire(&self) {
        self.series.draining();
        self.idle.close();
    }

    /// Makes an instance, which is kept for the first request.
    pub async fn try_instance(&self) -> Result<(), NoInstance> {
        let instance = self.instantiate().await?;
        self.idle.put(instance);
        Ok(())
    }

    /// Hands a request to an instance: the one that served last, whose memory is the likeliest to be in the processor's caches, or a
    /// new one. `place` is held until the guest has nothing left to do, so there are never more instances than places.
    pub async fn call(
        self: &Arc<Self>,
        request_id: Arc<str>,
        request: Request,
        place: impl Send + 'static,
    ) -> Result<Call, NoInstance> {
        let serving = Serving::new(self);
        let instance = match self.idle.take() {
            Some(instance) => instance,
            None => self.instantiate().await?,
        };
        Ok(Call::start(instance, request_id, request, serving, place))
    }

    async fn instantiate(&self) -> Result<Instance, NoInstance> {
        let started = Instant::now();
        let shared = InstanceShared::new(Arc::clone(&self.config), Arc::clone(&self.series));
        let instantiated = async {
            let mut store = Instance::store(&self.engine, &shared)?;
            let proxy = self.loaded.proxy();
            let proxy = proxy.instantiate_async(&mut store).await?;
            let shared = Arc::clone(&shared);
            wasmtime::error::Ok(Instance::new(store, proxy, shared, started.elapsed()))
        };
        shared.clock.time(instantiated).await.map_err(|error| {
            if error.is::<PoolConcurrencyLimitError>() {
                NoInstance::PoolFull
            } else {
                NoInstance::Instantiation(format!("{error:#}"))
            }
        })
    }
}

impl std::fmt::Debug for FunctionVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FunctionVersion")
            .field("digest", self.digest())
            .finish_non_exhaustive()
    }
}

// === impl Serving ===

impl Serving {
    fn new(version: &Arc<FunctionVersion>) -> Self {
        version.in_flight.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(version))
    }

    /// The instance may have another request.
    pub fn give_back(&self, instance: Instance) {
        self.0.idle.put(instance);
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}
