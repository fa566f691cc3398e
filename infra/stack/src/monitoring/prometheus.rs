//! Prometheus, from the files that production uses; only those of `targets/` beside them are made here.

use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

use super::{Program, rules, write_readable};
use crate::directory::{Directory, own_dir};
use crate::error::Result;
use crate::part::Part;
use crate::process::{Launch, Launcher};

const CONFIGURATION: &str = include_str!("../../../../observability/prometheus/prometheus.yml");
static RULES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../observability/prometheus/rules");

/// As production's.
const JOBS: [&str; 6] = [
    "functions",
    "pgbouncer",
    "postgres",
    "node",
    "prometheus",
    "alertmanager",
];

#[derive(Debug)]
pub(super) struct Prometheus {
    dir: PathBuf,
    pub port: u16,
}

impl Prometheus {
    /// `shortened`: its windows and waits are divided by so much.
    pub(super) fn prepare(
        directory: &Directory,
        launcher: &Launcher,
        port: u16,
        shortened: Option<u32>,
    ) -> Result<Self> {
        let account = launcher.account();
        let dir = directory.part("prometheus", account)?;
        for part in ["targets", "data", "rules"] {
            own_dir(&dir.join(part), account)?;
        }
        let told = |text: &str| match shortened {
            Some(by) => rules::shorten(text, by),
            None => text.to_owned(),
        };
        let this = Self { dir, port };
        write_readable(&this.dir.join("prometheus.yml"), &told(CONFIGURATION))?;
        for file in RULES.files() {
            let text = file.contents_utf8().unwrap_or_default();
            write_readable(&this.dir.join("rules").join(file.path()), &told(text))?;
        }
        for job in JOBS {
            this.set_targets(job, None)?;
        }
        this.set_targets("prometheus", Some(&super::loopback(port)))?;
        Ok(this)
    }

    pub(super) fn launch(&self, launcher: &Launcher, program: &Path) -> Result<Program> {
        let address = super::loopback(self.port);
        let launch = Launch {
            part: Part::Prometheus,
            program,
            arguments: vec![
                "--config.file=prometheus.yml".to_owned(),
                "--storage.tsdb.path=data".to_owned(),
                "--storage.tsdb.retention.time=30d".to_owned(),
                "--web.enable-lifecycle".to_owned(),
                format!("--web.listen-address={address}"),
                "--log.level=warn".to_owned(),
            ],
            dir: &self.dir,
            environment: Vec::new(),
            account: launcher.account(),
        };
        Ok(Program {
            process: launcher.launch(launch)?,
            address,
            ready: "/-/ready",
        })
    }

    /// Prometheus watches the file and takes the change up at once.
    pub(super) fn set_targets(&self, job: &str, address: Option<&str>) -> Result<()> {
        let targets = match address {
            Some(address) => format!("[{{\"targets\": [\"{address}\"]}}]\n"),
            None => "[]\n".to_owned(),
        };
        write_readable(
            &self.dir.join("targets").join(job).with_extension("json"),
            &targets,
        )
    }
}
