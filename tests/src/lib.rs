//! What the end-to-end tests share: built artefacts, a host under test, and the WMS on a whole stack.
//!
//! Everything is real: PostgreSQL, PgBouncer, Prometheus, the `flowviz` binary and components compiled for wasm32-wasip2.
//! What a test starts ends with it, and by the kernel if the test is killed.

mod admin;
mod artifacts;
mod client;
mod database;
mod fault_table;
mod foreign;
mod foreign_app;
mod host;
mod innocents;
mod leaks;
mod load;
mod network;
mod probes;
pub mod prometheus;
mod promtool;
mod readyz;
mod sinks;
pub mod spin;
mod tls;
mod trial;
mod user;
mod versions;
mod wms;

pub use artifacts::{Artifacts, artifacts, functions, root};
pub use client::{Answer, Held, PATIENCE, client};
pub use database::{Database, connect};
pub use fault_table::FaultReport;
pub use foreign::{Language, spin_wit};
pub use foreign_app::ForeignApp;
pub use host::{ADMIN_TOKEN, Host, HostOptions, Metrics};
pub use innocents::Innocents;
pub use leaks::nothing_leaks;
pub use load::{Kind, Load, Outcome, Tally, refusal};
pub use network::{Network, Way, Weather};
pub use probes::{probes, wms_and_probes};
pub use promtool::promtool_accepts;
pub use readyz::ReadyWatch;
pub use sinks::{MailSink, WebSink};
pub use tls::tls_acceptor;
pub use trial::Trial;
pub use user::{Reply, User, segment};
pub use versions::{Component, FIRST};
pub use wms::{Wms, demo_password, jwt_secret, migrate};
