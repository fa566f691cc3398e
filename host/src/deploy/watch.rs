//! `flowviz up --watch`: what changes on disk goes live: a component that was built anew is swapped in, a manifest that was edited is
//! applied.
//!
//! Directories are watched rather than files, since builds and editors put a new file in the place of the old one. A file counts when
//! it has been quiet for a moment; one that is half written by then is no component, is told about once, and is looked at again when it
//! changes. Nothing is built here.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use super::deployer::{By, Candidate, Deployer};
use super::error::DeployError;
use super::history::Origin;
use crate::runtime::Digest;

/// How long nothing may happen to the files before they are looked at: linkers write in bursts.
const QUIET: Duration = Duration::from_millis(300);

#[derive(Debug)]
pub struct Watch {
    deployer: Arc<Deployer>,
    watcher: RecommendedWatcher,
    changes: mpsc::UnboundedReceiver<PathBuf>,
    /// Directories that are watched.
    watched: BTreeSet<PathBuf>,
}

// === impl Watch ===

impl Watch {
    pub fn new(deployer: Arc<Deployer>) -> Result<Self> {
        let (send, changes) = mpsc::unbounded_channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            let Ok(Event { kind, paths, .. }) = event.inspect_err(|error| {
                warn!(%error, "a change on disk may have been missed");
            }) else {
                return;
            };
            if !matches!(kind, EventKind::Access(_)) {
                for path in paths {
                    // Nobody listens when the host ends.
                    _ = send.send(path);
                }
            }
        });
        let mut watch = Self {
            deployer,
            watcher: watcher.context("--watch: files can't be watched")?,
            changes,
            watched: BTreeSet::new(),
        };
        watch.follow();
        info!(
            directories = watch.watched.len(),
            "watching the manifest and the components"
        );
        Ok(watch)
    }

    /// For ever.
    pub async fn run(mut self) {
        while let Some(first) = self.changes.recv().await {
            let mut changed = BTreeSet::from([first]);
            while let Ok(Some(path)) = tokio::time::timeout(QUIET, self.changes.recv()).await {
                changed.insert(path);
            }
            self.apply(&changed).await;
        }
    }

    async fn apply(&mut self, changed: &BTreeSet<PathBuf>) {
        let names: BTreeSet<_> = changed.iter().filter_map(|path| place(path)).collect();
        let app = self.deployer.app.load_full();
        if place(&app.file).is_some_and(|place| names.contains(&place)) {
            // What comes of it is told in the log. It takes up changed components, too.
            _ = self.deployer.reload(false).await;
            self.follow();
        }
        for function in self.deployer.live().functions().all() {
            let source = &function.declared.source;
            if place(source).is_some_and(|place| names.contains(&place)) {
                self.swap(function.config.id.as_ref(), source).await;
            }
        }
    }

    /// What is wrong is told in the log, and in what the API says of the function.
    async fn swap(&self, id: &str, source: &Path) {
        let begun = Instant::now();
        let candidate = match self.candidate(source, begun) {
            Ok(candidate) => candidate,
            Err(error) => {
                // It is about to be replaced, most likely.
                debug!(function = id, %error, "the component can't be read");
                return;
            }
        };
        let by = By {
            origin: Origin::Watch,
            name: "watch".to_owned(),
        };
        // Somebody else's swap ends soon.
        let deployed = self.deployer.deploy(id, candidate, by).await;
        if let Err(DeployError::SwapInProgress | DeployError::ReloadInProgress) = deployed {
            debug!(function = id, "busy: the next change counts");
        }
    }

    fn candidate(&self, source: &Path, begun: Instant) -> Result<Candidate> {
        let bytes = std::fs::read(source)?;
        let mut file = self.deployer.candidate()?;
        std::io::Write::write_all(&mut file, &bytes)?;
        Ok(Candidate {
            file,
            digest: Digest::of(&bytes),
            complete: begun,
            received_in: begun.elapsed(),
        })
    }

    /// Watches the directories of all that is named at this moment.
    fn follow(&mut self) {
        let app = self.deployer.app.load_full();
        let functions = self.deployer.live().functions();
        let sources = functions
            .all()
            .iter()
            .map(|function| &function.declared.source);
        for path in sources.chain([&app.file]) {
            let Some((dir, _)) = place(path) else {
                continue;
            };
            if self.watched.contains(&dir) {
                continue;
            }
            match self.watcher.watch(&dir, RecursiveMode::NonRecursive) {
                Ok(()) => {
                    self.watched.insert(dir);
                }
                Err(error) => {
                    warn!(dir = %dir.display(), %error, "this directory can't be watched")
                }
            }
        }
    }
}

/// A file's directory, by its one true name, and its name in it: the file itself may not be there at this moment.
fn place(path: &Path) -> Option<(PathBuf, OsString)> {
    let dir = match path.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    Some((dir.canonicalize().ok()?, path.file_name()?.to_owned()))
}
