//! `infra/compose/roles.sql` on a real PostgreSQL: each role may do what it's for and no more, and a changed password counts after
//! another run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use flowviz_observability::compose::{SECRETS, make_secrets};
use flowviz_observability::read;

/// A cluster of its own, reached by its socket alone; it ends with this.
struct Postgres {
    dir: tempfile::TempDir,
}

/// The newest of those that are installed.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").expect("`make setup` installs PostgreSQL");
    let newest = versions.map(|entry| entry.unwrap().path()).max();
    newest.unwrap().join("bin").join(name)
}

/// What it printed, or its complaint.
fn run(command: &mut Command) -> Result<String, String> {
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        Ok(text(&output.stdout))
    } else {
        Err(text(&output.stderr))
    }
}

// === impl Postgres ===

impl Postgres {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let this = Self { dir };
        if is_root() {
            run(Command::new("chown").arg("nobody").arg(this.dir.path())).unwrap();
        }
        fs::write(this.path("password"), "of-the-superuser").unwrap();
        run(this.own("initdb").args([
            "--pgdata=data",
            "--username=postgres",
            "--pwfile=password",
            "--auth=scram-sha-256",
            "--no-sync",
        ]))
        .unwrap();
        let options = format!(
            "-c listen_addresses= -c unix_socket_directories='{}' -c fsync=off",
            this.dir.path().display()
        );
        run(this.own("pg_ctl").args([
            "start",
            "--wait",
            "--pgdata=data",
            "--log=log",
            "-o",
            &options,
        ]))
        .unwrap();
        this
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// One of the server's programs in its directory; as nobody where we are root, which PostgreSQL refuses to run as.
    fn own(&self, name: &str) -> Command {
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups"]);
            command.arg(program(name));
            command
        } else {
            Command::new(program(name))
        };
        command.current_dir(self.dir.path());
        command
    }

    fn psql(&self, user: &str, password: &str, database: &str) -> Command {
        let mut command = Command::new("psql");
        command
            .args(["-qXtA", "-v", "ON_ERROR_STOP=1", "-U", user, "-d", database])
            .arg("-h")
            .arg(self.dir.path())
            .env("PGPASSWORD", password);
        command
    }

    fn apply(&self, script: &Path) -> Result<String, String> {
        let mut psql = self.psql("postgres", "of-the-superuser", "postgres");
        run(psql.arg("-f").arg(script))
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let stop = ["stop", "--pgdata=data", "--mode=immediate"];
        let _ = run(self.own("pg_ctl").args(stop));
    }
}

fn is_root() -> bool {
    run(Command::new("id").arg("-u")).unwrap() == "0"
}

#[test]
fn roles_may_do_what_they_are_for() {
    let postgres = Postgres::start();
    let secrets = tempfile::tempdir().unwrap();
    make_secrets(secrets.path()).unwrap();
    let secret = |name: &str| {
        let text = fs::read_to_string(secrets.path().join(name)).unwrap();
        text.trim().to_owned()
    };
    // In a container the secrets are elsewhere.
    let here = format!("{}/", secrets.path().display());
    let script = read("infra/compose/roles.sql").unwrap();
    assert!(script.contains(SECRETS));
    let file = postgres.path("roles.sql");
    fs::write(&file, script.replace(SECRETS, &here)).unwrap();
    postgres.apply(&file).unwrap();

    let ask = |user: &str, sql: &str| {
        let password = secret(&format!("{user}_password"));
        run(postgres.psql(user, &password, "flowviz").args(["-c", sql]))
    };
    ask("flowviz", "CREATE TABLE lots (); CREATE ROLE reader").unwrap();
    for (user, sql) in [
        ("flowviz_app", "CREATE TABLE mine ()"),
        ("flowviz_app", "CREATE TEMPORARY TABLE mine ()"),
        ("flowviz_app", "CREATE ROLE mine"),
        ("flowviz_monitor", "TABLE lots"),
        ("flowviz", "CREATE DATABASE mine"),
    ] {
        let refusal = ask(user, sql).unwrap_err();
        assert!(refusal.contains("permission denied"), "{user}: {refusal}");
    }
    assert_eq!(
        ask(
            "flowviz_monitor",
            "SELECT pg_has_role('pg_read_all_stats', 'USAGE')"
        ),
        Ok("t".to_owned())
    );

    let before = secret("flowviz_app_password");
    fs::write(secrets.path().join("flowviz_app_password"), "another").unwrap();
    postgres.apply(&file).unwrap();
    assert_eq!(ask("flowviz_app", "SELECT 1"), Ok("1".to_owned()));
    let mut old = postgres.psql("flowviz_app", &before, "flowviz");
    let refusal = run(old.args(["-c", "SELECT 1"])).unwrap_err();
    assert!(refusal.contains("password authentication failed"));
    assert!(
        !fs::read_to_string(postgres.path("log"))
            .unwrap()
            .contains(&before),
        "a password is in the log"
    );
}
