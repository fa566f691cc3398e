//! PostgreSQL: a cluster made by `initdb`, its roles and the database `flowviz`.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::directory::Directory;
use crate::error::{Error, Result, chain};
use crate::part::Part;
use crate::probe;
use crate::process::{Launch, Launcher, Process};
use crate::secrets::{DatabaseUrl, Secret, Secrets, write_private};
use crate::tls::{self, Tls};
use crate::{Durability, Logins, Options};

pub(crate) const DATABASE: &str = "flowviz";
const SUPERUSER: &str = "postgres";

/// The file that production uses.
const CONFIGURATION: &str = include_str!("../../postgres/postgresql.conf");
/// What PgBouncer's `auth_query` needs, as production uses it.
const AUTH_QUERY: &str = include_str!("../../pgbouncer/auth_query.sql");

const READY_WITHIN: Duration = Duration::from_secs(60);
const PREDECESSOR_GONE_WITHIN: Duration = Duration::from_secs(20);

/// A role that the stack makes, with a password of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// Owns the database and runs the migrations. Not a superuser.
    Owner,
    /// What the functions log in as.
    App,
    /// Reads PostgreSQL's own statistics, for exporters.
    Monitor,
    /// Looks up secrets for PgBouncer's `auth_query`, where that is used.
    Auth,
}

#[derive(Debug)]
pub(crate) struct Cluster {
    dir: PathBuf,
    port: u16,
    durability: Durability,
    tls: Option<Arc<Tls>>,
    settings: Vec<String>,
    passwords: Passwords,
}

#[derive(Debug)]
struct Passwords {
    superuser: Secret,
    owner: Secret,
    app: Secret,
    monitor: Secret,
    auth: Secret,
}

// === impl Role ===

impl Role {
    const ALWAYS: [Self; 3] = [Self::Owner, Self::App, Self::Monitor];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Owner => "flowviz",
            Self::App => "flowviz_app",
            Self::Monitor => "flowviz_monitor",
            Self::Auth => "flowviz_auth",
        }
    }

    fn attributes(self) -> &'static str {
        match self {
            // The migrations make the application's role where it isn't there yet.
            Self::Owner => "LOGIN CREATEROLE",
            Self::App | Self::Monitor | Self::Auth => "LOGIN",
        }
    }
}

// === impl Cluster ===

impl Cluster {
    /// Writes the configuration; runs `initdb` the first time.
    pub(crate) async fn prepare(
        directory: &Directory,
        launcher: &Launcher,
        secrets: &Secrets,
        port: u16,
        options: &Options,
        tls: Option<Arc<Tls>>,
    ) -> Result<Self> {
        let account = launcher.account();
        let dir = directory.part("postgres", account)?;
        directory.check_reachable(launcher, &dir).await?;

        let configuration = dir.join("postgresql.conf");
        write_private(&configuration, CONFIGURATION)?;
        account.own(&configuration)?;

        if let Some(tls) = &tls {
            tls.equip(&dir, account)?;
        }

        let cluster = Self {
            dir,
            port,
            tls,
            durability: options.durability,
            settings: options.postgres_settings.clone(),
            passwords: Passwords {
                superuser: secrets.get(SUPERUSER)?,
                owner: secrets.get(Role::Owner.name())?,
                app: secrets.get(Role::App.name())?,
                monitor: secrets.get(Role::Monitor.name())?,
                auth: secrets.get(Role::Auth.name())?,
            },
        };
        if !cluster.dir.join("data").exists() {
            cluster.initialise(launcher).await?;
        }
        Ok(cluster)
    }

    /// The cluster appears under its name only when it is whole.
    async fn initialise(&self, launcher: &Launcher) -> Result<()> {
        let new = self.dir.join("data.new");
        if new.exists() {
            fs::remove_dir_all(&new).map_err(Error::file(&new))?;
        }
        let password = self.dir.join("superuser");
        write_private(&password, &self.passwords.superuser)?;
        launcher.account().own(&password)?;

        let mut arguments = vec![
            "--pgdata=data.new",
            "--username=postgres",
            "--pwfile=superuser",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-instructions",
        ];
        if self.durability == Durability::Relaxed {
            arguments.push("--no-sync");
        }
        let initdb = launcher.run(Launch {
            part: Part::Postgres,
            program: &launcher.programs().initdb,
            arguments: arguments.into_iter().map(str::to_owned).collect(),
            dir: &self.dir,
            environment: Vec::new(),
            account: launcher.account(),
        });
        let output = initdb.await?;
        fs::remove_file(&password).map_err(Error::file(&password))?;
        if !output.status.success() {
            return Err(Error::Initdb(
                String::from_utf8_lossy(&output.stderr).into_owned(),
            ));
        }
        let data = self.dir.join("data");
        fs::rename(&new, &data).map_err(Error::file(&data))
    }

    /// Starts it and waits until it answers.
    pub(crate) async fn start(&self, launcher: &Launcher) -> Result<Process> {
        let mut settings = vec![
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={}", self.port),
            // A socket's path may have 107 bytes, which a deep directory exceeds, and nobody here needs one.
            "unix_socket_directories=".to_owned(),
        ];
        if self.durability == Durability::Relaxed {
            settings.extend(
                [
                    "fsync=off",
                    "synchronous_commit=off",
                    "full_page_writes=off",
                ]
                .map(str::to_owned),
            );
        }
        if self.tls.is_some() {
            let file = |name| self.dir.join(name).display().to_string();
            settings.extend([
                "ssl=on".to_owned(),
                format!("ssl_cert_file={}", file(tls::CERTIFICATE)),
                format!("ssl_key_file={}", file(tls::KEY)),
            ]);
        }
        settings.extend_from_slice(&self.settings);
        let mut arguments = vec![
            "-D".to_owned(),
            self.dir.join("data").to_string_lossy().into_owned(),
            "-c".to_owned(),
            format!("config_file={}", self.dir.join("postgresql.conf").display()),
        ];
        arguments.extend(
            settings
                .into_iter()
                .flat_map(|setting| ["-c".to_owned(), setting]),
        );
        let mut process = launcher.launch(Launch {
            part: Part::Postgres,
            program: &launcher.programs().postgres,
            arguments,
            dir: &self.dir,
            environment: Vec::new(),
            account: launcher.account(),
        })?;
        let url = self.superuser_url("postgres");
        probe::until_ready(&mut process, READY_WITHIN, async || {
            probe::select_one(&url).await
        })
        .await?;
        Ok(process)
    }

    /// The roles and the database, each if it is absent; passwords as they are in the secrets.
    pub(crate) async fn bootstrap(&self, logins: Logins) -> Result<()> {
        let client = self.superuser("postgres").await?;
        let run = async |sql: &str| run_in(&client, sql).await;
        for role in Role::ALWAYS {
            run(&self.role_statement(role)).await?;
        }
        run("GRANT pg_monitor TO flowviz_monitor").await?;
        let exists = client
            .simple_query("SELECT FROM pg_database WHERE datname = 'flowviz'")
            .await
            .map_err(|error| Error::Bootstrap(chain(&error)))?
            .iter()
            .any(|message| matches!(message, tokio_postgres::SimpleQueryMessage::Row(_)));
        if !exists {
            run("CREATE DATABASE flowviz OWNER flowviz").await?;
        }
        // Nobody makes temporary tables behind a transaction pooler, where the next client would meet them.
        run("REVOKE ALL ON DATABASE flowviz FROM PUBLIC; GRANT CONNECT ON DATABASE flowviz TO flowviz_app, flowviz_monitor").await?;
        if logins == Logins::AuthQuery {
            run(&self.role_statement(Role::Auth)).await?;
            run_in(&self.superuser(DATABASE).await?, AUTH_QUERY).await?;
        }
        Ok(())
    }

    fn role_statement(&self, role: Role) -> String {
        let (name, attributes) = (role.name(), role.attributes());
        format!(
            "DO $$ BEGIN CREATE ROLE {name}; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
             ALTER ROLE {name} {attributes} PASSWORD '{}'",
            &**self.password(role),
        )
    }

    /// Passwords pass through here: neither a slow statement nor a failed one is logged.
    async fn superuser(&self, database: &str) -> Result<tokio_postgres::Client> {
        let client = probe::connect(&self.superuser_url(database))
            .await
            .map_err(Error::Bootstrap)?;
        run_in(
            &client,
            "SET log_min_duration_statement = -1; SET log_min_error_statement = panic",
        )
        .await?;
        Ok(client)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn tls(&self) -> Option<&Arc<Tls>> {
        self.tls.as_ref()
    }

    pub(crate) fn password(&self, role: Role) -> &Secret {
        match role {
            Role::Owner => &self.passwords.owner,
            Role::App => &self.passwords.app,
            Role::Monitor => &self.passwords.monitor,
            Role::Auth => &self.passwords.auth,
        }
    }

    fn superuser_url(&self, database: &str) -> DatabaseUrl {
        DatabaseUrl::new(
            SUPERUSER,
            &self.passwords.superuser,
            self.port,
            database,
            self.tls.as_deref(),
        )
    }
}

async fn run_in(client: &tokio_postgres::Client, sql: &str) -> Result<()> {
    client
        .batch_execute(sql)
        .await
        .map_err(|error| Error::Bootstrap(chain(&error)))
}

/// After a crash of the stack its PostgreSQL may still be writing its last checkpoint, on the same data and port; after one of
/// PostgreSQL's server its children are there until they notice.
pub(crate) async fn wait_for_predecessor(dir: &Path) {
    let pid_file = dir.join("postgres/data/postmaster.pid");
    let deadline = Instant::now() + PREDECESSOR_GONE_WITHIN;
    while Instant::now() < deadline && in_use(&pid_file) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Whether a process is attached to the memory that a server and its children share, which the server notes in its pid file.
fn in_use(pid_file: &Path) -> bool {
    /// Of the pid file, from 0: the memory's key and id.
    const MEMORY_LINE: usize = 6;
    /// Of the kernel's list of shared memory, from 0: the id, and how many are attached.
    const ID_COLUMN: usize = 1;
    const ATTACHED_COLUMN: usize = 6;

    let text = fs::read_to_string(pid_file).unwrap_or_default();
    let memory = text.lines().nth(MEMORY_LINE).unwrap_or_default();
    let Some(id) = memory.split_whitespace().nth(1) else {
        return false;
    };
    let list = fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    list.lines().any(|line| {
        let column = |place| line.split_whitespace().nth(place);
        column(ID_COLUMN) == Some(id) && column(ATTACHED_COLUMN) != Some("0")
    })
}
