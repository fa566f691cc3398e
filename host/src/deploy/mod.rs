//! Which version of each function is live, and which route leads to it.

mod functions;
mod load;

pub use functions::{Functions, LiveFunction, ScheduledFunction};
pub use load::{Loader, engine_settings};
