//! One wasmtime engine for the process: the pooling allocator, one epoch ticker, and the linker with every capability.

use std::sync::Arc;

use anyhow::{Context, Result};
use rayon::{ThreadPool, ThreadPoolBuilder};
use rustix::process::nice;
use tracing::{debug, warn};
use wasmtime::component::Linker;
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::cache::CompiledCache;
use super::instance::InstanceState;
use crate::capabilities;
use crate::manifest::{CPU_TICK, MEMORY_RANGE};

/// Core instances, and tables, that one component may need. `wit-component` makes about four of each.
const CORE_INSTANCES_PER_COMPONENT: u32 = 10;
/// Instances for which address space is reserved, whatever the manifest says: 4096 x 4 GiB is an eighth of what x86-64 has.
const MAX_INSTANCES: u32 = 4096;

/// How much less than the serving threads those count that compile while others are served.
const COMPILING_NICENESS: i32 = 10;

/// What the engine is sized for.
#[derive(Clone, Copy, Debug)]
pub struct EngineSettings {
    /// Instances of all functions together.
    pub instances: u32,
}

/// The engine and what is shared by all functions.
#[derive(Clone)]
pub struct Runtime {
    pub(super) engine: Engine,
    pub(super) linker: Arc<Linker<InstanceState>>,
    pub(super) cache: Arc<CompiledCache>,
    instances: usize,
    /// Compiles what is to replace something that serves.
    pub(super) background: Arc<ThreadPool>,
}

// === impl Runtime ===

impl Runtime {
    pub fn new(settings: EngineSettings, cache: CompiledCache) -> Result<Self> {
        let instances = settings.instances.clamp(1, MAX_INSTANCES);
        let mut room = usize::try_from(instances)?;
        let engine = match Engine::new(&config(Some(instances))?) {
            Ok(engine) => engine,
            Err(error) => {
                // A low `ulimit -v` forbids the reservation; slower instances beat no service.
                warn!(%error, "no room for a pool of instances: allocating each on demand, which is slower");
                room = usize::MAX;
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
            background: Arc::new(background()?),
            instances: room,
        })
    }

    /// Instances that there is room for.
    pub fn instances(&self) -> usize {
        self.instances
    }
}

impl std::fmt::Debug for Runtime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runtime").finish_non_exhaustive()
    }
}

fn config(instances: Option<u32>) -> Result<Config> {
    let mut config = Config::new();
    config
        .wasm_component_model_async(true)
        .epoch_interruption(true)
        .parallel_compilation(true);
    if let Some(instances) = instances {
        let mut pooling = PoolingAllocationConfig::new();
        pooling
            .total_component_instances(instances)
            .total_core_instances(instances.saturating_mul(CORE_INSTANCES_PER_COMPONENT))
            .total_memories(instances.saturating_mul(2))
            .total_tables(instances.saturating_mul(CORE_INSTANCES_PER_COMPONENT))
            .total_stacks(instances)
            .max_memory_size(usize::try_from(*MEMORY_RANGE.end())?);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pooling));
    }
    Ok(config)
}

/// At most half of the cores, and those only while nobody who serves wants them.
fn background() -> Result<ThreadPool> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    ThreadPoolBuilder::new()
        .num_threads((cores / 2).max(1))
        .thread_name(|index| format!("compile-{index}"))
        .start_handler(|_| {
            // On Linux, that of this thread alone.
            if let Err(error) = nice(COMPILING_NICENESS) {
                debug!(%error, "compiling threads count as much as others");
            }
        })
        .build()
        .context("starting the threads that compile")
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
