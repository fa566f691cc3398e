//! What watches: Prometheus with its rules, and, where it is wanted, Alertmanager and the exporters.
//!
//! Each of them is a [`Server`]: its own module writes its files and says how it is started.

mod alertmanager;
mod exporters;
mod files;
mod prometheus;
mod rules;
mod server;
mod settings;

use std::net::{Ipv4Addr, SocketAddr};

use crate::directory::Directory;
use crate::error::{Error, Result};
use crate::part::Part;
use crate::process::{Launcher, Process};
use crate::secrets::Secrets;
use crate::tls::Tls;
use prometheus::Targets;
use server::Server;

pub use alertmanager::Notify;

/// How much of it runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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

/// Those that watch, ready to be started.
#[derive(Debug)]
pub(crate) struct Watchers {
    servers: Vec<Server>,
    targets: Option<Targets>,
}

/// What they have to know.
pub(crate) struct Surroundings<'a> {
    pub directory: &'a Directory,
    pub launcher: &'a Launcher,
    pub secrets: &'a Secrets,
    pub options: &'a MonitoringOptions,
    pub postgres_port: u16,
    pub tls: Option<&'a Tls>,
}

// === impl Monitoring ===

impl Monitoring {
    pub(crate) fn parts(self) -> &'static [Part] {
        match self {
            Self::Nothing => &[],
            Self::Prometheus => &[Part::Prometheus],
            Self::Everything => &[
                Part::Prometheus,
                Part::Alertmanager,
                Part::NodeExporter,
                Part::PostgresExporter,
            ],
        }
    }
}

// === impl Watchers ===

impl Watchers {
    /// Writes the files of each of the parts, which is to listen on its port.
    pub(crate) fn prepare(around: &Surroundings<'_>, ports: &[(Part, u16)]) -> Result<Self> {
        let servers = ports
            .iter()
            .map(|(part, port)| {
                let address = SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
                match *part {
                    Part::Prometheus => prometheus::prepare(around, address),
                    Part::Alertmanager => alertmanager::prepare(around, address),
                    Part::NodeExporter => exporters::node(around, address),
                    Part::PostgresExporter => exporters::postgres(around, address),
                    part @ (Part::Host | Part::PgBouncer | Part::Postgres) => {
                        Err(Error::NotRunning { part })
                    }
                }
            })
            .collect::<Result<Vec<_>>>()?;
        let targets = match servers.is_empty() {
            true => None,
            false => Some(Targets::write(around.directory, &servers)?),
        };
        Ok(Self { servers, targets })
    }

    /// Starts one; `until_ready` waits for it, so that several get ready side by side.
    pub(crate) fn launch(&self, part: Part, launcher: &Launcher) -> Result<Process> {
        self.server(part)?.launch(launcher)
    }

    pub(crate) async fn until_ready(&self, process: &mut Process) -> Result<()> {
        self.server(process.part())?.until_ready(process).await
    }

    /// `http://127.0.0.1:port`, if the stack was started with this part.
    pub(crate) fn url(&self, part: Part) -> Option<String> {
        Some(format!("http://{}", self.server(part).ok()?.address))
    }

    pub(crate) fn scrape_host(&self, admin: SocketAddr) -> Result<()> {
        let part = Part::Prometheus;
        let targets = self.targets.as_ref().ok_or(Error::NotRunning { part })?;
        targets.set("functions", Some(admin))
    }

    fn server(&self, part: Part) -> Result<&Server> {
        let mut servers = self.servers.iter();
        servers
            .find(|server| server.part == part)
            .ok_or(Error::NotRunning { part })
    }
}
