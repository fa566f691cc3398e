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
mod metrics;
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

pub use app::{
    App, AppSettings, BadFunctionId, Build, FileMount, FileMountKind, Function, FunctionId, Route,
};
pub use disk::{check_files, load, load_builds};
pub use error::{Finding, ManifestErrors};
pub use hosts::AllowedHosts;
pub use inputs::{Inputs, VARIABLE_PREFIX};
pub use limits::{CPU_TICK, InstanceReuse, Limits};
pub use metrics::{MetricDeclaration, MetricKind, MetricLabel};
pub use reader::{build_commands, parse};
pub use routes::{BadRoute, DuplicateRoute, RouteMatch, RoutePattern, Router};
pub use secret::Secret;
