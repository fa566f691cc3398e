//! Child processes that can't outlive us.
//!
//! Each child is started through `setpriv --pdeathsig`, so the kernel itself ends it when we die, even by SIGKILL. The kernel takes
//! the *thread* that started a child for its parent, so all of them are started by one thread, which lives until the
//! last of them is gone. Each child is in a process group of its own: Ctrl-C in a terminal reaches only us, and
//! we end the parts in their order.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Signal};

use crate::account::Account;
use crate::error::{Error, Result};
use crate::part::Part;
use crate::programs::Programs;

const POLL: Duration = Duration::from_millis(10);
const LOG_TAIL_LINES: usize = 12;

/// Starts children. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Launcher {
    spawner: Spawner,
    account: Account,
    programs: Programs,
    logs: PathBuf,
}

/// What to start.
pub(crate) struct Launch<'a> {
    pub part: Part,
    pub program: &'a Path,
    pub arguments: Vec<String>,
    /// Working directory.
    pub dir: &'a Path,
    /// The whole environment besides `PATH`: ours may hold settings (`PGPORT`) and secrets that are none of a child's business.
    pub environment: Vec<(OsString, OsString)>,
    pub account: &'a Account,
}

/// A running (or just ended) child. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Process {
    part: Part,
    child: Child,
    log: PathBuf,
    /// Bytes that earlier runs left in it.
    log_before: u64,
    /// Keeps the thread that is the child's parent alive.
    _spawner: Spawner,
}

#[derive(Debug, Clone)]
struct Spawner(mpsc::Sender<Order>);

#[derive(Debug)]
struct Order {
    command: Command,
    reply: mpsc::SyncSender<io::Result<Child>>,
}

// === impl Spawner ===

impl Spawner {
    fn start() -> io::Result<Self> {
        let (orders, inbox) = mpsc::channel::<Order>();
        std::thread::Builder::new()
            .name("stack-spawner".to_owned())
            .spawn(move || {
                for mut order in inbox {
                    let _ = order.reply.send(order.command.spawn());
                }
            })?;
        Ok(Self(orders))
    }

    fn spawn(&self, command: Command) -> io::Result<Child> {
        let gone = || io::Error::other("the spawning thread has ended");
        let (reply, answer) = mpsc::sync_channel(1);
        self.0.send(Order { command, reply }).map_err(|_| gone())?;
        answer.recv().map_err(|_| gone())?
    }
}

// === impl Launcher ===

impl Launcher {
    pub(crate) fn new(account: Account, programs: Programs, logs: PathBuf) -> Result<Self> {
        Ok(Self {
            spawner: Spawner::start().map_err(Error::file(&logs))?,
            account,
            programs,
            logs,
        })
    }

    pub(crate) fn programs(&self) -> &Programs {
        &self.programs
    }

    pub(crate) fn account(&self) -> &Account {
        &self.account
    }

    /// Runs what ends by itself (`initdb`) and gives its output. It is killed if we die.
    pub(crate) async fn run(&self, launch: Launch<'_>) -> Result<Output> {
        let part = launch.part;
        let mut command = self.wrapped(&launch, "KILL", None);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let spawner = self.spawner.clone();
        let run = tokio::task::spawn_blocking(move || spawner.spawn(command)?.wait_with_output());
        run.await
            .unwrap_or_else(|error| Err(io::Error::other(error)))
            .map_err(|source| Error::Spawn { part, source })
    }

    pub(crate) fn launch(&self, launch: Launch<'_>) -> Result<Process> {
        let part = launch.part;
        let log = self.logs.join(part.log_file());
        let output = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .map_err(Error::file(&log))?;
        let errors = output.try_clone().map_err(Error::file(&log))?;
        let log_before = output.metadata().map_err(Error::file(&log))?.len();

        let open_files = match part.open_files() {
            Some(needed) => self.open_files(needed)?,
            None => None,
        };
        let mut command = self.wrapped(&launch, part.orphan_signal(), open_files);
        command.stdout(output).stderr(errors);
        let child = self
            .spawner
            .spawn(command)
            .map_err(|source| Error::Spawn { part, source })?;
        Ok(Process {
            part,
            child,
            log,
            log_before,
            _spawner: self.spawner.clone(),
        })
    }

    /// `prlimit -- setpriv -- program`: both replace themselves, so the child's pid is the program's.
    fn wrapped(&self, launch: &Launch<'_>, orphan: &str, open_files: Option<String>) -> Command {
        let mut command = match open_files {
            Some(limit) => {
                let mut command = Command::new(&self.programs.prlimit);
                command.arg(limit).arg(&self.programs.setpriv);
                command
            }
            None => Command::new(&self.programs.setpriv),
        };
        command
            .args(launch.account.setpriv_arguments())
            .arg(format!("--pdeathsig={orphan}"))
            .arg("--")
            .arg(launch.program)
            .args(&launch.arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LC_ALL", "C.UTF-8")
            .envs(launch.environment.iter().map(|(name, value)| (name, value)))
            .current_dir(launch.dir)
            .stdin(Stdio::null())
            .process_group(0);
        command
    }

    /// The argument for `prlimit` if the limit on open files must be raised, found out by trying: a hard limit that root could
    /// raise elsewhere may be fixed in a container.
    fn open_files(&self, needed: u64) -> Result<Option<String>> {
        let limits = rustix::process::getrlimit(Resource::Nofile);
        if limits.current.is_none_or(|soft| soft >= needed) {
            return Ok(None);
        }
        let hard = limits.maximum.map_or(needed, |hard| hard.max(needed));
        let argument = format!("--nofile={needed}:{hard}");
        let possible = Command::new(&self.programs.prlimit)
            .args([argument.as_str(), "true"])
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if possible {
            Ok(Some(argument))
        } else {
            Err(Error::FileLimit { needed })
        }
    }
}

// === impl Process ===

impl Process {
    pub(crate) fn part(&self) -> Part {
        self.part
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// An error if it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        match self.child.try_wait() {
            Ok(Some(status)) => Err(Error::Ended {
                part: self.part,
                status,
                tail: tail(&self.log, self.log_before),
                log: self.log.clone(),
            }),
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// Ends it in order, or by force after its grace period. Returns how it ended.
    pub(crate) async fn stop(mut self) -> Option<ExitStatus> {
        self.signal(self.part.stop_signal());
        let deadline = Instant::now() + self.part.stop_grace();
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            tokio::time::sleep(POLL).await;
        }
        self.kill()
    }

    /// SIGKILL, as a crash would be.
    pub(crate) fn kill(&mut self) -> Option<ExitStatus> {
        let _ = self.child.kill();
        self.child.wait().ok()
    }

    fn signal(&self, signal: Signal) {
        // Not reaped yet, so the pid can't have become another process's.
        if let Some(pid) = i32::try_from(self.pid()).ok().and_then(Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        self.signal(self.part.stop_signal());
        let deadline = Instant::now() + self.part.stop_grace();
        while matches!(self.child.try_wait(), Ok(None)) {
            if Instant::now() > deadline {
                self.kill();
                return;
            }
            std::thread::sleep(POLL);
        }
    }
}

/// Its end, without what was there before.
fn tail(log: &Path, before: u64) -> String {
    let text = std::fs::read(log).unwrap_or_default();
    let before = usize::try_from(before).unwrap_or(usize::MAX);
    let text = String::from_utf8_lossy(text.get(before..).unwrap_or_default());
    let lines: Vec<&str> = text.lines().collect();
    let skip = lines.len().saturating_sub(LOG_TAIL_LINES);
    lines.into_iter().skip(skip).collect::<Vec<_>>().join("\n")
}
