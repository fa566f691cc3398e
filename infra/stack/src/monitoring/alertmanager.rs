//! Alertmanager, from the files that production uses; where mail and messages go is set here.

use std::path::{Path, PathBuf};

use include_dir::{Dir, include_dir};

use super::{Program, rules, settings, write_readable};
use crate::directory::{Directory, own_dir};
use crate::error::{Error, Result};
use crate::part::Part;
use crate::process::{Launch, Launcher};

const CONFIGURATION: &str = include_str!("../../../../observability/alertmanager/alertmanager.yml");
static TEMPLATES: Dir<'_> =
    include_dir!("$CARGO_MANIFEST_DIR/../../observability/alertmanager/templates");

/// Where what fires is told. Without it, nobody is told; Alertmanager's own page shows it.
#[derive(Debug, Clone)]
pub struct Notify {
    /// `host:port` of a server that takes mail without TLS.
    pub smtp: String,
    /// A Slack webhook.
    pub slack: String,
    /// Hears the Watchdog.
    pub dead_mans_switch: String,
}

#[derive(Debug)]
pub(super) struct Alertmanager {
    dir: PathBuf,
    pub port: u16,
}

impl Alertmanager {
    pub(super) fn prepare(
        directory: &Directory,
        launcher: &Launcher,
        port: u16,
        notify: Option<&Notify>,
        shortened: Option<u32>,
    ) -> Result<Self> {
        let account = launcher.account();
        let dir = directory.part("alertmanager", account)?;
        for part in ["templates", "secrets", "data"] {
            own_dir(&dir.join(part), account)?;
        }
        for file in TEMPLATES.files() {
            let text = file.contents_utf8().unwrap_or_default();
            write_readable(&dir.join("templates").join(file.path()), text)?;
        }
        let mut configuration = CONFIGURATION.to_owned();
        let mut set = |key: &'static str, value: &str| -> Result<()> {
            configuration = settings::set(&configuration, key, value).ok_or(Error::NoSetting {
                file: "alertmanager.yml",
                key,
            })?;
            Ok(())
        };
        let secret = |name: &str, value: &str| -> Result<String> {
            let file = dir.join("secrets").join(name);
            crate::secrets::write_private(&file, value)?;
            account.own(&file)?;
            Ok(file.display().to_string())
        };
        let nowhere = "http://127.0.0.1:1/";
        set(
            "slack_api_url_file",
            &secret("slack_url", notify.map_or(nowhere, |to| &to.slack))?,
        )?;
        set("smtp_auth_password_file", &secret("smtp_password", "none")?)?;
        match notify {
            Some(to) => {
                set("smtp_smarthost", &to.smtp)?;
                set("smtp_require_tls", "false")?;
                set("url", &to.dead_mans_switch)?;
            }
            None => set("receiver", "nobody")?,
        }
        if let Some(by) = shortened {
            configuration = rules::shorten(&configuration, by);
        }
        write_readable(&dir.join("alertmanager.yml"), &configuration)?;
        Ok(Self { dir, port })
    }

    pub(super) fn launch(&self, launcher: &Launcher, program: &Path) -> Result<Program> {
        let address = super::loopback(self.port);
        let launch = Launch {
            part: Part::Alertmanager,
            program,
            arguments: vec![
                "--config.file=alertmanager.yml".to_owned(),
                "--storage.path=data".to_owned(),
                format!("--web.listen-address={address}"),
                // In messages.
                format!("--web.external-url=http://{address}"),
                // One alone: no port for others.
                "--cluster.listen-address=".to_owned(),
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
}
