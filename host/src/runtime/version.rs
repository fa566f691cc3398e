//! One loaded version of a function, and the instances of it that have nothing to do.

use std::sync::Arc;
use std::time::Instant;

use wasmtime::{Engine, PoolConcurrencyLimitError};
use wasmtime_wasi_http::handler::{ProxyPre, Request};
use wasmtime_wasi_http::p3::bindings::ServicePre;

use super::call::Call;
use super::component::{Digest, Loaded};
use super::engine::Runtime;
use super::idle::IdleInstances;
use super::instance::{Instance, InstanceShared, InstanceState};
use crate::capabilities::Grants;
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
    engine: Engine,
    pre: ServicePre<InstanceState>,
    config: Arc<FunctionConfig>,
    idle: Arc<IdleInstances>,
}

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
        Self {
            digest: loaded.digest,
            engine: runtime.engine.clone(),
            pre: loaded.pre,
            config,
            idle: IdleInstances::new(idle_timeout),
        }
    }

    /// Hands a request to an instance: the one that served last, whose memory is the likeliest to be in the processor's caches, or a
    /// new one. `place` is held until the guest has nothing left to do, so there are never more instances than places.
    pub async fn call(
        &self,
        request_id: Arc<str>,
        request: Request,
        place: impl Send + 'static,
    ) -> Result<Call, NoInstance> {
        let instance = match self.idle.take() {
            Some(instance) => instance,
            None => self.instantiate().await?,
        };
        Ok(Call::start(
            instance,
            request_id,
            request,
            Arc::clone(&self.idle),
            place,
        ))
    }

    async fn instantiate(&self) -> Result<Instance, NoInstance> {
        let started = Instant::now();
        let shared = InstanceShared::new(Arc::clone(&self.config));
        let instantiated = async {
            let mut store = Instance::store(&self.engine, &shared)?;
            let pre = ProxyPre::P3(self.pre.clone());
            let proxy = pre.instantiate_async(&mut store).await?;
            wasmtime::error::Ok(Instance::new(store, proxy, Arc::clone(&shared)))
        };
        let instance = shared.clock.time(instantiated).await.map_err(|error| {
            if error.is::<PoolConcurrencyLimitError>() {
                NoInstance::PoolFull
            } else {
                NoInstance::Instantiation(format!("{error:#}"))
            }
        })?;
        let metrics = &self.config.metrics;
        metrics
            .instantiation
            .observe(started.elapsed().as_secs_f64());
        Ok(instance)
    }
}

impl std::fmt::Debug for FunctionVersion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FunctionVersion")
            .field("digest", &self.digest)
            .finish_non_exhaustive()
    }
}
