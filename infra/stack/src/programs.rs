//! Where the programs are. Debian keeps PostgreSQL's server programs and PgBouncer out of an ordinary user's `PATH`.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::monitoring::Monitoring;

/// Found programs; made once, so that a missing package is known before anything starts.
#[derive(Debug, Clone)]
pub(crate) struct Programs {
    pub initdb: PathBuf,
    pub postgres: PathBuf,
    pub pgbouncer: PathBuf,
    pub watchers: Option<Watchers>,
    /// util-linux: changes the user and sets the signal that a child gets when its parent dies.
    pub setpriv: PathBuf,
    /// util-linux: raises the limit on open files.
    pub prlimit: PathBuf,
}

/// What watches.
#[derive(Debug, Clone)]
pub(crate) struct Watchers {
    pub prometheus: PathBuf,
    pub rest: Option<Rest>,
}

/// All but Prometheus.
#[derive(Debug, Clone)]
pub(crate) struct Rest {
    pub alertmanager: PathBuf,
    pub node_exporter: PathBuf,
    pub postgres_exporter: PathBuf,
}

impl Programs {
    pub(crate) fn find(monitoring: Monitoring) -> Result<Self> {
        Ok(Self {
            initdb: find("initdb", "postgresql-15")?,
            postgres: find("postgres", "postgresql-15")?,
            pgbouncer: find("pgbouncer", "pgbouncer")?,
            watchers: Watchers::find(monitoring)?,
            setpriv: find("setpriv", "util-linux")?,
            prlimit: find("prlimit", "util-linux")?,
        })
    }
}

impl Watchers {
    fn find(monitoring: Monitoring) -> Result<Option<Self>> {
        // Debian's packages are called as their programs.
        let named = |name| find(name, name);
        let rest = || -> Result<Rest> {
            Ok(Rest {
                alertmanager: named("prometheus-alertmanager")?,
                node_exporter: named("prometheus-node-exporter")?,
                postgres_exporter: named("prometheus-postgres-exporter")?,
            })
        };
        Ok(match monitoring {
            Monitoring::Nothing => None,
            Monitoring::Prometheus | Monitoring::Everything => Some(Self {
                prometheus: named("prometheus")?,
                rest: (monitoring == Monitoring::Everything)
                    .then(rest)
                    .transpose()?,
            }),
        })
    }
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
