//! The versions that a function has had.

use std::sync::{Arc, Weak};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::runtime::{Digest, FunctionVersion};

/// Versions of a function that can be gone back to, beside the live one.
const KEPT: usize = 5;

/// How a version came to be live.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// The manifest names its file.
    Manifest,
    Api,
    /// Its file changed while the host watched.
    Watch,
    Rollback,
}

/// A component that is or was live.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub struct Version {
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    pub origin: Origin,
    /// Who said so.
    pub by: String,
    /// Since when it is, or was last, live.
    pub at: DateTime<Utc>,
}

/// The last candidate that was turned down.
#[derive(Clone, Debug, Serialize)]
pub struct LastError {
    pub at: DateTime<Utc>,
    pub r#type: &'static str,
    pub detail: String,
}

/// One function's versions.
#[derive(Clone, Debug)]
pub(super) struct History {
    /// The live one, and those before it, the newest first. Never empty.
    versions: Vec<Version>,
    /// It differs from what the manifest says, or may come to: a restart is to find it.
    pub deployed: bool,
    pub last_error: Option<LastError>,
    draining: Vec<(DateTime<Utc>, Weak<FunctionVersion>)>,
}

// === impl Version ===

impl Version {
    pub fn of(version: &FunctionVersion, origin: Origin, by: &str) -> Self {
        Self {
            digest: *version.digest(),
            size: version.loaded.size,
            origin,
            by: by.to_owned(),
            at: Utc::now(),
        }
    }
}

// === impl History ===

impl History {
    pub fn new(live: Version) -> Self {
        Self {
            versions: vec![live],
            deployed: false,
            last_error: None,
            draining: Vec::new(),
        }
    }

    /// As it was saved; `None` if nothing was.
    pub fn saved(versions: Vec<Version>) -> Option<Self> {
        let (live, before) = versions.split_first()?;
        let mut history = Self::new(live.clone());
        history.versions.extend(before.iter().cloned());
        history.deployed = true;
        Some(history)
    }

    /// What `self` will be when `version` is live.
    pub fn with(&self, version: Version) -> Self {
        let mut next = self.clone();
        next.versions.retain(|other| other.digest != version.digest);
        next.versions.insert(0, version);
        next.versions.truncate(1 + KEPT);
        next.last_error = None;
        next
    }

    /// Without a version whose bytes nobody has any more.
    pub fn forget(&mut self, digest: &Digest) {
        self.versions.retain(|version| version.digest != *digest);
    }

    /// The live one first.
    pub fn versions(&self) -> &[Version] {
        &self.versions
    }

    /// Those of a history that is over.
    pub fn take_draining(&mut self, other: &Self) {
        self.draining.extend(other.draining.iter().cloned());
    }

    pub fn drains(&mut self, version: &Arc<FunctionVersion>) {
        self.draining
            .retain(|(_, version)| version.strong_count() > 0);
        self.draining.push((Utc::now(), Arc::downgrade(version)));
    }

    /// Versions that still have requests, and since when they get no more.
    pub fn draining(&self) -> impl Iterator<Item = (DateTime<Utc>, Arc<FunctionVersion>)> {
        let draining = self.draining.iter();
        draining.filter_map(|(since, version)| Some((*since, version.upgrade()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(name: &str) -> Version {
        Version {
            digest: Digest::of(name.as_bytes()),
            size: 1,
            origin: Origin::Api,
            by: name.to_owned(),
            at: Utc::now(),
        }
    }

    fn names(history: &History) -> String {
        history
            .versions()
            .iter()
            .map(|version| &*version.by)
            .collect()
    }

    #[test]
    fn the_live_version_comes_first_and_each_is_there_once() {
        let mut history = History::new(version("a"));
        for name in ["b", "c", "a", "d"] {
            history = history.with(version(name));
        }
        assert_eq!(names(&history), "dacb");
        for name in ["e", "f", "g"] {
            history = history.with(version(name));
        }
        assert_eq!(names(&history), "gfedac");
        history.forget(&Digest::of(b"e"));
        assert_eq!(names(&history), "gfdac");
    }
}
