//! What the end-to-end tests share: built artefacts, a host under test, and the WMS on a whole stack.
//!
//! Everything is real: PostgreSQL, PgBouncer, Prometheus, the `flowviz` binary and components compiled for wasm32-wasip2.
//! What a test starts ends with it, and by the kernel if the test is killed.

mod artifacts;
mod client;
mod cutter;
mod database;
mod host;
mod innocents;
mod probes;
mod user;
mod wms;

pub use artifacts::{Artifacts, artifacts, functions, root};
pub use client::{Answer, Held, PATIENCE, client};
pub use cutter::Cutter;
pub use database::Database;
pub use host::{Host, HostOptions, Metrics};
pub use innocents::Innocents;
pub use probes::probes;
pub use user::{Reply, User, segment};
pub use wms::{Wms, demo_password, jwt_secret, migrate};
