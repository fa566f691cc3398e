//! Prometheus, from the file that production uses; only the files of `targets/` beside it are made here.

use std::fs::{self, Permissions};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::directory::{Directory, own_dir};
use crate::error::{Error, Result};
use crate::part::Part;
use crate::probe;
use crate::process::{Launch, Launcher, Process};

const CONFIGURATION: &str = include_str!("../../../observability/prometheus/prometheus.yml");
const READY_WITHIN: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(crate) struct Monitoring {
    dir: PathBuf,
    port: u16,
}

impl Monitoring {
    pub(crate) fn prepare(directory: &Directory, launcher: &Launcher, port: u16) -> Result<Self> {
        let account = launcher.account();
        let dir = directory.part("prometheus", account)?;
        own_dir(&dir.join("targets"), account)?;
        own_dir(&dir.join("data"), account)?;
        let this = Self { dir, port };
        write_readable(&this.dir.join("prometheus.yml"), CONFIGURATION)?;
        this.set_targets("prometheus", Some(&this.address()))?;
        this.set_targets("functions", None)?;
        Ok(this)
    }

    /// Starts it; `until_ready` waits for it, so that it can start while others do.
    pub(crate) fn launch(&self, launcher: &Launcher, program: &Path) -> Result<Process> {
        launcher.launch(Launch {
            part: Part::Prometheus,
            program,
            arguments: vec![
                "--config.file=prometheus.yml".to_owned(),
                "--storage.tsdb.path=data".to_owned(),
                format!("--web.listen-address={}", self.address()),
                "--log.level=warn".to_owned(),
            ],
            dir: &self.dir,
            environment: Vec::new(),
            account: launcher.account(),
        })
    }

    pub(crate) async fn until_ready(&self, process: &mut Process) -> Result<()> {
        let address = self.address();
        probe::until_ready(process, READY_WITHIN, async || {
            match probe::http_get(&address, "/-/ready").await {
                Ok((200, _)) => Ok(()),
                Ok((status, _)) => Err(format!("/-/ready answers {status}")),
                Err(error) => Err(error.to_string()),
            }
        })
        .await
    }

    pub(crate) fn scrape_host(&self, admin: SocketAddr) -> Result<()> {
        self.set_targets("functions", Some(&admin.to_string()))
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Prometheus watches the file and takes the change up at once.
    fn set_targets(&self, job: &str, address: Option<&str>) -> Result<()> {
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

/// Whole or not at all, so that Prometheus never reads half a file. Nothing secret is in there.
fn write_readable(path: &Path, content: &str) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, content).map_err(Error::file(&new))?;
    fs::set_permissions(&new, Permissions::from_mode(0o644)).map_err(Error::file(&new))?;
    fs::rename(&new, path).map_err(Error::file(path))
}
