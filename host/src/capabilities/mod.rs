//! What a component may import, and how much of it the manifest grants.
//!
//! A capability's life has three steps: it is linked once for the process ([`add_to_linker`]), prepared once for a function
//! ([`Grants`]), and made anew for each instance.

mod config;
pub mod files;
pub mod http;
pub mod key_value;
mod metrics;
pub mod postgres;
mod stdio;
mod variables;

/// Generated from WIT by build.rs.
pub mod bindings {
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
}

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use wasmtime::component::{HasData, Linker};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

pub use http::OutboundHttp;
pub use key_value::KeyValueFile;
pub use postgres::PostgresCtx;

use crate::database::{Pools, Share};
use crate::manifest::{AllowedHosts, Secret};
use crate::runtime::{InstanceShared, InstanceState};
use crate::telemetry::business::FunctionBusinessMetrics;
use crate::telemetry::database::FunctionDatabaseMetrics;
use files::MountedFiles;

/// What the manifest grants to one function.
#[derive(Debug)]
pub struct Grants {
    pub variables: BTreeMap<String, Secret>,
    pub environment: Vec<(String, Secret)>,
    pub files: Option<MountedFiles>,
    pub allowed_hosts: Arc<AllowedHosts>,
    pub pools: Arc<Pools>,
    /// The function's part of them.
    pub share: Arc<Share>,
    /// `None`: it isn't granted.
    pub key_value: Option<key_value::Store>,
    pub database_metrics: FunctionDatabaseMetrics,
    pub business_metrics: FunctionBusinessMetrics,
}

/// The instance's state, as what [`variables`] and [`metrics`] implement their interfaces for.
struct Granted;

impl HasData for Granted {
    type Data<'a> = &'a mut InstanceState;
}

/// Links every capability. Whether a function may use one is decided by its [`Grants`] when it tries.
pub fn add_to_linker(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi::p3::add_to_linker(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)?;
    wasmtime_wasi_http::p3::add_to_linker(linker)?;
    postgres::add_to_linker(linker, InstanceState::postgres)?;
    key_value::add_to_linker(linker, InstanceState::key_value)?;
    bindings::spin::variables::variables::add_to_linker::<_, Granted>(linker, |state| state)?;
    bindings::flowviz::metrics::metrics::add_to_linker::<_, Granted>(linker, |state| state)?;
    let older = bindings::older::fermyon::spin::variables::add_to_linker::<_, Granted>;
    older(linker, |state| state)?;
    bindings::older::wasi::config::store::add_to_linker::<_, Granted>(linker, |state| state)?;
    Ok(())
}

// === impl Grants ===

impl Grants {
    /// WASI for one instance: environment, files, and standard output and error that end in the log. No network.
    pub fn wasi(&self, instance: &Arc<InstanceShared>) -> wasmtime::Result<WasiCtx> {
        let mut wasi = WasiCtx::builder();
        for (name, value) in &self.environment {
            wasi.env(name, value.expose());
        }
        wasi.stdout(stdio::LogStream::new(instance, "stdout"));
        wasi.stderr(stdio::LogStream::new(instance, "stderr"));
        if let Some(files) = &self.files {
            wasi.preopened_dir(files.path(), "/", FsPerms::ReadOnly)?;
        }
        Ok(wasi.build())
    }

    pub fn postgres(&self, timeout: Duration, failed: Arc<AtomicBool>) -> PostgresCtx {
        PostgresCtx::new(
            Arc::clone(&self.pools),
            Arc::clone(&self.share),
            Arc::clone(&self.allowed_hosts),
            timeout,
            self.database_metrics.clone(),
            failed,
        )
    }
}

// === impl InstanceState ===

impl InstanceState {
    fn postgres(&mut self) -> postgres::PostgresView<'_> {
        postgres::PostgresView {
            ctx: &mut self.postgres,
            table: &mut self.table,
        }
    }

    fn key_value(&mut self) -> key_value::KeyValueView<'_> {
        key_value::KeyValueView {
            store: self.config.grants.key_value.as_ref(),
            table: &mut self.table,
        }
    }
}

impl WasiView for InstanceState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl WasiHttpView for InstanceState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView {
            hooks: &mut self.outbound_http,
            table: &mut self.table,
            ctx: &mut self.http,
        }
    }
}
