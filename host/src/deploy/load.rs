//! From a checked manifest to functions that serve: compiled in parallel, linked, and with their metrics at 0.
//!
//! When the manifest is read again, what it says as before stays as it is: a function keeps its instances, its places and its rates.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use http::{Method, StatusCode};
use tracing::info;

use super::functions::{Functions, LiveFunction, LiveRoute, ScheduledFunction};
use crate::capabilities::Grants;
use crate::capabilities::files::MountedFiles;
use crate::database::Pools;
use crate::gateway::{Cors, RateLimits, RouteHeaders};
use crate::manifest::{App, Function, FunctionId, Router};
use crate::runtime::{Digest, EngineSettings, FunctionConfig, FunctionVersion, Loaded, Runtime};
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

/// Components that are to serve in place of the manifest's.
pub type Deployed = BTreeMap<FunctionId, (Digest, PathBuf)>;

/// An app that is ready to be published.
#[derive(Debug)]
pub struct Next {
    pub functions: Arc<Functions>,
    pub changes: Vec<(FunctionId, Change)>,
}

/// What publishing does to one function.
#[derive(Debug)]
pub enum Change {
    None,
    /// It stays, with another component.
    Version(Arc<LiveFunction>, Arc<FunctionVersion>),
    /// It says something else, or wasn't there.
    New(Arc<LiveFunction>),
}

/// What the engine must have room for: now, and when the manifest is read again. The room is address space, not memory.
pub fn engine_settings(app: &App) -> EngineSettings {
    EngineSettings {
        instances: u32::try_from(2 * instances(app)).unwrap_or(u32::MAX),
    }
}

/// Instances that there may be at a time.
fn instances(app: &App) -> usize {
    let functions = app.functions.iter();
    let places: usize = functions
        .map(|function| function.limits.max_concurrency)
        .sum();
    places + SPARE_INSTANCES
}

// === impl Loader ===

impl Loader {
    /// Loads the whole app. All components' faults come in one error.
    pub async fn load(&self, app: &Arc<App>, deployed: &Deployed) -> Result<Arc<Functions>> {
        let started = Instant::now();
        let next = self.next(app, deployed, None).await?;
        for function in next.functions.all() {
            function.version().publish();
        }
        let live = next.functions.all().iter();
        let compiled = live.filter(|function| function.version().loaded.compiled_in.is_some());
        info!(
            functions = next.functions.all().len(),
            compiled = compiled.count(),
            // An integer that JSON has: of 64 bits.
            ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
            "functions loaded"
        );
        Ok(next.functions)
    }

    /// Loads what of the app differs from what is live.
    pub async fn next(
        &self,
        app: &Arc<App>,
        deployed: &Deployed,
        live: Option<(&App, &Functions)>,
    ) -> Result<Next> {
        if let Some((before, _)) = live {
            let (room, wanted) = (self.runtime.instances(), instances(app));
            ensure!(
                wanted <= room.max(instances(before)),
                "the functions' `max_concurrency` add up to more than this process has reserved room for ({}): restart it",
                room.saturating_sub(SPARE_INSTANCES),
            );
        }
        let tasks: Vec<_> = app
            .functions
            .iter()
            .map(|function| {
                let (loader, app, function) = (self.clone(), Arc::clone(app), function.clone());
                let deployed = deployed.get(&function.id).cloned();
                // Under another secret, other users are the same.
                let before = live
                    .filter(|(before, _)| before.settings.identity == app.settings.identity)
                    .and_then(|(_, live)| live.get(function.id.as_ref()))
                    .cloned();
                let serving = live.is_some();
                tokio::task::spawn_blocking(move || {
                    let load = || loader.change(&app, &function, deployed, before);
                    if serving {
                        loader.runtime.in_background(load)
                    } else {
                        load()
                    }
                })
            })
            .collect();

        let mut functions = Vec::with_capacity(tasks.len());
        let mut changes = Vec::with_capacity(tasks.len());
        let mut faults = Vec::new();
        for task in tasks {
            match task.await.context("loading a function")? {
                Ok((function, change)) => {
                    changes.push((function.config.id.clone(), change));
                    functions.push(function);
                }
                Err(fault) => faults.push(format!("{fault:#}")),
            }
        }
        if !faults.is_empty() {
            bail!("{}", faults.join("\n"));
        }
        let functions = self.route(app, functions, live.map(|(_, live)| live))?;
        Ok(Next {
            functions: Arc::new(functions),
            changes,
        })
    }

    fn change(
        &self,
        app: &App,
        function: &Function,
        deployed: Option<(Digest, PathBuf)>,
        before: Option<Arc<LiveFunction>>,
    ) -> Result<(Arc<LiveFunction>, Change)> {
        // What is in mounted files isn't known before they are mounted.
        let before = before
            .filter(|before| before.declared.means_the_same(function) && function.files.is_empty());
        let place = || {
            let (file, line) = (app.file.display(), function.source_line);
            format!("{file}:{line}: [component.{}]", function.id)
        };
        if let Some(before) = &before
            && self.is_live(before, deployed.as_ref())
        {
            return Ok((Arc::clone(before), Change::None));
        }
        let loaded = match &deployed {
            Some((digest, path)) => self.load_deployed(digest, path),
            None => self
                .runtime
                .load(&function.source)
                .map_err(anyhow::Error::from),
        };
        let loaded = loaded.with_context(place)?;
        if let Some(before) = before {
            let version = self.version(loaded, &before.config);
            return Ok((Arc::clone(&before), Change::Version(before, version)));
        }
        let function = self.function(app, function, loaded).with_context(place)?;
        let function = Arc::new(function);
        Ok((Arc::clone(&function), Change::New(function)))
    }

    /// Whether what is to serve serves already.
    fn is_live(&self, function: &LiveFunction, deployed: Option<&(Digest, PathBuf)>) -> bool {
        let version = function.version();
        match deployed {
            Some((digest, _)) => version.digest() == digest,
            None => std::fs::read(&function.declared.source)
                .is_ok_and(|bytes| Digest::of(&bytes) == *version.digest()),
        }
    }

    /// A component that the host keeps itself.
    fn load_deployed(&self, digest: &Digest, path: &std::path::Path) -> Result<Loaded> {
        const FRESH: &str =
            "`flowviz up --fresh` forgets what was deployed, and serves the manifest's files";
        let loaded = self.runtime.load_stored(path, path).context(FRESH)?;
        ensure!(
            loaded.digest == *digest,
            "{FRESH}: {} is damaged: it isn't the component that was deployed",
            path.display()
        );
        Ok(loaded)
    }

    /// A version of a function as it is configured.
    pub fn version(&self, loaded: Loaded, config: &Arc<FunctionConfig>) -> Arc<FunctionVersion> {
        Arc::new(FunctionVersion::new(
            &self.runtime,
            loaded,
            Arc::clone(config),
        ))
    }

    fn function(&self, app: &App, function: &Function, loaded: Loaded) -> Result<LiveFunction> {
        let id = &function.id;
        let files = MountedFiles::stage(&app.root, &function.files, &function.exclude_files)?;
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
            versions: self.telemetry.runtime.versions(id.as_ref()),
        });
        self.telemetry.deploy.start_at_zero(id.as_ref());
        let version = FunctionVersion::new(&self.runtime, loaded, Arc::clone(&config));
        let rates = RateLimits::new(&function.rate_limits, app.settings.identity.as_ref())?;
        LiveFunction::new(function.clone(), config, version, rates)
    }

    fn route(
        &self,
        app: &App,
        functions: Vec<Arc<LiveFunction>>,
        live: Option<&Functions>,
    ) -> Result<Functions> {
        let find = |id: &FunctionId| {
            let found = functions.iter().find(|function| function.config.id == *id);
            found.with_context(|| format!("no component `{id}`"))
        };
        let mut routes = Vec::with_capacity(app.routes.len());
        for route in &app.routes {
            let function = find(&route.function)?;
            let methods = function
                .declared
                .methods
                .as_deref()
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
        for function in &functions {
            scheduled.extend(self.schedule(function, live)?);
        }
        let router = match Router::new(&app.routes) {
            Ok(router) => router,
            Err(duplicates) => bail!("{duplicates:?}"),
        };
        let functions = Functions {
            router,
            routes,
            functions,
            scheduled,
            unmatched: self.telemetry.red.for_route(NONE, NONE, &[])?,
            cors: app.settings.cors_origins.clone().map(Cors::new),
        };
        check_probes(app, &functions)?;
        Ok(functions)
    }

    /// `None`: the host doesn't call it by itself. One that is live already keeps its turns.
    fn schedule(
        &self,
        function: &Arc<LiveFunction>,
        live: Option<&Functions>,
    ) -> Result<Option<Arc<ScheduledFunction>>> {
        let Some(every) = function.declared.every else {
            return Ok(None);
        };
        let mut before = live.iter().flat_map(|live| live.scheduled());
        if let Some(before) = before.find(|one| Arc::ptr_eq(&one.function, function)) {
            return Ok(Some(Arc::clone(before)));
        }
        let id = function.config.id.as_ref();
        let red = &self.telemetry.red;
        let metrics = red.for_route(id, PRIVATE, &[Method::GET])?;
        let scheduled = ScheduledFunction::new(Arc::clone(function), metrics, every)?;
        Ok(Some(Arc::new(scheduled)))
    }
}

/// Each probe's path leads to the function that it is for.
fn check_probes(app: &App, functions: &Functions) -> Result<()> {
    for function in functions.all() {
        let Some(path) = &function.declared.probe else {
            continue;
        };
        let found = functions.find(path.split('?').next().unwrap_or_default());
        ensure!(
            found.is_some_and(|(route, _)| Arc::ptr_eq(&route.function, function)),
            "{}: [component.{}.tool.flowviz] probe: `{path}` is no route of this component; name one that a `[[trigger.http]]` of it has",
            app.file.display(),
            function.config.id,
        );
    }
    Ok(())
}
