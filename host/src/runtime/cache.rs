//! Compiled components on disk, so that a second start of the same app compiles nothing.
//!
//! A file's name is the component's digest and the engine's compatibility hash: another host version, other compiler settings or
//! another component never find it. Files are written beside and renamed, so a half-written one is never seen. What nothing has
//! used for a while is removed when something new is kept.

use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use tracing::{debug, warn};
use wasmtime::Engine;
use wasmtime::component::Component;

use super::component::Digest;

const EXTENSION: &str = "cwasm";
/// Of a component as it was before it was compiled.
const SOURCE_EXTENSION: &str = "wasm";
const UNUSED_FOR: Duration = Duration::from_secs(30 * 24 * 3600);
/// How many files are looked at for one that is kept: more can't grow faster than they go.
const LOOKED_AT: usize = 1000;

/// Where compiled components are kept; `None` compiles at each start.
#[derive(Debug)]
pub struct CompiledCache(Option<PathBuf>);

// === impl CompiledCache ===

impl CompiledCache {
    pub fn disabled() -> Self {
        Self(None)
    }

    /// Keeps compiled code in `dir`, which is made if it doesn't exist.
    ///
    /// Its files are executed, so it must belong to the user that the host runs as, and nobody else may write there: otherwise
    /// the cache is not used, and a warning says why.
    pub fn at(dir: &Path) -> Self {
        match prepare(dir) {
            Ok(()) => Self(Some(dir.to_owned())),
            Err(why) => {
                warn!(dir = %dir.display(), "compiled components are not cached: {why}");
                Self(None)
            }
        }
    }

    /// The compiled form of the component with this digest, if it is there.
    pub(super) fn load(&self, engine: &Engine, digest: &Digest) -> Option<Component> {
        let path = self.path(engine, digest)?;
        if !path.exists() {
            return None;
        }
        // SAFETY: wasmtime executes what this file holds without checking it, so it must be a file that `store` wrote. `prepare`
        // made sure that only this process's user can write to the directory.
        #[expect(
            unsafe_code,
            reason = "wasmtime's only way to load code that is already compiled"
        )]
        let loaded = unsafe { Component::deserialize_file(engine, &path) };
        match loaded {
            Ok(component) => {
                // For `prune`. A cache that can only be read serves as well.
                let _ = fs::File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
                Some(component)
            }
            Err(error) => {
                warn!(path = %path.display(), %error, "a cached component can't be used; compiling it again");
                None
            }
        }
    }

    /// Keeps `component` for the next start. A full disk costs the next start time, and this one nothing.
    pub(super) fn store(&self, engine: &Engine, digest: &Digest, component: &Component) {
        let Some(path) = self.path(engine, digest) else {
            return;
        };
        let written = component
            .serialize()
            .map_err(io::Error::other)
            .and_then(|code| write_atomically(&path, EXTENSION, &code));
        if let Err(error) = written {
            warn!(path = %path.display(), %error, "a compiled component could not be cached");
        } else {
            debug!(path = %path.display(), "compiled component cached");
            if let Some(dir) = &self.0 {
                prune(dir);
            }
        }
    }

    /// Keeps a component's own bytes, too: its file in the manifest may have been built anew by the time that somebody wants to go
    /// back to what serves now.
    pub(super) fn keep_source(&self, digest: &Digest, bytes: &[u8]) {
        let Some(path) = self.source_path(digest) else {
            return;
        };
        let kept = match fs::File::open(&path) {
            Ok(file) => file.set_modified(SystemTime::now()),
            Err(_) => write_atomically(&path, SOURCE_EXTENSION, bytes),
        };
        if let Err(error) = kept {
            debug!(path = %path.display(), %error, "a component could not be kept");
        }
    }

    /// What [`CompiledCache::keep_source`] kept.
    pub(super) fn source(&self, digest: &Digest) -> Option<Vec<u8>> {
        fs::read(self.source_path(digest)?)
            .ok()
            .filter(|bytes| Digest::of(bytes) == *digest)
    }

    fn source_path(&self, digest: &Digest) -> Option<PathBuf> {
        let name = format!("{digest}.{SOURCE_EXTENSION}");
        Some(self.0.as_ref()?.join(name))
    }

    fn path(&self, engine: &Engine, digest: &Digest) -> Option<PathBuf> {
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        let name = format!("{digest}-{:016x}.{EXTENSION}", hasher.finish());
        Some(self.0.as_ref()?.join(name))
    }
}

fn prepare(dir: &Path) -> Result<(), String> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|error| error.to_string())?;
    let probe = tempfile::NamedTempFile::new_in(dir).map_err(|error| error.to_string())?;
    let owner = probe
        .as_file()
        .metadata()
        .map_err(|error| error.to_string())?;
    let metadata = fs::metadata(dir).map_err(|error| error.to_string())?;
    if metadata.uid() != owner.uid() {
        return Err("the directory belongs to another user".to_owned());
    }
    if metadata.permissions().mode() & 0o022 != 0 {
        return Err("others may write to the directory; `chmod go-w` it".to_owned());
    }
    Ok(())
}

/// Removes what no process has loaded or stored for `UNUSED_FOR`. Whoever has such a file loaded keeps what is mapped.
fn prune(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for path in entries.flatten().take(LOOKED_AT).map(|entry| entry.path()) {
        let unused = || path.metadata().ok()?.modified().ok()?.elapsed().ok();
        if path
            .extension()
            .is_some_and(|extension| extension == EXTENSION || extension == SOURCE_EXTENSION)
            && unused().is_some_and(|unused| unused > UNUSED_FOR)
            && fs::remove_file(&path).is_ok()
        {
            debug!(path = %path.display(), "a compiled component was not used for long and is removed");
        }
    }
}

fn write_atomically(path: &Path, extension: &str, bytes: &[u8]) -> io::Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    // Named so that `prune` finds it, should this process be killed here.
    let mut file = tempfile::Builder::new()
        .suffix(&format!(".{extension}"))
        .tempfile_in(dir)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_that_others_may_write_to_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        assert!(CompiledCache::at(dir.path()).0.is_some());
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(CompiledCache::at(dir.path()).0.is_none());
    }

    #[test]
    fn what_is_not_used_for_long_is_removed_when_something_is_stored() {
        let dir = tempfile::tempdir().unwrap();
        let cache = CompiledCache::at(dir.path());
        let engine = Engine::default();
        let bytes = b"\0asm\x0d\0\x01\0";
        let component = Component::new(&engine, bytes).unwrap();
        let [used, unused, new] = ["used", "unused", "new"].map(|name| Digest::of(name.as_bytes()));
        let path = |digest| cache.path(&engine, digest).unwrap();
        let long_ago = SystemTime::now() - UNUSED_FOR - Duration::from_secs(3600);
        let age = |path: &Path| {
            let file = fs::File::open(path).unwrap();
            file.set_modified(long_ago).unwrap();
        };
        for digest in [&used, &unused] {
            cache.store(&engine, digest, &component);
        }
        age(&path(&used));
        age(&path(&unused));
        let foreign = dir.path().join("notes.txt");
        fs::write(&foreign, "").unwrap();
        age(&foreign);

        assert!(cache.load(&engine, &used).is_some());
        cache.store(&engine, &new, &component);
        let left = [&used, &unused, &new].map(|digest| path(digest).exists());
        assert_eq!((left, foreign.exists()), ([true, false, true], true));
    }

    #[test]
    fn what_was_stored_is_loaded_and_a_damaged_file_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let cache = CompiledCache::at(dir.path());
        let engine = Engine::default();
        // The smallest component: its header alone.
        let bytes = b"\0asm\x0d\0\x01\0";
        let digest = Digest::of(bytes);
        assert!(cache.load(&engine, &digest).is_none());
        cache.store(&engine, &digest, &Component::new(&engine, bytes).unwrap());
        assert!(cache.load(&engine, &digest).is_some());

        let path = cache.path(&engine, &digest).unwrap();
        fs::write(&path, b"half a file").unwrap();
        assert!(cache.load(&engine, &digest).is_none());
    }
}
