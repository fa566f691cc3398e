//! Everything that can keep the stack from running, each as one sentence that says what to do.

use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use crate::part::Part;
use crate::ports::Listener;

pub type Result<T, E = Error> = std::result::Result<T, E>;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{program}` is not installed: make setup, or apt-get install {package}")]
    NotInstalled {
        program: &'static str,
        package: &'static str,
    },

    #[error(
        "port {port}, chosen for {listener}, is taken: end what listens there or choose another port with {}",
        listener.variable()
    )]
    PortTaken { listener: Listener, port: u16 },

    #[error("no free port was found between {from} and {to} on 127.0.0.1")]
    NoFreePort { from: u16, to: u16 },

    #[error("{dir} is in use by another stack: end that one, or choose another directory (FLOWVIZ_DIR)", dir = .0.display())]
    DirInUse(PathBuf),

    #[error(
        "the unprivileged user `{user}`, which PostgreSQL must run as, can't reach {dir}: choose a directory outside of a \
         private home, or start as an ordinary user",
        dir = dir.display()
    )]
    DirUnreachable { dir: PathBuf, user: String },

    #[error(
        "started as root, but there is no unprivileged user (`postgres` or `nobody`) to run PostgreSQL as"
    )]
    NoUnprivilegedUser,

    #[error(
        "PgBouncer needs {needed} open files for its clients and the limit can't be raised to that: start with `ulimit -n {needed}`"
    )]
    FileLimit { needed: u64 },

    #[error("`initdb` failed:\n{0}")]
    Initdb(String),

    #[error("{part} ended by itself ({status}). The end of {log}:\n{tail}", log = log.display())]
    Ended {
        part: Part,
        status: ExitStatus,
        log: PathBuf,
        tail: String,
    },

    #[error("{part} was not ready within {} s ({last}). Its log is {log}", after.as_secs(), log = log.display())]
    NotReady {
        part: Part,
        after: Duration,
        last: String,
        log: PathBuf,
    },

    #[error("{file} has no `{key}` that could be set")]
    NoSetting {
        file: &'static str,
        key: &'static str,
    },

    #[error("{part} is not running")]
    NotRunning { part: Part },

    #[error("preparing the roles and the database failed: {0}")]
    Bootstrap(String),

    #[error("making the stack's certificates failed: {0}")]
    Certificate(#[from] rcgen::Error),

    #[error("{path}: {source}", path = path.display())]
    File {
        path: PathBuf,
        source: std::io::Error,
    },

    #[error("starting {part} failed: {source}")]
    Spawn { part: Part, source: std::io::Error },
}

impl Error {
    /// For `map_err`: an I/O error with the path that it is about.
    pub(crate) fn file(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { path, source }
    }
}

/// The whole chain of causes in one line: `tokio-postgres` says only "db error" by itself.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
