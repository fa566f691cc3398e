//! The manifest: the text of a stock Spin manifest (version 2) in, a typed [`App`] or pointed errors out.
//!
//! Every error says what, where (file, line, key) and how to mend it, and all that are found come at once. A key that we don't
//! know or don't support is an error, never skipped. Only [`load`] and [`check_files`] touch the disk.

mod app;
mod component;
mod disk;
mod document;
mod error;
mod hosts;
mod inputs;
mod limits;
mod methods;
mod metrics;
mod origins;
mod pool;
mod rates;
mod reader;
mod routes;
mod secret;
mod settings;
mod suggest;
#[cfg(test)]
mod tests;
mod trigger;
mod units;
mod variables;

pub use app::{App, AppSettings, FileMount, FileMountKind, Function, FunctionId, Identity};
pub use disk::{check_files, load, load_builds};
pub use hosts::AllowedHosts;
pub use inputs::Inputs;
pub use limits::{CPU_TICK, Limits, MEMORY_RANGE};
pub use methods::include;
#[cfg(test)]
pub use metrics::MetricLabel;
pub use metrics::{MetricDeclaration, MetricKind};
pub use origins::AllowedOrigins;
pub use pool::PoolSettings;
pub use rates::{Per, RateLimit};
pub use routes::{RouteMatch, Router};
pub use secret::Secret;
pub use units::parse_size;
