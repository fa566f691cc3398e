//! `flowviz-stack up`: the stack, the schema and the host, started in that order and ended in the reverse one.
//!
//! Data, passwords and the token secret stay in the directory from one run to the next. What is secret goes to the host in its
//! environment and nowhere else.

mod host;
mod signals;
mod summary;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Args;

use crate::directory::Directory;
use crate::ports::{self, Claims, Listener, Ports};
use crate::process::Process;
use crate::{Error, Options, Stack};
use host::Host;
use signals::Signals;
use summary::Summary;

/// Where a person looks for PostgreSQL's port first, beside one that the distribution runs on 5432.
const POSTGRES_PORT: u16 = 5433;
/// The exporters' usual ones.
const NODE_EXPORTER_PORT: u16 = 9100;
const POSTGRES_EXPORTER_PORT: u16 = 9187;
const LOOK_AFTER_CHILDREN: Duration = Duration::from_millis(250);

#[derive(Debug, Args)]
pub struct Up {
    /// Where data, passwords and logs are kept
    #[arg(long, default_value = ".flowviz")]
    dir: PathBuf,

    /// The host's program
    #[arg(long, default_value = "target/release/flowviz")]
    host_bin: PathBuf,

    /// The application
    #[arg(long, default_value = "spin.toml")]
    manifest: PathBuf,

    /// Only look whether it could start: the ports are free, and no other stack has the directory
    #[arg(long)]
    check: bool,

    /// Where the functions are served. For all the ports, 0 means a free one
    #[arg(long, env = "FLOWVIZ_PORT", default_value_t = 3000)]
    port: u16,

    /// The host's admin listener: /metrics, /livez, /readyz
    #[arg(long, env = "FLOWVIZ_ADMIN_PORT", default_value_t = 9400)]
    admin_port: u16,

    #[arg(long, env = "FLOWVIZ_PGBOUNCER_PORT", default_value_t = 6432)]
    pgbouncer_port: u16,

    #[arg(long, env = "FLOWVIZ_PROMETHEUS_PORT", default_value_t = 9090)]
    prometheus_port: u16,

    #[arg(long, env = "FLOWVIZ_ALERTMANAGER_PORT", default_value_t = 9093)]
    alertmanager_port: u16,

    /// 9100 if that is free, else any: the machine may be watched already
    #[arg(long, env = "FLOWVIZ_NODE_EXPORTER_PORT")]
    node_exporter_port: Option<u16>,

    /// 9187 if that is free, else any
    #[arg(long, env = "FLOWVIZ_POSTGRES_EXPORTER_PORT")]
    postgres_exporter_port: Option<u16>,

    /// 5433 if that is free, else any
    #[arg(long, env = "FLOWVIZ_POSTGRES_PORT")]
    postgres_port: Option<u16>,
}

#[derive(Debug, thiserror::Error)]
pub enum UpError {
    #[error(transparent)]
    Stack(#[from] Error),

    #[error("{what}, {path}, isn't there: {hint}", path = path.display())]
    Absent {
        what: &'static str,
        path: PathBuf,
        hint: &'static str,
    },

    #[error("the migrations failed: {0}")]
    Migrations(String),

    #[error("signals can't be waited for: {0}")]
    Signals(std::io::Error),
}

/// Everything, running. Fields are dropped from top to bottom.
struct Running {
    host: Process,
    stack: Stack,
}

/// Where the host listens.
struct Listeners {
    functions: SocketAddr,
    admin: SocketAddr,
}

/// Runs until a signal, or until a part ends by itself, which is an error.
pub async fn run(options: Up) -> Result<(), UpError> {
    if options.check {
        options.look()?;
        return Ok(());
    }
    let mut signals = Signals::new().map_err(UpError::Signals)?;
    let mut running = tokio::select! {
        running = start(&options) => running?,
        () = signals.next() => return Ok(()),
    };
    let outcome = tokio::select! {
        error = running.first_failure() => Err(error.into()),
        () = signals.next() => Ok(()),
    };
    println!(
        "\nending: the host first, when it has answered its requests; a second signal ends everything at once"
    );
    tokio::select! {
        () = running.stop() => outcome,
        // What still runs ends with us.
        () = signals.next() => outcome,
    }
}

async fn start(options: &Up) -> Result<Running, UpError> {
    present(
        "the host's program",
        &options.host_bin,
        "cargo build --release -p flowviz",
    )?;
    let Listeners { functions, admin } = options.look()?;

    let step = Step::begin("PostgreSQL, PgBouncer, Prometheus, Alertmanager, exporters");
    let stack = Stack::start(options.stack()).await?;
    step.end();

    let host = Host {
        program: absolute(&options.host_bin)?,
        manifest: options.manifest.clone(),
        functions,
        admin,
    };
    let step = Step::begin("the schema and the demonstration data");
    let report = host.migrate(&stack).await?;
    step.end();
    println!("{}", report.migrations);

    let step = Step::begin("the host, which compiles the functions");
    let process = host.start(&stack).await;
    // Passwords are made once, and shown then or never.
    let process = process.inspect_err(|_| println!("\n{}", report.demonstration))?;
    step.end();
    stack.scrape_host(admin)?;

    let token = host::admin_token(&stack)?;
    let token = token.as_deref();
    println!("{}", Summary::new(&host, &stack, &report, token));
    Ok(Running {
        host: process,
        stack,
    })
}

// === impl Running ===

impl Running {
    async fn first_failure(&mut self) -> Error {
        loop {
            if let Err(error) = self.host.check().and_then(|()| self.stack.check()) {
                return error;
            }
            tokio::time::sleep(LOOK_AFTER_CHILDREN).await;
        }
    }

    async fn stop(self) {
        self.host.stop().await;
        self.stack.stop().await;
    }
}

// === impl Up ===

impl Up {
    /// What would keep it from starting, before anything starts.
    fn look(&self) -> Result<Listeners, UpError> {
        present(
            "the application's manifest",
            &self.manifest,
            "start in the repository, or give --manifest",
        )?;
        Directory::look_for_another(&self.dir)?;
        let mut claims = Claims::default();
        let listeners = Listeners {
            functions: loopback(claims.claim(Listener::Functions, Some(self.port))?),
            admin: loopback(claims.claim(Listener::Admin, Some(self.admin_port))?),
        };
        let ports = self.stack().ports;
        for listener in Listener::OF_THE_STACK {
            claims.claim(listener, ports.of(listener))?;
        }
        Ok(listeners)
    }

    fn stack(&self) -> Options {
        let or_usual = |wanted: Option<u16>, listener, usual| {
            wanted.or_else(|| ports::claim(listener, Some(usual)).ok())
        };
        Options {
            ports: Ports {
                postgres: or_usual(self.postgres_port, Listener::Postgres, POSTGRES_PORT),
                pgbouncer: Some(self.pgbouncer_port),
                prometheus: Some(self.prometheus_port),
                alertmanager: Some(self.alertmanager_port),
                node_exporter: or_usual(
                    self.node_exporter_port,
                    Listener::NodeExporter,
                    NODE_EXPORTER_PORT,
                ),
                postgres_exporter: or_usual(
                    self.postgres_exporter_port,
                    Listener::PostgresExporter,
                    POSTGRES_EXPORTER_PORT,
                ),
            },
            ..Options::persistent(&self.dir)
        }
    }
}

fn present(what: &'static str, path: &Path, hint: &'static str) -> Result<(), UpError> {
    if path.is_file() {
        return Ok(());
    }
    Err(UpError::Absent {
        what,
        path: path.to_owned(),
        hint,
    })
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(Error::file(path))
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// A line about something that takes a while: what, and then how long it took.
struct Step(Instant);

impl Step {
    fn begin(what: &str) -> Self {
        print!("starting {what} ... ");
        let _ = std::io::stdout().flush();
        Self(Instant::now())
    }

    fn end(self) {
        print!("{:.1} s", self.0.elapsed().as_secs_f64());
    }
}

impl Drop for Step {
    /// Also where it failed, so that the error begins a line.
    fn drop(&mut self) {
        println!();
    }
}
