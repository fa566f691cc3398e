//! A `flowviz up` under test, on free ports.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::client::{Answer, PATIENCE, client};
use crate::{artifacts, functions, root};

/// Of every host under test.
pub const ADMIN_TOKEN: &str = "5b1f0c5e-tests-only";

/// Lines of the host's log that a failed test shows.
const LOG_SHOWN: usize = 30;

#[derive(Clone, Debug, Default)]
pub struct HostOptions {
    /// The manifest, as a file.
    pub manifest: PathBuf,
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    /// Where compiled components are kept; the user's cache when it is `None`.
    pub cache_dir: Option<PathBuf>,
    /// Log lines for people, not JSON.
    pub human_log: bool,
}

/// A running host. Dropping it kills it, and so does the kernel when the test dies.
#[derive(Debug)]
pub struct Host {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    pub address: SocketAddr,
    pub admin: SocketAddr,
    _files: Option<TempDir>,
    _state: TempDir,
}

/// What `/metrics` said.
#[derive(Debug)]
pub struct Metrics(BTreeMap<String, f64>);

// === impl Host ===

impl Host {
    /// Starts the host with a manifest whose text is given; `{probe}` in it stands for the test component's path.
    pub fn with_manifest(text: &str, options: HostOptions) -> Result<Self> {
        let files = TempDir::new()?;
        let manifest = files.path().join("spin.toml");
        let probe = artifacts().probe.display().to_string();
        std::fs::write(&manifest, text.replace("{probe}", &probe))?;
        let mut host = Self::start(HostOptions {
            manifest,
            ..options
        })?;
        host._files = Some(files);
        Ok(host)
    }

    /// Starts the host and waits until it serves.
    pub fn start(options: HostOptions) -> Result<Self> {
        if options.manifest == root().join("spin.toml") {
            functions();
        }
        let log_format = if options.human_log { "human" } else { "json" };
        let mut command = Command::new("setpriv");
        command
            .arg("--pdeathsig=KILL")
            .arg("--")
            .arg(&artifacts().flowviz)
            .args(["up", "--from"])
            .arg(&options.manifest)
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .args(["--log-format", log_format])
            .args(&options.args)
            .env("FLOWVIZ_ADMIN_TOKEN", ADMIN_TOKEN)
            // A test under load would keep millions of lines. Those of the access log ask for it.
            .env("FLOWVIZ_ACCESS_LOG", "off")
            .env_remove("RUST_LOG")
            .env_remove("RUST_BACKTRACE")
            .envs(options.env.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        // Hosts of the repository's own manifest would share what is beside it.
        let state = TempDir::new()?;
        if options.manifest == root().join("spin.toml") {
            command.env("FLOWVIZ_STATE_DIR", state.path().join("state"));
        }
        if let Some(dir) = &options.cache_dir {
            command.arg("--cache-dir").arg(dir);
        }
        let mut child = spawn(command).context("starting the host")?;
        let stderr = child.stderr.take().context("the host's standard error")?;
        let log = Arc::new(Mutex::new(Vec::new()));
        let (send, receive) = mpsc::channel();
        let lines = Arc::clone(&log);
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let addresses = (address(&line, "listen"), address(&line, "admin"));
                lines
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(line);
                if let (Some(listen), Some(admin)) = addresses {
                    // Nobody listens once the addresses are known.
                    _ = send.send((listen, admin));
                }
            }
        });
        let mut host = Self {
            child,
            log,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            admin: SocketAddr::from(([127, 0, 0, 1], 0)),
            _files: None,
            _state: state,
        };
        match receive.recv_timeout(PATIENCE) {
            Ok((address, admin)) => {
                host.address = address;
                host.admin = admin;
                Ok(host)
            }
            Err(_) => bail!("the host doesn't serve:\n{}", host.log().join("\n")),
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn admin_url(&self, path: &str) -> String {
        format!("http://{}{path}", self.admin)
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The lines it has logged so far.
    pub fn log(&self) -> Vec<String> {
        self.log
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The access log's lines so far.
    pub fn access_log(&self) -> Vec<Value> {
        self.log()
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(|line: &Value| line["target"] == "access")
            .collect()
    }

    /// Nobody reads the host's log for as long as this is held.
    pub fn hold_log(&self) -> MutexGuard<'_, Vec<String>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a log line that `wanted` accepts, and gives it.
    pub async fn wait_for_log(&self, wanted: impl Fn(&str) -> bool) -> Result<String> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(line) = self.log().into_iter().find(|line| wanted(line)) {
                return Ok(line);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("no such line in the log:\n{}", self.log().join("\n"))
    }

    /// `GET`, whatever comes back.
    pub async fn get(&self, path: &str) -> Result<Answer> {
        Answer::of(client().get(self.url(path))).await
    }

    /// Waits until the metrics are as wanted, and gives them.
    pub async fn wait_for_metrics(&self, wanted: impl Fn(&Metrics) -> bool) -> Result<Metrics> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let metrics = self.metrics().await?;
            if wanted(&metrics) {
                // A scrape reads one family after the other: what came with the change may be in the next one only.
                return self.metrics().await;
            }
            if Instant::now() > deadline {
                bail!("the metrics never came to be as expected: {metrics:#?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub async fn metrics(&self) -> Result<Metrics> {
        Ok(Metrics::parse(&self.scrape().await?))
    }

    /// `/metrics`, as Prometheus gets it.
    pub async fn scrape(&self) -> Result<String> {
        Ok(reqwest::get(self.admin_url("/metrics"))
            .await?
            .error_for_status()?
            .text()
            .await?)
    }

    /// Waits until `/readyz` answers with this status.
    pub async fn wait_ready(&self, status: u16) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        let mut last = String::new();
        while Instant::now() < deadline {
            let answer = reqwest::get(self.admin_url("/readyz")).await?;
            if answer.status() == status {
                return Ok(());
            }
            last = answer.text().await?;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        bail!("/readyz never said {status}; last: {last}")
    }

    /// Sends a signal by its name (`TERM`, `INT`).
    pub fn signal(&self, name: &str) -> Result<()> {
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.pid().to_string())
            .status()?;
        if !status.success() {
            bail!("kill -{name}: {status}");
        }
        Ok(())
    }

    /// Waits for the process to end.
    pub async fn wait(&mut self) -> Result<ExitStatus> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("the host doesn't end:\n{}", self.log().join("\n"))
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // It may have ended already.
        _ = self.child.kill();
        _ = self.child.wait();
        // Shown only if the test failed.
        let log = self.log();
        let end = log
            .get(log.len().saturating_sub(LOG_SHOWN)..)
            .unwrap_or_default();
        eprintln!("--- the end of the host's log\n{}", end.join("\n"));
    }
}

/// The kernel ends a child with the *thread* that started it, and a test's thread ends before the host may: one thread, which
/// lives as long as the process, starts them all.
fn spawn(command: Command) -> std::io::Result<Child> {
    type Order = (Command, mpsc::SyncSender<std::io::Result<Child>>);
    static SPAWNER: LazyLock<mpsc::Sender<Order>> = LazyLock::new(|| {
        let (send, orders) = mpsc::channel::<Order>();
        std::thread::spawn(move || {
            for (mut command, reply) in orders {
                // Whoever ordered it waits for it.
                _ = reply.send(command.spawn());
            }
        });
        send
    });
    let gone = || std::io::Error::other("the spawning thread has ended");
    let (reply, child) = mpsc::sync_channel(1);
    SPAWNER.send((command, reply)).map_err(|_| gone())?;
    child.recv().map_err(|_| gone())?
}

/// An address out of the line that says the host serves, in either format.
fn address(line: &str, field: &str) -> Option<SocketAddr> {
    match serde_json::from_str::<Value>(line) {
        Ok(json) => json.get(field)?.as_str()?.parse().ok(),
        Err(_) => {
            let after = line.split(&format!(" {field}=")).nth(1)?;
            after.split_whitespace().next()?.parse().ok()
        }
    }
}

// === impl Metrics ===

impl Metrics {
    fn parse(text: &str) -> Self {
        Self(
            text.lines()
                .filter(|line| !line.starts_with('#'))
                .filter_map(|line| {
                    let (series, value) = line.rsplit_once(' ')?;
                    Some((series.to_owned(), value.parse().ok()?))
                })
                .collect(),
        )
    }

    /// One series, for example `http_requests_in_flight{function="lots"}`. Labels are in alphabetical order.
    pub fn get(&self, series: &str) -> Option<f64> {
        self.0.get(series).copied()
    }

    /// Requests that failed, by reason.
    pub fn errors(&self, function: &str, reason: &str) -> f64 {
        self.sum(
            "flowviz_function_errors_total",
            &[("function", function), ("reason", reason)],
        )
    }

    /// The sum over the series of a metric that have all of these labels.
    pub fn sum(&self, metric: &str, labels: &[(&str, &str)]) -> f64 {
        self.0
            .iter()
            .filter(|(series, _)| {
                series.split('{').next() == Some(metric)
                    && labels
                        .iter()
                        .all(|(name, value)| series.contains(&format!("{name}=\"{value}\"")))
            })
            .map(|(_, value)| value)
            .sum()
    }

    pub fn series(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0
            .iter()
            .map(|(series, value)| (series.as_str(), *value))
    }
}
