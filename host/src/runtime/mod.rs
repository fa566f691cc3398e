//! Runs components: the engine, one loaded version of a function, its instances and their limits.
//!
//! What a limit ends is one request: the instance that broke it is thrown away, the request gets a problem, and no other request
//! notices (an instance serves one request at a time unless `instance_reuse.max_concurrent` says otherwise).

mod cache;
mod clock;
mod component;
mod engine;
mod instance;
mod limits;
mod ticket;
mod worker;

pub use cache::CompiledCache;
pub use engine::{EngineSettings, Runtime};
pub use instance::{FunctionConfig, FunctionVersion, HandleError, InstanceState};
pub use ticket::{Failure, Ticket};
pub use worker::WorkerShared;
