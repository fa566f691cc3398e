//! The local stack: PostgreSQL, PgBouncer and what watches them (Prometheus, Alertmanager, exporters) as child processes, on
//! loopback, from the files that production uses.
//!
//! What it promises:
//! - `Stack::start` returns when every part really serves (`SELECT 1` through PgBouncer, Prometheus' `/-/ready`), or one clear error.
//! - No child outlives us: they are ended in order by `stop` or on drop, and by the kernel if we are killed.
//! - Two stacks don't meet: free ports and a temporary directory unless chosen otherwise; a chosen port that is taken is an
//!   error before anything starts.
//! - Children run without rights, passwords are random, and neither is ever in `Debug`, arguments or logs.
//!
//! ```no_run
//! # async fn example() -> anyhow::Result<()> {
//! let stack = flowviz_stack::Stack::start(flowviz_stack::Options::temporary()).await?;
//! let (client, connection) = tokio_postgres::connect(&stack.app_url(), tokio_postgres::NoTls).await?;
//! # Ok(()) }
//! ```

mod account;
mod directory;
mod error;
mod monitoring;
mod part;
mod pgbouncer;
mod ports;
mod postgres;
mod probe;
mod process;
mod programs;
mod secrets;
mod tls;
pub mod up;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use error::{Error, Result};
pub use monitoring::{Monitoring, MonitoringOptions, Notify};
pub use part::Part;
pub use ports::{Listener, Ports, claim as claim_port};
pub use probe::http_get;
pub use secrets::{DatabaseUrl, Secret, Secrets};
pub use tls::{Authority, SERVER_NAME};

use account::Account;
use directory::Directory;
use monitoring::{Surroundings, Watchers};
use pgbouncer::Pooler;
use ports::Claims;
use postgres::{Cluster, Role};
use process::{Launcher, Process};
use programs::Programs;
use tls::Tls;

/// How to run a stack. `temporary` and `persistent` give the two usual ones.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where everything is kept. `None`: a temporary directory, removed at the end.
    pub dir: Option<PathBuf>,
    pub ports: Ports,
    pub durability: Durability,
    pub monitoring: Monitoring,
    pub monitoring_options: MonitoringOptions,
    /// The servers prove who they are, PgBouncer takes no client without TLS, and the URLs ask for all of it.
    pub with_tls: bool,
    pub logins: Logins,
    /// `name = value`: settings of PgBouncer's that go before those of its file. For tests of what comes of other ones.
    pub pgbouncer_settings: Vec<String>,
    /// `name=value`, of PostgreSQL's.
    pub postgres_settings: Vec<String>,
}

/// Where PgBouncer finds the secrets of those who log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logins {
    /// In its own file, `userlist.txt`.
    UserList,
    /// In PostgreSQL, which it asks through the function that `auth_query.sql` makes: a role made there can log in at once.
    AuthQuery,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// A crash of the machine loses nothing that was committed.
    Full,
    /// PostgreSQL never waits for the disk: fast, and good for data that nobody will miss.
    Relaxed,
}

/// A running stack. Dropping it ends it (and blocks until it has ended); `stop` does the same without blocking.
#[derive(Debug)]
pub struct Stack {
    // Dropped from top to bottom: the parts first, in their order, and the directory last.
    running: BTreeMap<Part, Process>,
    watchers: Watchers,
    pooler: Pooler,
    cluster: Cluster,
    launcher: Launcher,
    directory: Directory,
}

// === impl Options ===

impl Options {
    /// For tests and benchmarks: a directory that is removed at the end, free ports, nothing waits for the disk.
    pub fn temporary() -> Self {
        Self {
            dir: None,
            ports: Ports::default(),
            durability: Durability::Relaxed,
            monitoring: Monitoring::Nothing,
            monitoring_options: MonitoringOptions::default(),
            with_tls: false,
            logins: Logins::UserList,
            pgbouncer_settings: Vec::new(),
            postgres_settings: Vec::new(),
        }
    }

    /// For people: data and passwords stay in `dir` from one run to the next.
    pub fn persistent(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: Some(dir.into()),
            durability: Durability::Full,
            monitoring: Monitoring::Everything,
            ..Self::temporary()
        }
    }

    /// One more setting of PgBouncer's: `name = value`.
    #[must_use]
    pub fn with_pgbouncer(mut self, setting: impl Into<String>) -> Self {
        self.pgbouncer_settings.push(setting.into());
        self
    }

    /// One more setting of PostgreSQL's: `name=value`.
    #[must_use]
    pub fn with_postgres(mut self, setting: impl Into<String>) -> Self {
        self.postgres_settings.push(setting.into());
        self
    }

    #[must_use]
    pub fn with_prometheus(mut self) -> Self {
        self.monitoring = Monitoring::Prometheus;
        self
    }

    /// Prometheus, Alertmanager and the exporters.
    #[must_use]
    pub fn with_monitoring(mut self, options: MonitoringOptions) -> Self {
        self.monitoring = Monitoring::Everything;
        self.monitoring_options = options;
        self
    }

    #[must_use]
    pub fn with_tls(mut self) -> Self {
        self.with_tls = true;
        self
    }
}

// === impl Stack ===

impl Stack {
    /// Starts every part and returns when all of them serve.
    pub async fn start(options: Options) -> Result<Self> {
        let watching = options.monitoring.parts();
        let programs = Programs::find(watching)?;
        let directory = Directory::open(options.dir.as_deref())?;
        postgres::wait_for_predecessor(directory.path()).await;
        // All of them before anything starts.
        let mut claims = Claims::default();
        let mut claim = |part: Part| {
            let listener = Listener::from(part);
            claims.claim(listener, options.ports.of(listener))
        };
        let postgres_port = claim(Part::Postgres)?;
        let pgbouncer_port = claim(Part::PgBouncer)?;
        let ports = watching.iter().map(|part| Ok((*part, claim(*part)?)));
        let ports = ports.collect::<Result<Vec<_>>>()?;
        drop(claims);

        let launcher = Launcher::new(Account::unprivileged()?, programs, directory.logs()?)?;
        let secrets = Secrets::open(directory.secrets())?;
        let tls = match options.with_tls {
            true => Some(Arc::new(Tls::prepare(&directory)?)),
            false => None,
        };
        let surroundings = Surroundings {
            directory: &directory,
            launcher: &launcher,
            secrets: &secrets,
            options: &options.monitoring_options,
            postgres_port,
            tls: tls.as_deref(),
        };
        let watchers = Watchers::prepare(&surroundings, &ports)?;

        let cluster = Cluster::prepare(
            &directory,
            &launcher,
            &secrets,
            postgres_port,
            &options,
            tls,
        )
        .await?;
        // In order, also where something fails halfway.
        let mut running = BTreeMap::new();
        running.insert(Part::Postgres, cluster.start(&launcher).await?);
        cluster.bootstrap(options.logins).await?;
        // They need nothing more and take a while to get ready: they are waited for last.
        for part in watching {
            running.insert(*part, watchers.launch(*part, &launcher)?);
        }

        let pooler = Pooler::prepare(
            &directory,
            &launcher,
            &secrets,
            pgbouncer_port,
            &cluster,
            &options,
        )?;
        let mut pgbouncer = pooler.start(&launcher).await?;
        pooler.until_serving(&mut pgbouncer).await?;
        running.insert(Part::PgBouncer, pgbouncer);

        for part in watching {
            if let Some(process) = running.get_mut(part) {
                watchers.until_ready(process).await?;
            }
        }
        Ok(Self {
            running,
            watchers,
            pooler,
            cluster,
            launcher,
            directory,
        })
    }

    /// Ends every part in order and waits for each.
    pub async fn stop(mut self) {
        while let Some((_, process)) = self.running.pop_first() {
            process.stop().await;
        }
    }

    /// `flowviz`, who owns the database, straight to PostgreSQL: for migrations.
    pub fn owner_url(&self) -> DatabaseUrl {
        self.direct_url(Role::Owner)
    }

    /// `flowviz_app`, as the functions connect: through PgBouncer.
    pub fn app_url(&self) -> DatabaseUrl {
        self.pooler.app_url()
    }

    /// `flowviz_app` straight to PostgreSQL.
    pub fn app_direct_url(&self) -> DatabaseUrl {
        self.direct_url(Role::App)
    }

    /// `flowviz_monitor` (in `pg_monitor`), straight to PostgreSQL: for exporters.
    pub fn monitor_url(&self) -> DatabaseUrl {
        self.direct_url(Role::Monitor)
    }

    /// PgBouncer's console as `flowviz_stats`, who may SHOW and nothing else. Speaks only the simple protocol.
    pub fn pgbouncer_stats_url(&self) -> DatabaseUrl {
        self.pooler.stats_url()
    }

    /// PgBouncer's console as `flowviz_admin`, who may also PAUSE, RESUME, RECONNECT ... Speaks only the simple protocol.
    pub fn pgbouncer_admin_url(&self) -> DatabaseUrl {
        self.pooler.admin_url()
    }

    /// `127.0.0.1:port`: what a component must be allowed to connect to.
    pub fn pgbouncer_host(&self) -> String {
        format!("127.0.0.1:{}", self.pooler.port())
    }

    /// The certificate that clients have to trust, as a PEM file, if the stack has TLS.
    pub fn root_certificate(&self) -> Option<&Path> {
        self.cluster.tls().map(|tls| tls.root())
    }

    /// `http://127.0.0.1:port`, if the stack runs Prometheus.
    pub fn prometheus_url(&self) -> Option<String> {
        self.watchers.url(Part::Prometheus)
    }

    /// `http://127.0.0.1:port`, if the stack runs Alertmanager.
    pub fn alertmanager_url(&self) -> Option<String> {
        self.watchers.url(Part::Alertmanager)
    }

    /// `http://127.0.0.1:port/metrics`, if the stack runs this exporter.
    pub fn exporter_url(&self, part: Part) -> Option<String> {
        Some(format!("{}/metrics", self.watchers.url(part)?))
    }

    /// Makes Prometheus scrape a host's admin listener as the job `functions`, in place of the one before.
    pub fn scrape_host(&self, admin: SocketAddr) -> Result<()> {
        self.watchers.scrape_host(admin)
    }

    /// The stack's directory: `logs/` says why something doesn't work.
    pub fn dir(&self) -> &Path {
        self.directory.path()
    }

    /// The process id of a part, while it runs: for tests that freeze or kill it.
    pub fn pid(&self, part: Part) -> Option<u32> {
        self.running.get(&part).map(Process::pid)
    }

    /// An error if a part that should be running has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        self.running.values_mut().try_for_each(Process::check)
    }

    /// A part is gone without a word, as after a crash (SIGKILL), until it is started again.
    pub fn kill(&mut self, part: Part) {
        if let Some(mut process) = self.running.remove(&part) {
            process.kill();
        }
    }

    /// A part goes away in order; the others stay.
    pub async fn stop_part(&mut self, part: Part) {
        if let Some(process) = self.running.remove(&part) {
            process.stop().await;
        }
    }

    /// A part is back, on the same port, and answers; whether another is behind it is another matter. An error for one that the
    /// stack was started without.
    pub async fn start_part(&mut self, part: Part) -> Result<()> {
        if self.running.contains_key(&part) {
            return Ok(());
        }
        let process = match part {
            Part::Postgres => {
                postgres::wait_for_predecessor(self.directory.path()).await;
                self.cluster.start(&self.launcher).await?
            }
            Part::PgBouncer => self.pooler.start(&self.launcher).await?,
            _ => {
                let mut process = self.watchers.launch(part, &self.launcher)?;
                self.watchers.until_ready(&mut process).await?;
                process
            }
        };
        self.running.insert(part, process);
        Ok(())
    }

    /// PostgreSQL goes away; PgBouncer stays.
    pub async fn stop_postgres(&mut self) {
        self.stop_part(Part::Postgres).await;
    }

    /// PostgreSQL is back. PgBouncer finds out by itself (`server_login_retry`).
    pub async fn start_postgres(&mut self) -> Result<()> {
        self.start_part(Part::Postgres).await
    }

    pub async fn stop_pgbouncer(&mut self) {
        self.stop_part(Part::PgBouncer).await;
    }

    pub async fn start_pgbouncer(&mut self) -> Result<()> {
        self.start_part(Part::PgBouncer).await
    }

    fn direct_url(&self, role: Role) -> DatabaseUrl {
        DatabaseUrl::new(
            role.name(),
            self.cluster.password(role),
            self.cluster.port(),
            postgres::DATABASE,
            self.cluster.tls().map(Arc::as_ref),
        )
    }
}
