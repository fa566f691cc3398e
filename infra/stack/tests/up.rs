//! `flowviz-stack up` starts everything around a host, keeps what must be kept, ends in order, and leaves nothing behind even when
//! it is killed. The host here is a stand-in that answers `/readyz`; the real one has its own tests.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use flowviz_stack::http_get;
use tempfile::TempDir;

/// The arguments of the stand-in, which is this test's own program.
const ARGUMENTS: &str = "STAND_IN_ARGUMENTS";
/// PostgreSQL, PgBouncer, Prometheus, Alertmanager, two exporters, and the host.
const PROGRAMS: usize = 7;
const PATIENCE: Duration = Duration::from_secs(60);

/// Not a test: what the stand-in does. Ignored, and without its variable it does nothing.
#[test]
#[ignore = "the host's stand-in, started by the other tests"]
fn stand_in_host() {
    let Ok(arguments) = std::env::var(ARGUMENTS) else {
        return;
    };
    if arguments.starts_with("migrate") {
        let dir = arguments.strip_prefix("migrate --demo --dir ").unwrap();
        assert!(Path::new(dir).ends_with("infra/postgres/migrations"));
        assert!(Path::new(dir).is_dir(), "{dir}, seen from here");
        assert!(std::env::var("DATABASE_URL").unwrap().contains("flowviz:"));
        println!(
            "\nnothing to do\ndemonstration data is loaded: passwords:\n  admin@flowviz.com  open-sesame"
        );
        return;
    }
    let admin = arguments.split("--admin-listen=").nth(1).unwrap().trim();
    let listener = TcpListener::bind(admin).unwrap();
    let variable = |name: &str| std::env::var(format!("SPIN_VARIABLE_{name}")).unwrap();
    let body = format!(
        "{arguments}\n{}\n{}\n{}\n{}\n",
        variable("DATABASE_URL"),
        variable("DATABASE_HOST"),
        variable("JWT_SECRET"),
        variable("PGBOUNCER_STATS_URL")
    );
    for stream in listener.incoming() {
        let mut stream = stream.unwrap();
        let _ = stream.read(&mut [0; 1024]);
        let _ = write!(stream, "HTTP/1.0 200 OK\r\n\r\n{body}");
    }
}

struct Up {
    child: Child,
    /// What it printed until it was up.
    printed: String,
    admin: String,
}

impl Up {
    fn start(dir: &Path) -> Self {
        Self::spawn(&mut command(dir))
    }

    fn start_with_stderr(dir: &Path) -> Self {
        Self::spawn(command(dir).stderr(Stdio::piped()))
    }

    fn spawn(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut printed = String::new();
        while !printed.contains("api/lots") {
            assert_ne!(
                output.read_line(&mut printed).unwrap(),
                0,
                "ended: {printed}"
            );
        }
        // Whoever prints more must not meet a closed pipe.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        let metrics = printed
            .lines()
            .find(|line| line.contains("/metrics"))
            .unwrap();
        let admin = metrics
            .split("http://")
            .nth(1)
            .unwrap()
            .trim_end_matches("/metrics")
            .to_owned();
        Self {
            child,
            printed,
            admin,
        }
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &pid])
                .status()
                .unwrap()
                .success()
        );
    }

    /// The programs that it started, by pid.
    fn children(&self) -> BTreeMap<u32, String> {
        processes()
            .into_iter()
            .filter(|(_, process)| process.parent == self.child.id())
            .map(|(pid, process)| (pid, process.name))
            .collect()
    }
}

fn command(dir: &Path) -> Command {
    let host = dir.join("host.sh");
    let test = std::env::current_exe().unwrap();
    let script = format!(
        "#!/bin/sh\n{ARGUMENTS}=\"$*\" exec '{}' --exact stand_in_host --ignored --nocapture\n",
        test.display()
    );
    std::fs::write(&host, script).unwrap();
    std::fs::set_permissions(&host, std::fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_flowviz-stack"));
    command
        .arg("up")
        .arg("--dir")
        .arg(dir.join("state"))
        .arg("--host-bin")
        .arg(&host)
        .arg("--manifest")
        .arg(dir.join("spin.toml"))
        .env_remove("FLOWVIZ_DEMO_PASSWORD");
    // It must be there; the stand-in doesn't read it.
    std::fs::write(dir.join("spin.toml"), "").unwrap();
    std::fs::create_dir_all(dir.join("infra/postgres/migrations")).unwrap();
    for port in [
        "PORT",
        "ADMIN_PORT",
        "PGBOUNCER_PORT",
        "PROMETHEUS_PORT",
        "ALERTMANAGER_PORT",
        "NODE_EXPORTER_PORT",
        "POSTGRES_EXPORTER_PORT",
        "POSTGRES_PORT",
    ] {
        command.env(format!("FLOWVIZ_{port}"), "0");
    }
    command
}

struct ProcessInfo {
    name: String,
    parent: u32,
}

/// The processes that run; not those that have ended and only wait to be reaped.
fn processes() -> BTreeMap<u32, ProcessInfo> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let (name, rest) = stat.split_once('(').unwrap().1.rsplit_once(") ").unwrap();
        let mut fields = rest.split(' ');
        if fields.next() != Some("Z") {
            let parent = fields.next().unwrap().parse().unwrap();
            let name = name.to_owned();
            found.insert(pid, ProcessInfo { name, parent });
        }
    }
    found
}

fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(
            start.elapsed() < PATIENCE,
            "not within {PATIENCE:?}: {what}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A directory that an unprivileged user can pass through.
fn directory() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    dir
}

#[tokio::test]
async fn everything_comes_up_with_its_secrets_and_ends_in_order() {
    let dir = directory();
    let mut first = Up::start(dir.path());
    assert!(
        first.printed.contains("\"password\":\"open-sesame\""),
        "a curl to paste: {}",
        first.printed
    );

    let (status, body) = http_get(&first.admin, "/readyz").await.unwrap();
    assert_eq!(status, 200);
    let [arguments, url, host, jwt_secret, console] = body.lines().collect::<Vec<_>>()[..] else {
        panic!("{body}")
    };
    let password = url.split([':', '@']).nth(2).unwrap();
    assert!(url.contains("flowviz_app") && url.contains(host), "{url}");
    assert!(jwt_secret.len() >= 32);
    assert!(
        console.contains("flowviz_stats") && console.ends_with("/pgbouncer"),
        "{console}"
    );
    let stats = console.split([':', '@']).nth(2).unwrap();
    for secret in [password, jwt_secret, stats] {
        assert!(!arguments.contains(secret) && !first.printed.contains(secret));
    }

    let children = first.children();
    assert_eq!(children.len(), PROGRAMS, "{children:?}");
    first.signal("-TERM");
    let status = first.child.wait().unwrap();
    assert!(status.success(), "{status}");
    let left: Vec<_> = processes()
        .into_keys()
        .filter(|pid| children.contains_key(pid))
        .collect();
    assert!(left.is_empty(), "{left:?} of {children:?}");

    let mut second = Up::start(dir.path());
    let (_, again) = http_get(&second.admin, "/readyz").await.unwrap();
    assert!(
        again.contains(jwt_secret) && again.contains(password),
        "secrets are kept"
    );
    second.signal("-INT");
    assert!(second.child.wait().unwrap().success());
}

#[test]
fn a_killed_parent_leaves_no_child() {
    let dir = directory();
    let mut up = Up::start(dir.path());
    let children = up.children();
    assert_eq!(children.len(), PROGRAMS, "{children:?}");
    up.child.kill().unwrap();
    up.child.wait().unwrap();
    wait_until("every child is gone", || {
        let running = processes();
        children.keys().all(|pid| !running.contains_key(pid))
    });
    // And the next one starts on what is left, whatever state that is in.
    let mut next = Up::start(dir.path());
    next.signal("-TERM");
    assert!(next.child.wait().unwrap().success());
}

#[test]
fn a_part_that_dies_ends_everything_with_one_message() {
    let dir = directory();
    let up = Up::start_with_stderr(dir.path());
    let children = up.children();
    let (pgbouncer, _) = children
        .iter()
        .find(|(_, name)| *name == "pgbouncer")
        .unwrap();
    let killed = Command::new("kill")
        .args(["-9", &pgbouncer.to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let output = up.child.wait_with_output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success());
    assert!(
        errors.starts_with("error: PgBouncer ended by itself"),
        "{errors}"
    );
    wait_until("every child is gone", || {
        let running = processes();
        children.keys().all(|pid| !running.contains_key(pid))
    });
}

#[test]
fn what_is_missing_or_taken_is_said_before_anything_starts() {
    let dir = directory();
    let holder = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = holder.local_addr().unwrap().port().to_string();
    // `make up` looks before it builds, the stack's own ports too, when there is no host yet.
    let attempts = [
        ("FLOWVIZ_ADMIN_PORT", None),
        ("FLOWVIZ_ADMIN_PORT", Some("--check")),
        ("FLOWVIZ_PROMETHEUS_PORT", Some("--check")),
    ];
    for (variable, check) in attempts {
        let mut attempt = command(dir.path());
        attempt.env(variable, &port).args(check);
        if check.is_some() {
            std::fs::remove_file(dir.path().join("host.sh")).unwrap();
        }
        let taken = attempt.output().unwrap();
        let errors = String::from_utf8_lossy(&taken.stderr);
        assert!(!taken.status.success());
        assert!(
            errors.contains(&port) && errors.contains(variable),
            "{errors}"
        );
    }
    let free = command(dir.path()).arg("--check").output().unwrap();
    assert!(
        free.status.success() && free.stdout.is_empty() && free.stderr.is_empty(),
        "{free:?}"
    );

    let mut without_manifest = command(dir.path());
    std::fs::remove_file(dir.path().join("spin.toml")).unwrap();
    let absent = without_manifest.output().unwrap();
    let errors = String::from_utf8_lossy(&absent.stderr);
    assert!(
        errors.contains("spin.toml, isn't there: start in the repository"),
        "{errors}"
    );
    assert!(!dir.path().join("state").exists());
}
