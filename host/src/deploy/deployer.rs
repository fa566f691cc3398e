//! Puts new versions of functions in place of the live ones, and back.
//!
//! A version's way: *candidate* (a file with its digest), *checked* (compiled, linked, instantiated once, probed), *live* (published by
//! one store), *draining* (it ends the requests that it has), *gone*. Nothing is published that isn't saved, and publishing can't fail:
//! whatever goes wrong before it leaves what was live as it was.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use tempfile::NamedTempFile;
use tokio::sync::{OwnedMutexGuard, RwLock, RwLockReadGuard};
use tokio::task::block_in_place;
use tracing::{info, warn};

use super::error::DeployError;
use super::functions::{Functions, Live, LiveFunction};
use super::history::{History, LastError, Origin, Version};
use super::load::{Deployed, Loader};
use super::report::{Compiled, Outcome, Steps};
use super::state::{Saved, StateDir};
use crate::gateway::probe;
use crate::manifest::{App, FunctionId};
use crate::runtime::{Digest, FunctionVersion, Loaded};
use crate::telemetry::deploy::Swap;

/// Reads the manifest again.
pub type ReadApp = Box<dyn Fn() -> anyhow::Result<App> + Send + Sync>;

/// Who has a version go live, and how.
#[derive(Clone, Debug)]
pub struct By {
    pub origin: Origin,
    pub name: String,
}

/// A component that is to serve.
#[derive(Debug)]
pub struct Candidate {
    pub file: NamedTempFile,
    pub digest: Digest,
    /// When its last byte was there.
    pub complete: Instant,
    /// How long it took to come.
    pub received_in: Duration,
}

pub struct Deployer {
    pub(super) loader: Loader,
    pub(super) live: Arc<Live>,
    pub(super) app: ArcSwap<App>,
    pub(super) state: StateDir,
    pub(super) read_app: ReadApp,
    pub(super) records: Mutex<BTreeMap<FunctionId, Record>>,
    /// Swaps share it; a reload has it alone.
    pub(super) reloading: RwLock<()>,
}

#[derive(Debug)]
pub(super) struct Record {
    pub history: History,
    /// Held by the swap under way.
    busy: Arc<tokio::sync::Mutex<()>>,
}

/// The right to swap one function.
struct Turn<'a> {
    _reloading: RwLockReadGuard<'a, ()>,
    _busy: OwnedMutexGuard<()>,
}

/// A candidate that may serve.
struct Checked {
    version: Arc<FunctionVersion>,
    compile: Duration,
    check: Duration,
    probe: Option<Duration>,
}

// === impl Deployer ===

impl Deployer {
    /// Loads the app, with what was deployed before in place of the manifest's files.
    pub async fn start(
        loader: Loader,
        app: App,
        state: StateDir,
        mut saved: Saved,
        read_app: ReadApp,
    ) -> anyhow::Result<Arc<Self>> {
        let app = Arc::new(app);
        saved.retain(|id, _| {
            let known = app
                .functions
                .iter()
                .any(|function| function.id.as_ref() == id);
            if !known {
                info!(
                    function = id,
                    "deployed before, and no longer in the manifest: forgotten"
                );
            }
            known
        });
        let deployed = deployed_of(&app, &saved, &state);
        for (id, (digest, _)) in &deployed {
            info!(function = %id, version = digest.short(), "serves what was deployed, not the manifest's file");
        }
        let functions = loader.load(&app, &deployed).await?;
        let mut records = BTreeMap::new();
        for function in functions.all() {
            let id = function.config.id.clone();
            let history = saved
                .remove(id.as_ref())
                .and_then(History::saved)
                .unwrap_or_else(|| History::new(manifests(function)));
            records.insert(id, Record::new(history));
        }
        Ok(Arc::new(Self {
            loader,
            live: Live::new(functions),
            app: ArcSwap::new(app),
            state,
            read_app,
            records: Mutex::new(records),
            reloading: RwLock::new(()),
        }))
    }

    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// A place for a candidate, on the disk where it will be kept.
    pub fn candidate(&self) -> Result<NamedTempFile, DeployError> {
        self.state.candidate().map_err(not_saved)
    }

    pub fn function(&self, id: &str) -> Result<Arc<LiveFunction>, DeployError> {
        let functions = self.live.functions();
        let function = functions.get(id).cloned();
        function.ok_or_else(|| DeployError::NoFunction(id.to_owned()))
    }

    /// Has a candidate checked, and puts it in place of the live version.
    pub async fn deploy(
        &self,
        id: &str,
        candidate: Candidate,
        by: By,
    ) -> Result<Outcome, DeployError> {
        self.function(id)?;
        let outcome = self.try_deploy(id, candidate, by).await;
        self.told(id, outcome)
    }

    async fn try_deploy(
        &self,
        id: &str,
        candidate: Candidate,
        by: By,
    ) -> Result<Outcome, DeployError> {
        let _turn = self.turn(id)?;
        // Not before: a reload may have put another in its place.
        let function = &*self.function(id)?;
        let Candidate {
            file,
            digest,
            complete,
            received_in,
        } = candidate;
        if *function.version().digest() == digest {
            return Ok(self.unchanged(function, received_in));
        }
        let checked = self.check(function, file.path(), &digest).await?;
        let next = Version::of(&checked.version, by.origin, &by.name);
        block_in_place(|| self.publish(function, checked, next, Some(file), received_in, complete))
    }

    /// Goes back to a version that is kept: the one before the live one, or the one whose digest begins so.
    pub async fn roll_back(
        &self,
        id: &str,
        to: Option<&str>,
        by: &str,
    ) -> Result<Outcome, DeployError> {
        self.function(id)?;
        let outcome = self.try_roll_back(id, to, by).await;
        self.told(id, outcome)
    }

    async fn try_roll_back(
        &self,
        id: &str,
        to: Option<&str>,
        by: &str,
    ) -> Result<Outcome, DeployError> {
        let _turn = self.turn(id)?;
        let function = &*self.function(id)?;
        let begun = Instant::now();
        let target = self.target(&function.config.id, to)?;
        if *function.version().digest() == target {
            return Ok(self.unchanged(function, Duration::ZERO));
        }
        let path = self.state.component(&target);
        let checked = self.check(function, &path, &target).await?;
        let next = Version::of(&checked.version, Origin::Rollback, by);
        block_in_place(|| self.publish(function, checked, next, None, Duration::ZERO, begun))
    }

    fn target(&self, id: &FunctionId, to: Option<&str>) -> Result<Digest, DeployError> {
        let records = self.records();
        let versions = records
            .get(id)
            .map_or(&[][..], |record| record.history.versions());
        let Some(to) = to else {
            let before = versions.get(1).map(|version| version.digest);
            return before.ok_or(DeployError::NothingToRollBackTo);
        };
        let prefix = to
            .strip_prefix("sha256:")
            .unwrap_or(to)
            .to_ascii_lowercase();
        let is_it = |version: &&Version| version.digest.to_string().starts_with(&prefix);
        let found = versions.iter().find(is_it).filter(|_| prefix.len() >= 8);
        found
            .map(|version| version.digest)
            .ok_or_else(|| DeployError::NoVersion(to.to_owned()))
    }

    /// Compiles, links, instantiates and asks. Nobody who is served notices. The file must be what it was when it had this digest.
    async fn check(
        &self,
        function: &LiveFunction,
        path: &Path,
        digest: &Digest,
    ) -> Result<Checked, DeployError> {
        let begun = Instant::now();
        let (runtime, path) = (self.loader.runtime.clone(), path.to_owned());
        let loading = tokio::task::spawn_blocking(move || {
            runtime.in_background(|| runtime.load_stored(&path, Path::new("the component")))
        });
        let loaded: Loaded = match loading.await {
            Ok(loaded) => loaded.map_err(|error| DeployError::Component(error.to_string()))?,
            Err(panic) => {
                return Err(DeployError::Component(format!(
                    "it can't be compiled: {panic}"
                )));
            }
        };
        if loaded.digest != *digest {
            return Err(DeployError::Component(format!(
                "the file of the version {} is damaged: it holds another component; deploy that version again",
                digest.short()
            )));
        }
        let compile = begun.elapsed();
        let version = self.loader.version(loaded, &function.config);
        let (check, probe) = self
            .try_out(&self.live.functions(), function, &version)
            .await?;
        Ok(Checked {
            version,
            compile,
            check,
            probe,
        })
    }

    /// Makes an instance, and sends the probe if there is one.
    pub(super) async fn try_out(
        &self,
        functions: &Functions,
        function: &LiveFunction,
        version: &Arc<FunctionVersion>,
    ) -> Result<(Duration, Option<Duration>), DeployError> {
        let begun = Instant::now();
        let made = version.try_instance().await;
        made.map_err(|error| DeployError::Component(error.to_string()))?;
        let check = begun.elapsed();
        let Some(path) = &function.declared.probe else {
            return Ok((check, None));
        };
        let begun = Instant::now();
        probe(functions, function, version, path)
            .await
            .map_err(|error| DeployError::Probe(error.to_string()))?;
        Ok((check, Some(begun.elapsed())))
    }

    /// Waits for the disk. `file` is the component's, if it isn't kept already.
    ///
    /// Whoever has the records has the directory too: another function's swap would take for nobody's what is kept and not yet saved.
    fn publish(
        &self,
        function: &LiveFunction,
        checked: Checked,
        next: Version,
        file: Option<NamedTempFile>,
        received_in: Duration,
        since: Instant,
    ) -> Result<Outcome, DeployError> {
        let begun = Instant::now();
        let id = &function.config.id;
        let rolled_back = next.origin == Origin::Rollback;
        let mut records = self.records();
        let record = records
            .get_mut(id)
            .ok_or_else(|| DeployError::NoFunction(id.to_string()))?;
        let mut history = record.history.with(next.clone());
        history.deployed = true;
        let kept = match file {
            Some(file) => self.state.keep(file, &next.digest).map_err(not_saved),
            None => Ok(()),
        };
        let kept = kept.and_then(|()| self.keep_before(function, &mut history));
        if let Err(error) = kept {
            self.state.prune(&saved_of(&records));
            return Err(error);
        }
        let before = std::mem::replace(&mut record.history, history);
        let previous = before.versions().first().cloned();
        let saved = saved_of(&records);
        if let Err(error) = self.state.save(&saved) {
            if let Some(record) = records.get_mut(id) {
                record.history = before;
            }
            self.state.prune(&saved_of(&records));
            return Err(not_saved(error));
        }
        // It is decided: from here on nothing can fail.
        let compiled = Compiled::of(&checked.version.loaded);
        let retired = function.publish(checked.version);
        if let Some(record) = records.get_mut(id) {
            record.history.drains(&retired);
        }
        self.state.prune(&saved);
        drop(records);
        let metrics = &self.loader.telemetry.deploy;
        let swap = if rolled_back {
            Swap::RolledBack
        } else {
            Swap::Swapped
        };
        metrics.swap(id.as_ref(), swap);
        metrics.took(id.as_ref(), since.elapsed());
        info!(
            function = %id,
            version = next.digest.short(),
            before = retired.digest().short(),
            by = next.by,
            ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX),
            "swapped"
        );
        let steps = Steps::of(
            received_in,
            checked.compile,
            checked.check,
            checked.probe,
            begun.elapsed(),
        );
        Ok(Outcome::new(id, next, previous, false, steps, compiled))
    }

    /// What is live must be there to go back to, and if it came from the manifest's file, that one may be built anew any time.
    fn keep_before(
        &self,
        function: &LiveFunction,
        history: &mut History,
    ) -> Result<(), DeployError> {
        let live = *function.version().digest();
        if self.state.component(&live).exists() {
            return Ok(());
        }
        let source = &function.declared.source;
        match self.loader.runtime.source(source, &live) {
            Some(bytes) => self.state.keep_bytes(&bytes, &live).map_err(not_saved),
            None => {
                warn!(function = %function.config.id, version = live.short(), "its file was replaced: nobody can go back to it");
                history.forget(&live);
                Ok(())
            }
        }
    }

    fn unchanged(&self, function: &LiveFunction, received_in: Duration) -> Outcome {
        let records = self.records();
        let live = records
            .get(&function.config.id)
            .and_then(|record| record.history.versions().first().cloned());
        let version = function.version();
        let live = live.unwrap_or_else(|| manifests(function));
        let compiled = Compiled::of(&version.loaded);
        let steps = Steps::received(received_in);
        Outcome::new(&function.config.id, live, None, true, steps, compiled)
    }

    /// Counts and notes what went wrong.
    fn told(
        &self,
        id: &str,
        outcome: Result<Outcome, DeployError>,
    ) -> Result<Outcome, DeployError> {
        outcome.inspect_err(|error| self.turned_down(id, error))
    }

    /// A candidate didn't come to be live. Where none was looked at, only whoever asked is told.
    pub fn turned_down(&self, id: &str, error: &DeployError) {
        if error.is_rejection() {
            self.not_received(id, error.describe().1, &error.to_string());
        }
    }

    /// The same, of one that never was a whole candidate. `type` and `detail` are what is answered.
    pub fn not_received(&self, id: &str, r#type: &'static str, detail: &str) {
        warn!(function = id, "not swapped: {detail}");
        self.loader.telemetry.deploy.swap(id, Swap::Rejected);
        if let Some(record) = self.records().get_mut(id) {
            record.history.last_error = Some(LastError {
                at: chrono::Utc::now(),
                r#type,
                detail: detail.to_owned(),
            });
        }
    }

    /// One swap at a time per function, and none while the manifest is read again.
    fn turn(&self, id: &str) -> Result<Turn<'_>, DeployError> {
        let reloading = self.reloading.try_read();
        let reloading = reloading.map_err(|_| DeployError::ReloadInProgress)?;
        let busy = self
            .records()
            .get(id)
            .map(|record| Arc::clone(&record.busy));
        let busy = busy.ok_or_else(|| DeployError::NoFunction(id.to_string()))?;
        let busy = busy.try_lock_owned();
        Ok(Turn {
            _reloading: reloading,
            _busy: busy.map_err(|_| DeployError::SwapInProgress)?,
        })
    }

    pub(super) fn records(&self) -> MutexGuard<'_, BTreeMap<FunctionId, Record>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Deployer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Deployer")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

// === impl Record ===

impl Record {
    pub fn new(history: History) -> Self {
        Self {
            history,
            busy: Arc::default(),
        }
    }
}

/// What of the app serves something else than the manifest's file.
pub(super) fn deployed_of(app: &App, saved: &Saved, state: &StateDir) -> Deployed {
    let functions = app.functions.iter().filter_map(|function| {
        let live = saved.get(function.id.as_ref())?.first()?;
        let path = state.component(&live.digest);
        Some((function.id.clone(), (live.digest, path)))
    });
    functions.collect()
}

pub(super) fn saved_of(records: &BTreeMap<FunctionId, Record>) -> Saved {
    let deployed = records.iter().filter(|(_, record)| record.history.deployed);
    deployed
        .map(|(id, record)| (id.to_string(), record.history.versions().to_vec()))
        .collect()
}

pub(super) fn manifests(function: &LiveFunction) -> Version {
    Version::of(&function.version(), Origin::Manifest, "manifest")
}

pub(super) fn not_saved(error: std::io::Error) -> DeployError {
    DeployError::NotSaved(error.to_string())
}
