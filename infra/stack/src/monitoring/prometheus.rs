//! Prometheus, from the files that production uses; only those of `targets/` beside them are made here.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use include_dir::{Dir, include_dir};

use super::files::{write_folder, write_readable};
use super::server::Server;
use super::{Surroundings, rules};
use crate::directory::{Directory, own_dir};
use crate::error::Result;
use crate::part::Part;

pub(super) const CONFIGURATION: &str =
    include_str!("../../../../observability/prometheus/prometheus.yml");
pub(super) static RULES: Dir<'_> =
    include_dir!("$CARGO_MANIFEST_DIR/../../observability/prometheus/rules");

const DIR: &str = "prometheus";
const TARGETS: &str = "targets";
/// Prometheus' own.
const RESEND_DELAY: Duration = Duration::from_secs(60);

/// Production's jobs, and whom each of them scrapes in this stack: the host once it is known, and nobody for PgBouncer, of which the
/// host tells.
const JOBS: [(&str, Option<Part>); 6] = [
    ("functions", None),
    ("pgbouncer", None),
    ("postgres", Some(Part::PostgresExporter)),
    ("node", Some(Part::NodeExporter)),
    ("prometheus", Some(Part::Prometheus)),
    ("alertmanager", Some(Part::Alertmanager)),
];

/// The files that say where the jobs' targets are.
#[derive(Debug)]
pub(super) struct Targets(PathBuf);

pub(super) fn prepare(around: &Surroundings<'_>, address: SocketAddr) -> Result<Server> {
    let account = around.launcher.account();
    let dir = around.directory.part(DIR, account)?;
    for part in [TARGETS, "data"] {
        own_dir(&dir.join(part), account)?;
    }
    let told = |text: &str| match around.options.shortened {
        Some(by) => rules::shorten(text, by),
        None => text.to_owned(),
    };
    write_readable(&dir.join("prometheus.yml"), &told(CONFIGURATION))?;
    write_folder(&RULES, &dir.join("rules"), account, told)?;
    let mut arguments = vec![
        "--config.file=prometheus.yml".to_owned(),
        "--storage.tsdb.path=data".to_owned(),
        "--storage.tsdb.retention.time=30d".to_owned(),
        "--web.enable-lifecycle".to_owned(),
        format!("--web.listen-address={address}"),
        // In alerts. The machine's name, which it would take, leads to where it doesn't listen.
        format!("--web.external-url=http://{address}"),
        "--log.level=warn".to_owned(),
    ];
    if let Some(by) = around.options.shortened {
        // What fires before Alertmanager is known is told with the next repetition.
        let repeat = RESEND_DELAY / by;
        arguments.push(format!(
            "--rules.alert.resend-delay={}ms",
            repeat.as_millis()
        ));
    }
    Ok(Server {
        part: Part::Prometheus,
        address,
        dir,
        arguments,
        environment: Vec::new(),
        ready: "/-/ready",
    })
}

// === impl Targets ===

impl Targets {
    /// A file for every job: without targets where nobody is there.
    pub(super) fn write(directory: &Directory, servers: &[Server]) -> Result<Self> {
        let targets = Self(directory.path().join(DIR).join(TARGETS));
        for (job, part) in JOBS {
            let server = servers.iter().find(|server| Some(server.part) == part);
            targets.set(job, server.map(|server| server.address))?;
        }
        Ok(targets)
    }

    /// Prometheus watches the file and takes the change up at once.
    pub(super) fn set(&self, job: &str, address: Option<SocketAddr>) -> Result<()> {
        let targets = match address {
            Some(address) => format!("[{{\"targets\": [\"{address}\"]}}]\n"),
            None => "[]\n".to_owned(),
        };
        write_readable(&self.0.join(job).with_extension("json"), &targets)
    }
}
