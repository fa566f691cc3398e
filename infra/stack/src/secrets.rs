//! Generated passwords: one file each, readable only by its owner, and never in `Debug`.

use std::fmt;
use std::fs::{self, File, Permissions};
use std::io::{ErrorKind, Write};
use std::ops::Deref;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::tls::Tls;

const OWNER_ONLY: u32 = 0o600;
const OWNER_ONLY_DIR: u32 = 0o700;

/// A secret value. Read it by dereferencing.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

/// A `postgres://` URL with a password in it. Read it by dereferencing; `Debug` leaves the password out.
#[derive(Clone, PartialEq, Eq)]
pub struct DatabaseUrl {
    url: String,
    redacted: String,
}

/// A directory of secrets that are generated when first asked for.
#[derive(Debug)]
pub struct Secrets(PathBuf);

// === impl Secret ===

impl Secret {
    /// 244 random bits as 64 hexadecimal digits: nothing to quote in SQL, URLs or configuration files.
    fn generate() -> Self {
        let halves = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4()];
        Self(halves.map(|half| half.simple().to_string()).concat())
    }
}

impl Deref for Secret {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

// === impl DatabaseUrl ===

impl DatabaseUrl {
    pub(crate) fn new(
        user: &str,
        password: &Secret,
        port: u16,
        database: &str,
        tls: Option<&Tls>,
    ) -> Self {
        let tls = tls.map_or_else(String::new, |tls| format!("?{}", tls.parameters()));
        let with = |password: &str| {
            format!("postgres://{user}:{password}@127.0.0.1:{port}/{database}{tls}")
        };
        Self {
            url: with(password),
            redacted: with("***"),
        }
    }
}

impl Deref for DatabaseUrl {
    type Target = str;

    fn deref(&self) -> &str {
        &self.url
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.redacted)
    }
}

// === impl Secrets ===

impl Secrets {
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self> {
        let dir = dir.into();
        fs::create_dir_all(&dir).map_err(Error::file(&dir))?;
        fs::set_permissions(&dir, Permissions::from_mode(OWNER_ONLY_DIR))
            .map_err(Error::file(&dir))?;
        Ok(Self(dir))
    }

    /// The secret of this name; generated the first time.
    pub fn get(&self, name: &str) -> Result<Secret> {
        let path = self.0.join(name);
        match fs::read_to_string(&path) {
            Ok(text) if !text.trim().is_empty() => Ok(Secret(text.trim().to_owned())),
            Ok(_) => self.generate(&path),
            Err(error) if error.kind() == ErrorKind::NotFound => self.generate(&path),
            Err(error) => Err(Error::file(&path)(error)),
        }
    }

    /// Where the secret of this name is, for a program that reads it there; generated the first time.
    pub fn file(&self, name: &str) -> Result<PathBuf> {
        self.get(name)?;
        let path = self.0.join(name);
        std::path::absolute(&path).map_err(Error::file(&path))
    }

    fn generate(&self, path: &Path) -> Result<Secret> {
        let secret = Secret::generate();
        write_private(path, &secret)?;
        Ok(secret)
    }
}

/// Writes a file that only its owner can read, whole or not at all.
pub(crate) fn write_private(path: &Path, content: &str) -> Result<()> {
    let new = path.with_extension("new");
    // A leftover of an interrupted write may be somebody else's or have other permissions.
    let _ = fs::remove_file(&new);
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(OWNER_ONLY)
        .open(&new)
        .map_err(Error::file(&new))?;
    file.write_all(content.as_bytes())
        .map_err(Error::file(&new))?;
    fs::rename(&new, path).map_err(Error::file(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_generated_once_and_only_its_owner_can_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let secrets = Secrets::open(dir.path().join("secrets")).unwrap();
        let first = secrets.get("flowviz_app").unwrap();
        assert_eq!(first, secrets.get("flowviz_app").unwrap());
        assert_ne!(first, secrets.get("flowviz").unwrap());
        assert_eq!(first.len(), 64);
        let mode = |path: &str| {
            fs::metadata(dir.path().join(path))
                .unwrap()
                .permissions()
                .mode()
                & 0o777
        };
        assert_eq!(mode("secrets"), 0o700);
        assert_eq!(mode("secrets/flowviz_app"), 0o600);
    }

    #[test]
    fn neither_a_secret_nor_a_url_shows_its_password() {
        let secret = Secret::generate();
        let url = DatabaseUrl::new("flowviz_app", &secret, 6432, "flowviz", None);
        let shown = format!("{secret:?} {url:?} {:?}", Some(&url));
        assert!(!shown.contains(&*secret), "{shown}");
        assert!(
            shown.contains("postgres://flowviz_app:***@127.0.0.1:6432/flowviz"),
            "{shown}"
        );
        assert!(url.contains(&*secret));
    }
}
