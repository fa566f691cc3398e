//! What is told of functions and their versions: the admin API's documents.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};

use super::deployer::Deployer;
use super::functions::{Functions, LiveFunction};
use super::history::{LastError, Origin, Version};
use crate::manifest::FunctionId;
use crate::runtime::{Digest, Loaded};

/// `GET /functions`
#[derive(Debug, Serialize)]
pub struct FunctionList {
    pub functions: Vec<FunctionReport>,
}

/// `GET /functions/{id}`
#[derive(Debug, Serialize)]
pub struct FunctionReport {
    id: String,
    description: Option<String>,
    routes: Vec<String>,
    source: String,
    live: VersionReport,
    in_flight: usize,
    draining: Vec<Draining>,
    versions: Vec<VersionReport>,
    last_error: Option<LastErrorReport>,
}

#[derive(Debug, Serialize)]
struct VersionReport {
    version: String,
    digest: Digest,
    size: u64,
    state: &'static str,
    origin: Origin,
    by: String,
    #[serde(serialize_with = "rfc3339")]
    at: DateTime<Utc>,
}

#[derive(Debug, Serialize)]
struct Draining {
    version: String,
    digest: Digest,
    #[serde(serialize_with = "rfc3339")]
    since: DateTime<Utc>,
    in_flight: usize,
}

#[derive(Debug, Serialize)]
struct LastErrorReport {
    #[serde(serialize_with = "rfc3339")]
    at: DateTime<Utc>,
    r#type: &'static str,
    detail: String,
}

/// What a deployment or a rollback did.
#[derive(Debug, Serialize)]
pub struct Outcome {
    function: String,
    live: VersionReport,
    previous: Option<VersionReport>,
    pub unchanged: bool,
    ms: Steps,
    compiled: Compiled,
}

/// How long each step took, in milliseconds.
#[derive(Debug, Default, Serialize)]
pub struct Steps {
    receive: f64,
    compile: f64,
    check: f64,
    probe: Option<f64>,
    publish: f64,
}

/// Where the compiled form came from.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Compiled {
    Cache,
    Compiler,
}

/// What reading the manifest again did.
#[derive(Debug, Serialize)]
pub struct Reloaded {
    pub functions: ReloadedFunctions,
    pub routes: usize,
    pub warnings: Vec<String>,
}

#[derive(Debug, Default, Serialize)]
pub struct ReloadedFunctions {
    pub added: Vec<String>,
    pub removed: Vec<String>,
    pub changed: Vec<String>,
    pub unchanged: usize,
}

// === impl Deployer ===

impl Deployer {
    pub fn list(&self) -> FunctionList {
        let functions = self.live.functions();
        let reports = functions.all().iter();
        FunctionList {
            functions: reports
                .map(|function| self.report(&functions, function))
                .collect(),
        }
    }

    /// `None`: there is no such function.
    pub fn show(&self, id: &str) -> Option<FunctionReport> {
        let functions = self.live.functions();
        let function = functions.get(id)?;
        Some(self.report(&functions, function))
    }

    fn report(&self, functions: &Functions, function: &LiveFunction) -> FunctionReport {
        let records = self.records();
        let history = records
            .get(&function.config.id)
            .map(|record| &record.history);
        let version = function.version();
        let live = *version.digest();
        let draining: Vec<_> = history
            .into_iter()
            .flat_map(|history| history.draining())
            .map(|(since, version)| Draining {
                version: version.digest().short(),
                digest: *version.digest(),
                since,
                in_flight: version.in_flight(),
            })
            .collect();
        let state = |version: &Version| {
            let drains = draining
                .iter()
                .any(|draining| draining.digest == version.digest);
            match version.digest == live {
                true => "live",
                false if drains => "draining",
                false => "kept",
            }
        };
        let versions: Vec<_> = history.map_or_else(Vec::new, |history| {
            let versions = history.versions().iter();
            versions
                .map(|version| VersionReport::new(version.clone(), state(version)))
                .collect()
        });
        let served = history
            .and_then(|history| history.versions().first().cloned())
            .unwrap_or_else(|| super::deployer::manifests(function));
        FunctionReport {
            id: function.config.id.to_string(),
            description: function.declared.description.clone(),
            routes: functions.routes_of(function).map(str::to_owned).collect(),
            source: function.declared.source.display().to_string(),
            live: VersionReport::new(served, "live"),
            in_flight: version.in_flight(),
            draining,
            versions,
            last_error: history
                .and_then(|history| history.last_error.clone())
                .map(LastErrorReport::from),
        }
    }
}

// === impl Outcome ===

impl Outcome {
    pub(super) fn new(
        function: &FunctionId,
        live: Version,
        previous: Option<Version>,
        unchanged: bool,
        ms: Steps,
        compiled: Compiled,
    ) -> Self {
        Self {
            function: function.to_string(),
            live: VersionReport::new(live, "live"),
            previous: previous.map(|version| VersionReport::new(version, "kept")),
            unchanged,
            ms,
            compiled,
        }
    }
}

// === impl Steps ===

impl Steps {
    pub(super) fn of(
        receive: Duration,
        compile: Duration,
        check: Duration,
        probe: Option<Duration>,
        publish: Duration,
    ) -> Self {
        Self {
            receive: ms(receive),
            compile: ms(compile),
            check: ms(check),
            probe: probe.map(ms),
            publish: ms(publish),
        }
    }

    /// Nothing else was to be done.
    pub(super) fn received(receive: Duration) -> Self {
        Self {
            receive: ms(receive),
            ..Self::default()
        }
    }
}

/// Milliseconds, to the microsecond.
fn ms(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}

// === impl Compiled ===

impl Compiled {
    pub(super) fn of(loaded: &Loaded) -> Self {
        match loaded.compiled_in {
            Some(_) => Self::Compiler,
            None => Self::Cache,
        }
    }
}

// === impl VersionReport ===

impl VersionReport {
    fn new(version: Version, state: &'static str) -> Self {
        let Version {
            digest,
            size,
            origin,
            by,
            at,
        } = version;
        Self {
            version: digest.short(),
            digest,
            size,
            state,
            origin,
            by,
            at,
        }
    }
}

impl From<LastError> for LastErrorReport {
    fn from(error: LastError) -> Self {
        Self {
            at: error.at,
            r#type: error.r#type,
            detail: error.detail,
        }
    }
}

fn rfc3339<S: Serializer>(at: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&at.to_rfc3339_opts(SecondsFormat::Millis, true))
}
