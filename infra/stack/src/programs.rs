//! Where the programs are. Debian keeps PostgreSQL's server programs and PgBouncer out of an ordinary user's `PATH`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::part::Part;

/// Found programs; made once, so that a missing package is known before anything starts.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub initdb: PathBuf,
    pub postgres: PathBuf,
    pub pgbouncer: PathBuf,
    watchers: BTreeMap<Part, PathBuf>,
    /// util-linux: changes the user and sets the signal that a child gets when its parent dies.
    pub setpriv: PathBuf,
    /// util-linux: raises the limit on open files.
    pub prlimit: PathBuf,
}

impl Programs {
    pub(crate) fn find(watchers: &[Part]) -> Result<Self> {
        Ok(Self {
            initdb: find("initdb", "postgresql-15")?,
            postgres: find("postgres", "postgresql-15")?,
            pgbouncer: find("pgbouncer", "pgbouncer")?,
            watchers: watchers
                .iter()
                .map(|part| Ok((*part, watcher(*part)?)))
                .collect::<Result<_>>()?,
            setpriv: find("setpriv", "util-linux")?,
            prlimit: find("prlimit", "util-linux")?,
        })
    }

    pub(crate) fn watcher(&self, part: Part) -> Result<&Path> {
        let found = self.watchers.get(&part);
        found
            .map(PathBuf::as_path)
            .ok_or(Error::NotRunning { part })
    }
}

/// Debian's packages are called as their programs.
fn watcher(part: Part) -> Result<PathBuf> {
    let name = match part {
        Part::Prometheus => "prometheus",
        Part::Alertmanager => "prometheus-alertmanager",
        Part::NodeExporter => "prometheus-node-exporter",
        Part::PostgresExporter => "prometheus-postgres-exporter",
        Part::Host | Part::PgBouncer | Part::Postgres => return Err(Error::NotRunning { part }),
    };
    find(name, name)
}

fn find(program: &'static str, package: &'static str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    postgres_directories()
        .into_iter()
        .chain(std::env::split_paths(&path))
        .chain(["/usr/sbin", "/usr/bin", "/usr/local/bin"].map(PathBuf::from))
        .map(|directory| directory.join(program))
        .find(|candidate| candidate.is_file())
        .ok_or(Error::NotInstalled { program, package })
}

/// `/usr/lib/postgresql/<version>/bin`, highest version first.
fn postgres_directories() -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir("/usr/lib/postgresql") else {
        return Vec::new();
    };
    let mut versions: Vec<(u32, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join(Path::new("bin"))))
        })
        .collect();
    versions.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    versions
        .into_iter()
        .map(|(_, directory)| directory)
        .collect()
}
