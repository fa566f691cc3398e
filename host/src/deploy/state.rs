//! What was deployed, on disk: the components, and a file that says which function they are of.
//!
//! Every file is written beside its place, synced and renamed, and then its directory is synced: after a crash there is the old state
//! or the new one. The directory is made when something is deployed, not before.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use tracing::debug;

use super::history::Version;
use crate::runtime::Digest;

/// Of the file, should it ever look otherwise.
const FORMAT: u32 = 1;
const FILE: &str = "state.json";
const COMPONENTS: &str = "components";
const LOCK: &str = "lock";

/// The directory.
#[derive(Debug)]
pub struct StateDir {
    dir: PathBuf,
    /// Held while we live, once there is a directory.
    lock: Mutex<Option<File>>,
}

/// The versions of each function that something was deployed of: the live one first.
pub type Saved = BTreeMap<String, Vec<Version>>;

#[derive(Deserialize, Serialize)]
struct Document {
    format: u32,
    functions: Saved,
}

// === impl StateDir ===

impl StateDir {
    /// Opens the directory, if it is there, and reads what is in it.
    pub fn open(dir: PathBuf) -> Result<(Self, Saved)> {
        let state = Self {
            dir,
            lock: Mutex::default(),
        };
        if !state.dir.exists() {
            return Ok((state, Saved::new()));
        }
        state.lock()?;
        let saved = state.read()?;
        Ok((state, saved))
    }

    /// Opens the directory, and forgets what is in it.
    pub fn fresh(dir: PathBuf) -> Result<Self> {
        let state = Self {
            dir,
            lock: Mutex::default(),
        };
        if state.dir.exists() {
            state.lock()?;
            state
                .clear()
                .with_context(|| format!("--fresh: {}", state.dir.display()))?;
        }
        Ok(state)
    }

    fn clear(&self) -> io::Result<()> {
        for removed in [
            fs::remove_file(self.dir.join(FILE)),
            fs::remove_dir_all(self.dir.join(COMPONENTS)),
        ] {
            match removed {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn read(&self) -> Result<Saved> {
        const FRESH: &str =
            "`flowviz up --fresh` forgets what was deployed, and serves the manifest's files";
        let path = self.dir.join(FILE);
        let text = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Saved::new()),
            text => text.with_context(|| path.display().to_string())?,
        };
        let document: Document = serde_json::from_slice(&text)
            .with_context(|| format!("{} is damaged; {FRESH}", path.display()))?;
        if document.format != FORMAT {
            bail!(
                "{} has the format {}, which this version of the host doesn't know; {FRESH}",
                path.display(),
                document.format
            );
        }
        Ok(document.functions)
    }

    /// Where a component is kept.
    pub fn component(&self, digest: &Digest) -> PathBuf {
        self.dir.join(COMPONENTS).join(format!("{digest}.wasm"))
    }

    /// A file for what is coming. It is gone if it isn't kept.
    pub fn candidate(&self) -> io::Result<NamedTempFile> {
        let dir = self.dir.join(COMPONENTS);
        DirBuilder::new().recursive(true).mode(0o700).create(&dir)?;
        self.lock().map_err(io::Error::other)?;
        tempfile::Builder::new()
            .prefix(".")
            .suffix(".part")
            .tempfile_in(dir)
    }

    /// Keeps a component under its digest.
    pub fn keep(&self, candidate: NamedTempFile, digest: &Digest) -> io::Result<()> {
        persist(candidate, &self.component(digest))
    }

    pub fn keep_bytes(&self, bytes: &[u8], digest: &Digest) -> io::Result<()> {
        if self.component(digest).exists() {
            return Ok(());
        }
        let mut file = self.candidate()?;
        file.write_all(bytes)?;
        self.keep(file, digest)
    }

    /// From now on a restart finds this.
    pub fn save(&self, functions: &Saved) -> io::Result<()> {
        let document = Document {
            format: FORMAT,
            functions: functions.clone(),
        };
        let mut file = self.candidate()?;
        file.write_all(&serde_json::to_vec_pretty(&document)?)?;
        persist(file, &self.dir.join(FILE))
    }

    /// Removes the components that no version is of.
    pub fn prune(&self, functions: &Saved) {
        let used: Vec<_> = functions
            .values()
            .flatten()
            .map(|version| self.component(&version.digest))
            .collect();
        for path in self.entries() {
            let is_component = path
                .extension()
                .is_some_and(|extension| extension == "wasm");
            if is_component
                && !used.contains(&path)
                && let Err(error) = fs::remove_file(&path)
            {
                debug!(path = %path.display(), %error, "an old component can't be removed");
            }
        }
    }

    /// Two hosts that write to one directory would each undo what the other did.
    fn lock(&self) -> Result<()> {
        let mut lock = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.is_some() {
            return Ok(());
        }
        let path = self.dir.join(LOCK);
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .with_context(|| format!("{}: the state directory can't be used", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => bail!(
                "another host uses the state directory {}; give each its own (--state-dir DIR)",
                self.dir.display()
            ),
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| path.display().to_string());
            }
        }
        *lock = Some(file);
        // What a host that was killed was about to write.
        for entry in self.entries() {
            if entry
                .extension()
                .is_some_and(|extension| extension == "part")
            {
                _ = fs::remove_file(entry);
            }
        }
        Ok(())
    }

    fn entries(&self) -> impl Iterator<Item = PathBuf> {
        let entries = fs::read_dir(self.dir.join(COMPONENTS))
            .into_iter()
            .flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path()))
    }
}

fn persist(file: NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    file.persist(path)?;
    match path.parent() {
        Some(dir) => File::open(dir)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deploy::history::Origin;

    fn version(bytes: &[u8]) -> Version {
        Version {
            digest: Digest::of(bytes),
            size: bytes.len() as u64,
            origin: Origin::Api,
            by: "somebody".to_owned(),
            at: chrono::Utc::now(),
        }
    }

    #[test]
    fn what_was_saved_is_found_again_and_what_nobody_needs_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("state");
        let (state, saved) = StateDir::open(path.clone()).unwrap();
        assert!(saved.is_empty() && !path.exists());
        for bytes in [b"one", b"two"] {
            state.keep_bytes(bytes, &Digest::of(bytes)).unwrap();
        }
        let saved = Saved::from([("lot".to_owned(), vec![version(b"two")])]);
        state.save(&saved).unwrap();
        state.prune(&saved);
        drop(state);

        let (state, found) = StateDir::open(path).unwrap();
        assert_eq!(found, saved);
        assert!(state.component(&Digest::of(b"two")).exists());
        assert!(!state.component(&Digest::of(b"one")).exists());
        state.clear().unwrap();
        assert!(!state.component(&Digest::of(b"two")).exists());
    }

    #[test]
    fn a_second_host_and_a_damaged_file_are_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let (state, _) = StateDir::open(dir.path().to_owned()).unwrap();
        let second = StateDir::open(dir.path().to_owned()).unwrap_err();
        assert!(second.to_string().contains("another host uses"), "{second}");
        drop(state);
        fs::write(dir.path().join(FILE), "{").unwrap();
        let damaged = StateDir::open(dir.path().to_owned()).unwrap_err();
        assert!(damaged.to_string().contains("--fresh"), "{damaged}");
    }
}
