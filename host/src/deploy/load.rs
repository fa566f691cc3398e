//! From a checked manifest to functions that serve: compiled in parallel, linked, and with their metrics at 0.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use http::{Method, StatusCode};
use tracing::info;

use super::functions::{Functions, LiveFunction, LiveRoute, ScheduledFunction};
use crate::capabilities::Grants;
use crate::capabilities::files::MountedFiles;
use crate::database::Pools;
use crate::gateway::{RateLimits, RouteHeaders};
use crate::manifest::{App, Function, FunctionId, Router};
use crate::runtime::{EngineSettings, FunctionConfig, FunctionVersion, Runtime};
use crate::telemetry::Telemetry;
use crate::telemetry::red::{NONE, PRIVATE};

/// Methods whose series exist from the start where the manifest doesn't say which ones a function takes.
const USUAL_METHODS: [Method; 1] = [Method::GET];

/// Instances beyond the sum of all `max_concurrency`: those that end while their successors start.
const SPARE_INSTANCES: usize = 64;

/// What loading a function takes.
#[derive(Clone, Debug)]
pub struct Loader {
    pub runtime: Runtime,
    pub telemetry: Arc<Telemetry>,
    pub pools: Arc<Pools>,
}

/// What the engine must have room for.
pub fn engine_settings(app: &App) -> EngineSettings {
    let limits = || app.functions.iter().map(|function| &function.limits);
    let instances: usize = limits().map(|limits| limits.max_concurrency).sum();
    EngineSettings {
        instances: u32::try_from(instances + SPARE_INSTANCES).unwrap_or(u32::MAX),
        max_memory: limits()
            .map(|limits| limits.memory)
            .max()
            .unwrap_or_default(),
    }
}

// === impl Loader ===

impl Loader {
    /// Loads the whole app. All components' faults come in one error.
    pub async fn load(&self, app: &App) -> Result<Functions> {
        let started = Instant::now();
        let tasks: Vec<_> = app
            .functions
            .iter()
            .map(|function| {
                let loader = self.clone();
                let (function, app) = (function.clone(), app.clone());
                tokio::task::spawn_blocking(move || loader.load_function(&app, &function))
            })
            .collect();

        let mut live = Vec::with_capacity(tasks.len());
        let mut faults = Vec::new();
        let mut compiled = 0;
        for task in tasks {
            match task.await.context("loading a function")? {
                Ok((function, was_compiled)) => {
                    compiled += usize::from(was_compiled);
                    live.push(function);
                }
                Err(fault) => faults.push(format!("{fault:#}")),
            }
        }
        if !faults.is_empty() {
            bail!("{}", faults.join("\n"));
        }
        info!(
            functions = live.len(),
            compiled,
            // An integer that JSON has: of 64 bits.
            ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "functions loaded"
        );
        self.route(app, &live)
    }

    fn load_function(&self, app: &App, function: &Function) -> Result<(Arc<LiveFunction>, bool)> {
        let id = &function.id;
        let place = || {
            format!(
                "{}:{}: [component.{id}]",
                app.file.display(),
                function.source_line
            )
        };
        let loaded = self.runtime.load(&function.source).with_context(place)?;
        let files = MountedFiles::stage(&app.root, &function.files, &function.exclude_files)
            .with_context(place)?;
        let compiled_in = loaded.compiled_in;
        let config = Arc::new(FunctionConfig {
            id: id.clone(),
            limits: function.limits,
            grants: Grants {
                variables: function.variables.clone(),
                environment: function.environment.clone(),
                files,
                allowed_hosts: Arc::new(function.allowed_hosts.clone()),
                share: Arc::new(self.pools.share(&function.limits)),
                pools: Arc::clone(&self.pools),
                database_metrics: self.telemetry.database.for_function(id),
                business_metrics: self
                    .telemetry
                    .business
                    .for_function(id, &function.metrics)?,
            },
            metrics: self.telemetry.runtime.for_function(id.as_ref())?,
        });
        let version = FunctionVersion::new(&self.runtime, loaded, Arc::clone(&config));
        self.telemetry
            .runtime
            .live(id.as_ref(), &version.digest.short());
        let rates = RateLimits::new(&function.rate_limits, app.settings.identity.as_ref())?;
        let live = LiveFunction::new(config, version, function.methods.clone(), rates)?;
        Ok((Arc::new(live), compiled_in.is_some()))
    }

    fn route(&self, app: &App, live: &[Arc<LiveFunction>]) -> Result<Functions> {
        let find = |id: &FunctionId| {
            live.iter()
                .find(|live| live.config.id == *id)
                .with_context(|| format!("no component `{id}`"))
        };
        let mut routes = Vec::with_capacity(app.routes.len());
        for route in &app.routes {
            let function = find(&route.function)?;
            let methods = app
                .functions
                .iter()
                .find(|function| function.id == route.function)
                .and_then(|function| function.methods.as_deref())
                .unwrap_or(&USUAL_METHODS);
            let template = route.pattern.template();
            let metrics =
                self.telemetry
                    .red
                    .for_route(route.function.as_ref(), template, methods)?;
            if function.rates.is_some() {
                for method in methods {
                    metrics.start_at_zero(method, StatusCode::TOO_MANY_REQUESTS);
                }
            }
            if app.settings.cors_origins.is_some() {
                // Preflights.
                metrics.start_at_zero(&Method::OPTIONS, StatusCode::NO_CONTENT);
            }
            routes.push(LiveRoute {
                function: Arc::clone(function),
                metrics,
                headers: RouteHeaders::new(template)?,
            });
        }
        let mut scheduled = Vec::new();
        for function in &app.functions {
            let Some(every) = function.every else {
                continue;
            };
            let id = &function.id;
            let metrics = self
                .telemetry
                .red
                .for_route(id.as_ref(), PRIVATE, &[Method::GET])?;
            let scheduled_function = ScheduledFunction::new(Arc::clone(find(id)?), metrics, every)?;
            scheduled.push(Arc::new(scheduled_function));
        }
        let router = match Router::new(&app.routes) {
            Ok(router) => router,
            Err(duplicates) => bail!("{duplicates:?}"),
        };
        let unmatched = self.telemetry.red.for_route(NONE, NONE, &[])?;
        Ok(Functions::new(router, routes, scheduled, unmatched))
    }
}
