//! `flowviz up`: loads the application and serves it until a signal.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tracing::{info, warn};

use super::admin_token::AdminTokenArgs;
use super::app::AppArgs;
use super::build;
use super::control::Control;
use crate::admin::{Admin, AdminToken, PoolerWatch, Readiness};
use crate::audit::AuditWatch;
use crate::capabilities::KeyValueFile;
use crate::database::Pools;
use crate::deploy::{Deployer, Loader, StateDir, Watch, engine_settings};
use crate::gateway::{Drain, Gateway, Server, TrustedProxies};
use crate::manifest::{App, AppSettings, parse_size};
use crate::runtime::Runtime;
use crate::telemetry::log_writer::LogWriter;
use crate::telemetry::{Telemetry, logs, stop_recording};

/// A second signal ends the host at once, with the status that a shell gives to a process killed by SIGTERM.
const STOPPED_AT_ONCE: i32 = 143;

/// File descriptors that are not clients' connections: the database's, the admin listener's, files, the log.
const OWN_DESCRIPTORS: usize = 256;

#[derive(Debug, Args)]
pub struct Up {
    #[command(flatten)]
    app: AppArgs,

    /// Where the functions are served
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:3000",
        env = "SPIN_HTTP_LISTEN_ADDR"
    )]
    listen: SocketAddr,

    /// Where /metrics, /livez, /readyz and the admin API are served. Off loopback, the admin API must have a token
    #[arg(
        long,
        value_name = "ADDRESS",
        default_value = "127.0.0.1:9400",
        env = "FLOWVIZ_ADMIN_LISTEN"
    )]
    admin_listen: SocketAddr,

    #[command(flatten)]
    admin_token: AdminTokenArgs,

    /// The largest component that can be deployed
    #[arg(long, value_name = "SIZE", default_value = "64MiB", value_parser = size)]
    max_component_size: u64,

    /// Where deployed components are kept, for restarts and rollbacks [default: .flowviz/state beside the manifest]
    #[arg(long, value_name = "DIR", env = "FLOWVIZ_STATE_DIR")]
    state_dir: Option<PathBuf>,

    /// The file of the key-value store, for functions that are granted it [default: .flowviz/key-value.redb beside the manifest]
    #[arg(long, value_name = "FILE", env = "FLOWVIZ_KEY_VALUE_FILE")]
    key_value_file: Option<PathBuf>,

    /// Forget what was deployed: the manifest's files serve
    #[arg(long)]
    fresh: bool,

    /// Swap in components that are built anew, and apply the manifest when it is edited
    #[arg(long)]
    watch: bool,

    /// Keep the functions' `rate_limits`; `off` is for load tests
    #[arg(
        long,
        value_name = "on|off",
        default_value = "on",
        env = "FLOWVIZ_RATE_LIMITS"
    )]
    rate_limits: Switch,

    /// A proxy whose X-Forwarded-For says who the client is: an address or a network (10.0.0.0/8). May be given several times; in
    /// the environment, separated by commas
    #[arg(
        long = "trusted-proxy",
        value_name = "ADDRESS",
        env = "FLOWVIZ_TRUSTED_PROXIES",
        value_parser = TrustedProxies::parse
    )]
    trusted_proxies: Vec<TrustedProxies>,

    /// Run the components' build commands first
    #[arg(long)]
    build: bool,

    /// Leave out of the log what the functions print
    #[arg(short, long)]
    quiet: bool,

    /// A line for each request: its id, function, version, status and duration
    #[arg(
        long,
        value_name = "on|off",
        default_value = "on",
        env = "FLOWVIZ_ACCESS_LOG"
    )]
    access_log: Switch,

    /// Record what requests do, for /metrics; `off` is for finding out what that costs: Prometheus then finds no host
    #[arg(
        long,
        value_name = "on|off",
        default_value = "on",
        env = "FLOWVIZ_METRICS"
    )]
    metrics: Switch,

    /// The form of log lines
    #[arg(long, value_enum, default_value = "human", env = "FLOWVIZ_LOG_FORMAT")]
    log_format: logs::Format,

    /// error, warn, info, debug or trace, for the host's own lines; RUST_LOG overrides all levels
    #[arg(long, value_name = "LEVEL", default_value = "info")]
    log_level: String,

    /// Seconds that requests in flight have to end after SIGTERM or SIGINT
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    drain_timeout: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

// === impl Up ===

impl Up {
    #[tokio::main]
    pub async fn run(self) -> Result<ExitCode> {
        let logger = logs::Settings {
            format: self.log_format,
            level: &self.log_level,
            access: self.access_log == Switch::On,
            functions: !self.quiet,
        }
        .install()?;
        if self.build {
            build::run(&self.app.from)?;
        }
        let cache = self.app.cache();
        let (args, rate_limits) = (self.app, self.rate_limits);
        let read_app = move || -> Result<App> {
            let mut app = args.load()?;
            for warning in &app.warnings {
                warn!("{warning}");
            }
            if rate_limits == Switch::Off {
                warn!("rate limits are off (--rate-limits)");
                for function in &mut app.functions {
                    function.rate_limits.clear();
                }
            }
            Ok(app)
        };
        let app = read_app()?;
        let token = admin_token(&self.admin_token, self.admin_listen)?;
        let state_dir = self
            .state_dir
            .unwrap_or_else(|| app.root.join(".flowviz/state"));
        let (state, saved) = if self.fresh {
            (StateDir::fresh(state_dir)?, Default::default())
        } else {
            StateDir::open(state_dir)?
        };
        let descriptors = raise_descriptor_limit();
        // Before compiling, which takes time: a taken port is known at once.
        let listener = bind(self.listen, "--listen").await?;
        let admin_listener = bind(self.admin_listen, "--admin-listen").await?;

        if self.metrics == Switch::Off {
            warn!("nothing is recorded for /metrics (--metrics)");
            stop_recording();
        }
        let control = Control::start()?;
        let telemetry = Arc::new(Telemetry::new()?);
        telemetry.register(logger.dropped()?)?;
        let pooler = pooler_watch(&app, &telemetry)?;
        let audit = audit_watch(&app, &telemetry);
        let pools = Arc::new(Pools::new(
            app.settings.pool.clone(),
            telemetry.database.clone(),
        ));
        let loader = Loader {
            runtime: Runtime::new(engine_settings(&app), cache)?,
            telemetry: Arc::clone(&telemetry),
            pools: Arc::clone(&pools),
            key_value: Arc::new(key_value_file(self.key_value_file, &app)),
        };
        let proxies = self.trusted_proxies.into_iter().collect();
        let (name, database) = (app.name.clone(), app.settings.database.clone());
        let deployer = Deployer::start(loader, app, state, saved, Box::new(read_app)).await?;
        let gateway = Arc::new(Gateway::new(Arc::clone(deployer.live()), proxies));
        tokio::spawn(Arc::clone(&gateway).sweep());
        reload_on_hangup(&control, Arc::clone(&deployer))?;
        if self.watch {
            let watch = Watch::new(Arc::clone(&deployer))?;
            control.spawn(watch.run());
        }

        let readiness = Readiness::new(database.as_ref());
        if let Some(database) = database {
            tokio::spawn(Arc::clone(&readiness).watch(pools, database));
        }
        if let Some(pooler) = pooler {
            tokio::spawn(pooler.watch());
        }
        if let Some(audit) = audit {
            control.spawn(audit.watch());
        }
        info!(
            app = name,
            listen = %listener.local_addr()?,
            admin = %admin_listener.local_addr()?,
            "serving"
        );
        let admin = Admin {
            telemetry,
            readiness: Arc::clone(&readiness),
            deployer,
            token,
            max_component_size: self.max_component_size,
        };
        control.spawn(admin.serve(admin_listener));

        let shutdown = first_signal(readiness, logger.writer())?;
        let drain_timeout = Duration::from_secs(self.drain_timeout);
        let server = Server {
            listener,
            gateway,
            max_connections: descriptors.saturating_sub(OWN_DESCRIPTORS).max(64),
            drain_timeout,
        };
        let drained = server.serve(shutdown).await;
        drop(control);
        match drained {
            Drain::Complete => {
                info!("every request was answered");
                Ok(ExitCode::SUCCESS)
            }
            Drain::Cut => bail!(
                "requests were still in flight after {} s (--drain-timeout) and were cut",
                self.drain_timeout
            ),
        }
    }
}

/// It is opened when a function is granted it.
pub(super) fn key_value_file(named: Option<PathBuf>, app: &App) -> KeyValueFile {
    KeyValueFile::at(named.unwrap_or_else(|| app.root.join(".flowviz/key-value.redb")))
}

/// Whoever can reach the admin listener could change what is served.
fn admin_token(args: &AdminTokenArgs, listen: SocketAddr) -> Result<Option<AdminToken>> {
    let Some(text) = args.read()? else {
        if listen.ip().is_loopback() {
            return Ok(None);
        }
        bail!(
            "the admin listener {listen} can be reached from other machines, and there is no token to guard it: set FLOWVIZ_ADMIN_TOKEN, \
             name a file with --admin-token-file, or choose a loopback address with --admin-listen"
        );
    };
    Ok(Some(AdminToken::new(text.expose())?))
}

fn size(text: &str) -> Result<u64, &'static str> {
    parse_size(text).ok_or("a number and a unit, for example 64MiB")
}

/// SIGHUP: the manifest is read again. The outcome is logged.
fn reload_on_hangup(control: &Control, deployer: Arc<Deployer>) -> Result<()> {
    let mut hangup = signal(SignalKind::hangup())?;
    control.spawn(async move {
        while hangup.recv().await.is_some() {
            // It is told in the log.
            _ = deployer.reload(false).await;
        }
    });
    Ok(())
}

/// If the manifest names PgBouncer's console.
fn pooler_watch(app: &App, telemetry: &Telemetry) -> Result<Option<PoolerWatch>> {
    let AppSettings {
        pgbouncer: Some(console),
        database,
        pool,
        ..
    } = &app.settings
    else {
        return Ok(None);
    };
    PoolerWatch::new(
        console,
        database.as_ref(),
        pool.clone(),
        telemetry.pgbouncer.clone(),
    )
    .map(Some)
    .with_context(|| {
        format!(
            "{}: [application.tool.flowviz] pgbouncer",
            app.file.display()
        )
    })
}

/// If the manifest says how often.
fn audit_watch(app: &App, telemetry: &Telemetry) -> Option<AuditWatch> {
    Some(AuditWatch {
        every: app.settings.audit_every?,
        database: app.settings.database.clone()?,
        metrics: telemetry.audit(),
    })
}

/// Takes as many file descriptors as the system grants: each connection needs one, and shells start with as few as 1,024.
fn raise_descriptor_limit() -> usize {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        warn!(%error, "the limit of open files can't be raised");
    }
    let limit = getrlimit(Resource::Nofile).current;
    limit
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(Semaphore::MAX_PERMITS)
        .min(Semaphore::MAX_PERMITS)
}

async fn bind(address: SocketAddr, flag: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!("{address} can't be listened on; choose another address with {flag} ADDRESS")
    })
}

/// Resolves at the first SIGTERM or SIGINT; the second one ends the process.
fn first_signal(readiness: Arc<Readiness>, log: LogWriter) -> Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        readiness.drain();
        info!("ending: a second signal ends at once");
        tokio::spawn(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            warn!("ended at once");
            log.flush();
            std::process::exit(STOPPED_AT_ONCE);
        });
    })
}
