//! Our host beside a native server that does the same work, on the real stack: `make bench`.
//!
//! Both are release builds, behind the same PgBouncer with production's configuration. Before anything is timed they have to give
//! the same answers to the same requests ([`same`]). What is measured, and how, is told in docs/performance.md.

pub mod cases;
pub mod cli;
pub mod environment;
pub mod figures;
pub mod load;
pub mod manifest;
pub mod measure;
pub mod native;
pub mod plant;
pub mod process;
pub mod profile;
pub mod report;
pub mod rounds;
pub mod same;
pub mod server;
pub mod telemetry;
