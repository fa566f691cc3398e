//! What watches: Prometheus with its rules, and, where it is wanted, Alertmanager and the exporters.

mod alertmanager;
mod exporters;
mod prometheus;
mod rules;
mod settings;

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::part::Part;
use crate::ports::{self, Listener, Ports};
use crate::probe;
use crate::process::{Launcher, Process};
use crate::programs::Watchers;
use crate::secrets::DatabaseUrl;
use alertmanager::Alertmanager;
use prometheus::Prometheus;

pub use alertmanager::Notify;

const READY_WITHIN: Duration = Duration::from_secs(60);

/// How much of it runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Monitoring {
    #[default]
    Nothing,
    /// Prometheus alone, with its rules.
    Prometheus,
    /// Alertmanager, and the exporters of PostgreSQL and the machine, too.
    Everything,
}

/// How it differs from production's.
#[derive(Debug, Clone, Default)]
pub struct MonitoringOptions {
    pub notify: Option<Notify>,
    /// Windows and waits are divided by so much: what takes minutes in the plant takes seconds in a test.
    pub shortened: Option<u32>,
}

/// A port for each, chosen before anything starts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WatcherPorts {
    prometheus: u16,
    rest: Option<RestPorts>,
}

#[derive(Debug, Clone, Copy)]
struct RestPorts {
    alertmanager: u16,
    node: u16,
    postgres: u16,
}

/// A watcher that was started.
#[derive(Debug)]
struct Program {
    process: Process,
    address: String,
    /// A path that answers 200 when it is ready.
    ready: &'static str,
}

/// All that was started. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Watching {
    programs: Vec<Program>,
    prometheus: Prometheus,
    alertmanager: Option<Alertmanager>,
    rest: Option<RestPorts>,
}

// === impl WatcherPorts ===

impl WatcherPorts {
    pub(crate) fn claim(monitoring: Monitoring, wanted: &Ports) -> Result<Option<Self>> {
        let rest = || -> Result<RestPorts> {
            Ok(RestPorts {
                alertmanager: ports::claim(Listener::Alertmanager, wanted.alertmanager)?,
                node: ports::claim(Listener::NodeExporter, wanted.node_exporter)?,
                postgres: ports::claim(Listener::PostgresExporter, wanted.postgres_exporter)?,
            })
        };
        Ok(match monitoring {
            Monitoring::Nothing => None,
            Monitoring::Prometheus | Monitoring::Everything => Some(Self {
                prometheus: ports::claim(Listener::Prometheus, wanted.prometheus)?,
                rest: (monitoring == Monitoring::Everything)
                    .then(rest)
                    .transpose()?,
            }),
        })
    }
}

// === impl Watching ===

impl Watching {
    /// Starts those that need nobody else; `until_ready` waits for them, so that they can start while others do.
    pub(crate) fn start(
        directory: &Directory,
        launcher: &Launcher,
        programs: &Watchers,
        ports: WatcherPorts,
        options: &MonitoringOptions,
    ) -> Result<Self> {
        let shortened = options.shortened;
        let prometheus = Prometheus::prepare(directory, launcher, ports.prometheus, shortened)?;
        let mut started = vec![prometheus.launch(launcher, &programs.prometheus)?];
        let mut alertmanager = None;
        if let (Some(rest), Some(programs)) = (ports.rest, &programs.rest) {
            let notify = options.notify.as_ref();
            let one =
                Alertmanager::prepare(directory, launcher, rest.alertmanager, notify, shortened)?;
            started.push(one.launch(launcher, &programs.alertmanager)?);
            alertmanager = Some(one);
            started.push(exporters::node(
                directory,
                launcher,
                &programs.node_exporter,
                rest.node,
            )?);
            prometheus.set_targets("alertmanager", Some(&loopback(rest.alertmanager)))?;
            prometheus.set_targets("node", Some(&loopback(rest.node)))?;
            prometheus.set_targets("postgres", Some(&loopback(rest.postgres)))?;
        }
        Ok(Self {
            programs: started,
            prometheus,
            alertmanager,
            rest: ports.rest,
        })
    }

    /// The database is there.
    pub(crate) fn watch_postgres(
        &mut self,
        directory: &Directory,
        launcher: &Launcher,
        programs: &Watchers,
        database: &DatabaseUrl,
    ) -> Result<()> {
        if let (Some(rest), Some(programs)) = (self.rest, &programs.rest) {
            let program = &programs.postgres_exporter;
            self.programs.push(exporters::postgres(
                directory,
                launcher,
                program,
                rest.postgres,
                database,
            )?);
        }
        Ok(())
    }

    pub(crate) async fn until_ready(&mut self) -> Result<()> {
        for program in &mut self.programs {
            let (address, path) = (&program.address, program.ready);
            probe::until_ready(
                &mut program.process,
                READY_WITHIN,
                async || match probe::http_get(address, path).await {
                    Ok((200, _)) => Ok(()),
                    Ok((status, _)) => Err(format!("{path} answers {status}")),
                    Err(error) => Err(error.to_string()),
                },
            )
            .await?;
        }
        Ok(())
    }

    pub(crate) fn scrape_host(&self, admin: SocketAddr) -> Result<()> {
        self.prometheus
            .set_targets("functions", Some(&admin.to_string()))
    }

    pub(crate) fn prometheus_url(&self) -> String {
        format!("http://{}", loopback(self.prometheus.port))
    }

    pub(crate) fn alertmanager_url(&self) -> Option<String> {
        let alertmanager = self.alertmanager.as_ref()?;
        Some(format!("http://{}", loopback(alertmanager.port)))
    }

    pub(crate) fn pid(&self, part: Part) -> Option<u32> {
        let is_it = |program: &&Program| program.process.part() == part;
        Some(self.programs.iter().find(is_it)?.process.pid())
    }

    pub(crate) fn check(&mut self) -> Result<()> {
        self.programs
            .iter_mut()
            .try_for_each(|program| program.process.check())
    }

    /// A part is gone without a word.
    pub(crate) fn kill(&mut self, part: Part) {
        let is_it = |program: &mut Program| program.process.part() == part;
        for mut program in self.programs.extract_if(.., is_it) {
            program.process.kill();
        }
    }

    pub(crate) async fn stop(self) {
        for program in self.programs {
            program.process.stop().await;
        }
    }
}

fn loopback(port: u16) -> String {
    format!("127.0.0.1:{port}")
}

/// Whole or not at all, so that nobody ever reads half a file. Nothing secret is in there.
fn write_readable(path: &Path, content: &str) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, content).map_err(Error::file(&new))?;
    fs::set_permissions(&new, Permissions::from_mode(0o644)).map_err(Error::file(&new))?;
    fs::rename(&new, path).map_err(Error::file(path))
}
