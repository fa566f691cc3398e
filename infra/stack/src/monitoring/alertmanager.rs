//! Alertmanager, from the files that production uses; where mail and messages go is set here.

use std::net::SocketAddr;

use include_dir::{Dir, include_dir};

use super::files::{write_folder, write_readable};
use super::server::Server;
use super::{Surroundings, rules, settings};
use crate::directory::own_dir;
use crate::error::{Error, Result};
use crate::part::Part;
use crate::secrets::write_private;

pub(super) const CONFIGURATION: &str =
    include_str!("../../../../observability/alertmanager/alertmanager.yml");
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

pub(super) fn prepare(around: &Surroundings<'_>, address: SocketAddr) -> Result<Server> {
    let account = around.launcher.account();
    let dir = around.directory.part("alertmanager", account)?;
    for part in ["secrets", "data"] {
        own_dir(&dir.join(part), account)?;
    }
    write_folder(&TEMPLATES, &dir.join("templates"), account, str::to_owned)?;
    let notify = around.options.notify.as_ref();
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
        write_private(&file, value)?;
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
    if let Some(by) = around.options.shortened {
        configuration = rules::shorten(&configuration, by);
    }
    write_readable(&dir.join("alertmanager.yml"), &configuration)?;
    Ok(Server {
        part: Part::Alertmanager,
        address,
        dir,
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
        environment: Vec::new(),
        ready: "/-/ready",
    })
}
