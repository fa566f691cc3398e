//! What is measured, as a process: our host, or the native server. Dropping one ends it, and so does the kernel when we are killed.

use std::fmt;
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use flowviz_stack::{Listener, claim_port};
use serde::Serialize;

use crate::load::Connection;
use crate::plant::Plant;

/// In the bench's directory: what all its servers say.
const LOG: &str = "servers.log";

const READY_WITHIN: Duration = Duration::from_secs(300);
/// How exactly the time until the first answer is known.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum System {
    Native,
    Flowviz,
}

/// Where the programs are, and where they may write.
#[derive(Clone, Debug)]
pub struct Programs {
    pub flowviz: PathBuf,
    pub native: PathBuf,
    /// Logs, generated manifests, compiled components.
    pub dir: PathBuf,
}

#[derive(Debug)]
pub struct Server {
    child: Child,
    pub address: SocketAddr,
    /// Where our host serves /metrics.
    pub admin: SocketAddr,
    /// From its start until it answered.
    pub started_in: Duration,
}

/// How our host is started.
#[derive(Clone, Debug)]
pub struct HostOptions<'a> {
    pub manifest: &'a Path,
    pub cache: &'a Path,
    /// What is asked until it answers with 200.
    pub first: &'a str,
    pub plant: Option<&'a Plant>,
    /// Metrics and the access log, as production has them.
    pub telemetry: bool,
}

// === impl System ===

impl System {
    /// In the order of their turns.
    pub const ALL: [Self; 2] = [Self::Native, Self::Flowviz];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Flowviz => "flowviz",
        }
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

// === impl Programs ===

impl Programs {
    /// The native server is ourselves; our host is beside us, where `make bench` built it.
    pub fn find(dir: PathBuf) -> Result<Self> {
        let native = std::env::current_exe()?;
        let flowviz = native.with_file_name("flowviz");
        if !flowviz.is_file() {
            bail!("{} isn't there: `make bench` builds it", flowviz.display());
        }
        std::fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
        // What the last run's servers said is of no use to this one.
        _ = std::fs::remove_file(dir.join(LOG));
        Ok(Self {
            flowviz,
            native,
            dir,
        })
    }

    /// Where compiled components are kept from one start to the next.
    pub fn cache(&self) -> PathBuf {
        self.dir.join("compiled")
    }

    pub async fn start_native(&self, plant: &Plant) -> Result<Server> {
        let address = free()?;
        let mut command = self.command(&self.native);
        command
            .args(["native", "--listen", &address.to_string()])
            .env("DATABASE_URL", plant.database_url().to_string())
            .env("JWT_SECRET", &plant.jwt_secret);
        self.start(command, address, address, "/hello").await
    }

    pub async fn start_host(&self, options: HostOptions<'_>) -> Result<Server> {
        let (address, admin) = (free()?, free()?);
        let mut command = self.command(&self.flowviz);
        command
            .args(["up", "--rate-limits=off", "--log-format=json", "--from"])
            .arg(options.manifest)
            .arg("--cache-dir")
            .arg(options.cache)
            .arg(format!("--listen={address}"))
            .arg(format!("--admin-listen={admin}"))
            .env_remove("RUST_LOG");
        if !options.telemetry {
            command.args(["--metrics=off", "--access-log=off"]);
        }
        if let Some(plant) = options.plant {
            command
                .env(
                    "SPIN_VARIABLE_DATABASE_URL",
                    plant.database_url().to_string(),
                )
                .env("SPIN_VARIABLE_DATABASE_HOST", "127.0.0.1:*")
                .env("SPIN_VARIABLE_JWT_SECRET", &plant.jwt_secret);
        }
        self.start(command, address, admin, options.first).await
    }

    /// The kernel ends it with the thread that starts it, which is our main one.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig=KILL", "--"])
            .arg(program)
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null());
        command
    }

    async fn start(
        &self,
        mut command: Command,
        address: SocketAddr,
        admin: SocketAddr,
        first: &str,
    ) -> Result<Server> {
        let log = self.dir.join(LOG);
        let log = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .with_context(|| log.display().to_string())?;
        command.stdout(log.try_clone()?).stderr(log);
        let begun = Instant::now();
        let mut server = Server {
            child: command.spawn().context("starting a server")?,
            address,
            admin,
            started_in: Duration::ZERO,
        };
        while !answers(address, first).await {
            if let Some(status) = server.child.try_wait()? {
                bail!(
                    "a server ended by itself: {status}; {} says why",
                    self.dir.join(LOG).display()
                );
            }
            if begun.elapsed() > READY_WITHIN {
                bail!(
                    "a server doesn't serve; {} may say why",
                    self.dir.join(LOG).display()
                );
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        server.started_in = begun.elapsed();
        Ok(server)
    }
}

fn free() -> Result<SocketAddr> {
    Ok(SocketAddr::from((
        Ipv4Addr::LOCALHOST,
        claim_port(Listener::Functions, None)?,
    )))
}

async fn answers(address: SocketAddr, path: &str) -> bool {
    let ask = async {
        let request = http::Request::get(path)
            .header("host", address.to_string())
            .body(Default::default())?;
        Connection::open(address).await?.ask(request).await
    };
    ask.await.is_ok_and(|status| status == http::StatusCode::OK)
}

// === impl Server ===

impl Server {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What our host says at `/metrics`.
    pub async fn metrics(&self) -> Result<String> {
        let (status, text) = flowviz_stack::http_get(&self.admin.to_string(), "/metrics").await?;
        ensure!(status == 200, "/metrics answers {status}");
        Ok(text)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.child.kill();
        _ = self.child.wait();
    }
}
