//! The local stack: PostgreSQL, PgBouncer and what watches them (Prometheus, Alertmanager, exporters) as child processes, on loopback, from the files that production uses.
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
use monitoring::{WatcherPorts, Watching};
use pgbouncer::Pooler;
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
    // Dropped from top to bottom: whoever uses a part ends before it, and the directory goes last.
    watching: Option<Watching>,
    pgbouncer: Option<Process>,
    postgres: Option<Process>,
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
        let programs = Programs::find(options.monitoring)?;
        let directory = Directory::open(options.dir.as_deref())?;
        postgres::wait_for_predecessor(directory.path()).await;
        // All of them before anything starts.
        let postgres_port = ports::claim(Listener::Postgres, options.ports.postgres)?;
        let pgbouncer_port = ports::claim(Listener::PgBouncer, options.ports.pgbouncer)?;
        let watcher_ports = WatcherPorts::claim(options.monitoring, &options.ports)?;

        let launcher = Launcher::new(Account::unprivileged()?, programs, directory.logs()?)?;
        let secrets = Secrets::open(directory.secrets())?;

        // Prometheus takes longest to get ready and needs nobody: it starts first and is waited for last.
        let watchers = launcher.programs().watchers.clone();
        let mut watching = match (watcher_ports, &watchers) {
            (Some(ports), Some(watchers)) => {
                let options = &options.monitoring_options;
                Some(Watching::start(
                    &directory, &launcher, watchers, ports, options,
                )?)
            }
            _ => None,
        };

        let tls = match options.with_tls {
            true => Some(Arc::new(Tls::prepare(&directory)?)),
            false => None,
        };
        let cluster = Cluster::prepare(
            &directory,
            &launcher,
            &secrets,
            postgres_port,
            &options,
            tls,
        )
        .await?;
        let postgres = cluster.start(&launcher).await?;
        cluster.bootstrap(options.logins).await?;

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

        let mut stack = Self {
            watching: None,
            pgbouncer: Some(pgbouncer),
            postgres: Some(postgres),
            pooler,
            cluster,
            launcher,
            directory,
        };
        if let (Some(watching), Some(watchers)) = (&mut watching, &watchers) {
            let database = stack.monitor_url();
            watching.watch_postgres(&stack.directory, &stack.launcher, watchers, &database)?;
            watching.until_ready().await?;
        }
        stack.watching = watching;
        Ok(stack)
    }

    /// Ends every part in order and waits for each.
    pub async fn stop(mut self) {
        if let Some(watching) = self.watching.take() {
            watching.stop().await;
        }
        let parts = [self.pgbouncer.take(), self.postgres.take()];
        for process in parts.into_iter().flatten() {
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
        self.watching.as_ref().map(Watching::prometheus_url)
    }

    /// `http://127.0.0.1:port`, if the stack runs Alertmanager.
    pub fn alertmanager_url(&self) -> Option<String> {
        self.watching.as_ref()?.alertmanager_url()
    }

    /// Makes Prometheus scrape a host's admin listener as the job `functions`, in place of the one before.
    pub fn scrape_host(&self, admin: SocketAddr) -> Result<()> {
        let part = Part::Prometheus;
        self.watching
            .as_ref()
            .ok_or(Error::NotRunning { part })?
            .scrape_host(admin)
    }

    /// The stack's directory: `logs/` says why something doesn't work.
    pub fn dir(&self) -> &Path {
        self.directory.path()
    }

    /// The process id of a part, while it runs: for tests that freeze or kill it.
    pub fn pid(&self, part: Part) -> Option<u32> {
        let process = match part {
            Part::Postgres => &self.postgres,
            Part::PgBouncer => &self.pgbouncer,
            Part::Host => &None,
            watcher => return self.watching.as_ref()?.pid(watcher),
        };
        process.as_ref().map(Process::pid)
    }

    /// An error if a part that should be running has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        [&mut self.postgres, &mut self.pgbouncer]
            .into_iter()
            .flatten()
            .try_for_each(Process::check)?;
        self.watching.as_mut().map_or(Ok(()), Watching::check)
    }

    /// A part is gone without a word, as after a crash (SIGKILL), until it is started again.
    pub fn kill(&mut self, part: Part) {
        let process = match part {
            Part::Postgres => self.postgres.take(),
            Part::PgBouncer => self.pgbouncer.take(),
            Part::Host => None,
            watcher => {
                if let Some(watching) = &mut self.watching {
                    watching.kill(watcher);
                }
                None
            }
        };
        if let Some(mut process) = process {
            process.kill();
        }
    }

    /// PostgreSQL goes away; PgBouncer stays.
    pub async fn stop_postgres(&mut self) {
        if let Some(process) = self.postgres.take() {
            process.stop().await;
        }
    }

    /// PostgreSQL is back, on the same port, and answers. PgBouncer finds out by itself (`server_login_retry`).
    pub async fn start_postgres(&mut self) -> Result<()> {
        if self.postgres.is_none() {
            postgres::wait_for_predecessor(self.directory.path()).await;
            self.postgres = Some(self.cluster.start(&self.launcher).await?);
        }
        Ok(())
    }

    pub async fn stop_pgbouncer(&mut self) {
        if let Some(process) = self.pgbouncer.take() {
            process.stop().await;
        }
    }

    /// PgBouncer is back, on the same port; whether PostgreSQL is behind it is another matter.
    pub async fn start_pgbouncer(&mut self) -> Result<()> {
        if self.pgbouncer.is_none() {
            self.pgbouncer = Some(self.pooler.start(&self.launcher).await?);
        }
        Ok(())
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
