//! FlowViz's host: runs an application's functions, which are WASI components, behind HTTP.
//!
//! A request's way: `gateway` -> `deploy` (which version is live) -> `runtime` (an instance) -> the component -> `capabilities` ->
//! `database` -> PgBouncer. `telemetry` observes at the gateway and at the database.

mod admin;
mod audit;
mod capabilities;
mod cli;
mod database;
mod deploy;
mod gateway;
mod manifest;
mod migrate;
mod problem;
mod runtime;
mod telemetry;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
