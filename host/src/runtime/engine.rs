//! One wasmtime engine for the process: the pooling allocator, one epoch ticker, and the linker with every capability.

use std::sync::Arc;

use anyhow::{Context, Result};
use tracing::warn;
use wasmtime::component::Linker;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::cache::CompiledCache;
use super::instance::InstanceState;
use crate::capabilities;
use crate::manifest::CPU_TICK;

/// Core instances, and tables, that one component may need. `wit-component` makes about four of each.
const CORE_INSTANCES_PER_COMPONENT: u32 = 10;
/// Instances for which address space is reserved, whatever the manifest says: 4096 x 4 GiB is an eighth of what x86-64 has.
const MAX_INSTANCES: u32 = 4096;

/// What the engine is sized for.
#[derive(Clone, Copy, Debug)]
pub struct EngineSettings {
    /// Instances of all functions together.
    pub instances: u32,
    /// Bytes: the largest `memory_limit` of any function.
    pub max_memory: u64,
}

/// The engine and what is shared by all functions.
#[derive(Clone)]
pub struct Runtime {
    pub(super) engine: Engine,
    pub(super) linker: Arc<Linker<InstanceState>>,
    pub(super) cache: Arc<CompiledCache>,
}

// === impl Runtime ===

impl Runtime {
    pub fn new(settings: EngineSettings, cache: CompiledCache) -> Result<Self> {
        let engine = match Engine::new(&config(Some(settings))?) {
            Ok(engine) => engine,
            Err(error) => {
                // A low `ulimit -v` forbids the reservation; slower instances beat no service.
                warn!(%error, "no room for a pool of instances: allocating each on demand, which is slower");
                Engine::new(&config(None)?)?
            }
        };
        let mut linker = Linker::new(&engine);
        capabilities::add_to_linker(&mut linker)?;
        start_ticker(&engine)?;
        Ok(Self {
            engine,
            linker: Arc::new(linker),
            cache: Arc::new(cache),
        })
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").finish_non_exhaustive()
    }
}

fn config(pool: Option<EngineSettings>) -> Result<Config> {
    let mut config = Config::new();
    config
        .wasm_component_model_async(true)
        .epoch_interruption(true)
        .parallel_compilation(true);
    if let Some(settings) = pool {
        let instances = settings.instances.clamp(1, MAX_INSTANCES);
        let mut pooling = PoolingAllocationConfig::new();
        pooling
            .total_component_instances(instances)
            .total_core_instances(instances.saturating_mul(CORE_INSTANCES_PER_COMPONENT))
            .total_memories(instances.saturating_mul(2))
            .total_tables(instances.saturating_mul(CORE_INSTANCES_PER_COMPONENT))
            .total_stacks(instances)
            .max_memory_size(usize::try_from(settings.max_memory)?);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling));
    }
    Ok(config)
}

/// A running guest is asked at each tick whether it may go on, and lets others run: the tick is the unit of `cpu_limit`, and the
/// longest that a busy guest keeps a thread. One ticker for the process: a timer per request would cost more than most requests.
fn start_ticker(engine: &Engine) -> Result<()> {
    let engine = engine.weak();
    std::thread::Builder::new()
        .name("epoch-ticker".to_owned())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(CPU_TICK);
            }
        })
        .context("starting the epoch ticker")?;
    Ok(())
}
