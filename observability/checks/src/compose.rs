//! `infra/compose.yaml` as it is written, its anchors merged and its variables at their defaults.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde::Deserialize;
use serde_json::Value;

use crate::{read, root, run};

pub const FILE: &str = "infra/compose.yaml";
/// Paths in it are seen from here.
const DIR: &str = "infra";
/// Where a service finds its secrets, unless it says otherwise.
pub const SECRETS: &str = "/run/secrets/";

#[derive(Debug, Deserialize)]
pub struct Compose {
    pub services: BTreeMap<String, Service>,
    pub networks: BTreeMap<String, Value>,
    pub volumes: BTreeMap<String, Value>,
    pub secrets: BTreeMap<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Service {
    pub image: String,
    pub build: Option<Build>,
    pub entrypoint: Vec<String>,
    pub command: Vec<String>,
    pub environment: BTreeMap<String, Option<String>>,
    pub secrets: Vec<Secret>,
    pub volumes: Vec<String>,
    pub ports: Vec<String>,
    pub networks: Vec<String>,
    pub network_mode: Option<String>,
    pub restart: String,
    pub read_only: bool,
    pub cap_drop: Vec<String>,
    pub security_opt: Vec<String>,
    pub ulimits: BTreeMap<String, u32>,
    pub healthcheck: Healthcheck,
    pub depends_on: BTreeMap<String, Value>,
    pub deploy: Value,
}

#[derive(Debug, Deserialize)]
pub struct Build {
    pub context: String,
    pub dockerfile: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Secret {
    Named(String),
    At { source: String, target: String },
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Healthcheck {
    pub test: Vec<String>,
    pub disable: bool,
}

/// A file or directory of the checkout, as a service sees it.
#[derive(Debug)]
pub struct Mount {
    pub source: PathBuf,
    pub target: PathBuf,
}

// === impl Compose ===

impl Compose {
    pub fn load() -> Result<Self> {
        let text = filled(&read(FILE)?);
        serde_saphyr::from_str(&text).context(FILE)
    }

    pub fn service(&self, name: &str) -> &Service {
        let service = self.services.get(name);
        service.unwrap_or_else(|| panic!("{FILE} has no service {name}"))
    }

    /// Asserts that `from` reaches `address`: a service in one of its networks, and a port that this one is known to have.
    pub fn assert_reaches(&self, from: &str, address: &str) {
        let (name, port) = address.split_once(':').expect("host:port");
        let (one, other) = (self.service(from), self.service(name));
        assert!(
            one.networks.iter().any(|net| other.networks.contains(net)),
            "{from} and {name} are in no common network"
        );
        assert!(
            other.container_ports().any(|known| known == port) || other.asks_itself_at(port),
            "{name} neither publishes port {port} nor asks itself there whether it's well"
        );
    }
}

// === impl Service ===

impl Service {
    /// Runs to its end.
    pub fn is_job(&self) -> bool {
        self.restart == "no"
    }

    /// What it mounts of the checkout: neither volumes nor the machine's own files.
    pub fn mounts(&self) -> Vec<Mount> {
        let parts = |volume: &String| {
            let (source, rest) = volume.split_once(':')?;
            let target = rest.split(':').next()?;
            source.starts_with('.').then(|| Mount {
                source: root().join(DIR).join(source),
                target: target.into(),
            })
        };
        self.volumes.iter().filter_map(parts).collect()
    }

    /// The checkout's file at a path that the service sees; `None` if nothing is mounted there.
    pub fn behind(&self, path: impl AsRef<Path>) -> Option<PathBuf> {
        self.mounts().into_iter().find_map(|mount| {
            let below = path.as_ref().strip_prefix(&mount.target).ok()?;
            Some(if below.as_os_str().is_empty() {
                mount.source
            } else {
                mount.source.join(below)
            })
        })
    }

    /// The names of the secrets that it may read, each with the path.
    pub fn secret_paths(&self) -> BTreeMap<String, String> {
        let path = |secret: &Secret| match secret {
            Secret::Named(name) => (name.clone(), format!("{SECRETS}{name}")),
            Secret::At { source, target } => (source.clone(), target.clone()),
        };
        self.secrets.iter().map(path).collect()
    }

    pub fn container_ports(&self) -> impl Iterator<Item = &str> {
        self.ports.iter().filter_map(|port| port.rsplit(':').next())
    }

    fn asks_itself_at(&self, port: &str) -> bool {
        let test = self.healthcheck.test.join(" ");
        test.contains(&format!("127.0.0.1:{port}/"))
            || test.contains(&format!("-h 127.0.0.1 -p {port} "))
            // psql's own.
            || (port == "5432" && test.contains("psql") && !test.contains(" -p "))
    }

    /// All that is said to it, in one text.
    pub fn said(&self) -> String {
        let environment = self.environment.values().flatten();
        let words = [&self.entrypoint, &self.command, &self.healthcheck.test];
        let words = words.into_iter().flatten().chain(environment);
        words.map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    /// The Dockerfile that its image is built from.
    pub fn dockerfile(&self) -> Option<String> {
        let build = self.build.as_ref()?;
        let file = build.dockerfile.as_deref().unwrap_or("Dockerfile");
        Some(format!("{DIR}/{}/{file}", build.context))
    }
}

/// What `infra/compose/secrets.sh` makes, in a directory of its own.
pub fn make_secrets(dir: &Path) -> Result<()> {
    let dir = dir.to_str().context("a path in UTF-8")?;
    run("infra/compose/secrets.sh", &[dir]).map(drop)
}

/// `${NAME:-default}` is its default, `${NAME:?...}` its name.
fn filled(text: &str) -> String {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (variable, tail) = after.split_once('}').expect("a `${` is closed");
        filled.push_str(before);
        filled.push_str(match variable.split_once(":-") {
            Some((_, default)) => default,
            None => variable.split(':').next().unwrap_or_default(),
        });
        rest = tail;
    }
    filled + rest
}
