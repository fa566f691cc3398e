//! Runs components: the engine, one loaded version of a function, its instances and their limits.
//!
//! What a limit ends is one request: the instance that broke it is thrown away, the request gets a problem, and no other request
//! notices, since an instance serves one request at a time.

mod cache;
mod call;
mod clock;
mod component;
mod engine;
mod idle;
mod instance;
mod limits;
mod version;

pub use cache::CompiledCache;
pub use call::{Call, Failure, HandleError};
pub use component::{Digest, Loaded};
pub use engine::{EngineSettings, Runtime};
pub use instance::{InstanceShared, InstanceState};
pub use version::{FunctionConfig, FunctionVersion, NoInstance};
