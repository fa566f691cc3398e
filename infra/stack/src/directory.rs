//! The stack's directory: locked by one stack at a time, laid out so that the children can write in their part only.
//!
//! ```text
//! lock  root.crt  secrets/  logs/  postgres/{postgresql.conf,data/}  pgbouncer/{pgbouncer.ini,addresses.ini,userlist.txt}
//! prometheus/{prometheus.yml,rules/,targets/,data/}  alertmanager/{alertmanager.yml,templates/,secrets/,data/}  *-exporter/
//! ```

use std::fs::{self, File, Permissions, TryLockError};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use crate::account::Account;
use crate::error::{Error, Result};
use crate::part::Part;
use crate::process::{Launch, Launcher};

const TEMPORARY_PREFIX: &str = "flowviz-stack-";
/// A directory younger than this may belong to a stack that is just about to lock it.
const ABANDONED_AFTER: Duration = Duration::from_secs(120);

#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    /// Held (and so locked) for as long as the stack lives; the kernel lets go of it when we die.
    _lock: File,
    /// Removes a temporary directory.
    _temporary: Option<TempDir>,
}

impl Directory {
    /// `None` makes a temporary one that is removed at the end.
    pub(crate) fn open(path: Option<&Path>) -> Result<Self> {
        let (path, temporary) = match path {
            Some(path) => {
                fs::create_dir_all(path).map_err(Error::file(path))?;
                (path.canonicalize().map_err(Error::file(path))?, None)
            }
            None => {
                remove_abandoned();
                let temporary = tempfile::Builder::new()
                    .prefix(TEMPORARY_PREFIX)
                    .tempdir()
                    .map_err(Error::file(std::env::temp_dir()))?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        // The children pass through it to their own part, but can't list it.
        fs::set_permissions(&path, Permissions::from_mode(0o711)).map_err(Error::file(&path))?;
        Ok(Self {
            _lock: lock(&path)?,
            _temporary: temporary,
            path,
        })
    }

    /// An error if another stack has it. To know before anything else that the two would quarrel about.
    pub(crate) fn look_for_another(path: &Path) -> Result<()> {
        if path.join("lock").exists() {
            lock(path)?;
        }
        Ok(())
    }

    pub(crate) fn secrets(&self) -> PathBuf {
        self.path.join("secrets")
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Ours alone: the children write to logs that we opened, and slow statements are in there with their values.
    pub(crate) fn logs(&self) -> Result<PathBuf> {
        let logs = self.path.join("logs");
        own_dir(&logs, &Account::Ourselves)?;
        Ok(logs)
    }

    /// A directory of the children's own.
    pub(crate) fn part(&self, name: &str, account: &Account) -> Result<PathBuf> {
        let dir = self.path.join(name);
        own_dir(&dir, account)?;
        Ok(dir)
    }

    /// An unprivileged child can't pass through somebody's private home: find out before it fails in a less telling way.
    pub(crate) async fn check_reachable(&self, launcher: &Launcher, dir: &Path) -> Result<()> {
        let account = launcher.account();
        let Account::Other { name, .. } = account else {
            return Ok(());
        };
        let test = launcher.run(Launch {
            part: Part::Postgres,
            program: Path::new("test"),
            arguments: vec!["-w".to_owned(), dir.to_string_lossy().into_owned()],
            dir: Path::new("/"),
            environment: Vec::new(),
            account,
        });
        if test.await?.status.success() {
            Ok(())
        } else {
            Err(Error::DirUnreachable {
                dir: dir.to_owned(),
                user: name.clone(),
            })
        }
    }
}

/// Creates `dir` for the children's account, which alone may enter it.
pub(crate) fn own_dir(dir: &Path, account: &Account) -> Result<()> {
    fs::create_dir_all(dir).map_err(Error::file(dir))?;
    fs::set_permissions(dir, Permissions::from_mode(0o700)).map_err(Error::file(dir))?;
    account.own(dir)
}

fn lock(dir: &Path) -> Result<File> {
    let path = dir.join("lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(Error::file(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::DirInUse(dir.to_owned())),
        Err(TryLockError::Error(source)) => Err(Error::File { path, source }),
    }
}

/// A stack that was killed couldn't remove its temporary directory; the next one does.
fn remove_abandoned() {
    let Ok(entries) = fs::read_dir(std::env::temp_dir()) else {
        return;
    };
    for entry in entries.flatten() {
        let ours = entry
            .file_name()
            .to_string_lossy()
            .starts_with(TEMPORARY_PREFIX);
        let old = entry
            .path()
            .join("lock")
            .metadata()
            .and_then(|lock| lock.modified())
            .is_ok_and(|at| at.elapsed().is_ok_and(|age| age > ABANDONED_AFTER));
        if ours && old && lock(&entry.path()).is_ok() {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}
