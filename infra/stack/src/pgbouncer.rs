//! PgBouncer, from the file that production uses; only `addresses.ini` and `userlist.txt` beside it are made here.

use std::path::PathBuf;
use std::time::Duration;

use crate::directory::Directory;
use crate::error::Result;
use crate::part::Part;
use crate::postgres::{Cluster, DATABASE, Role};
use crate::probe;
use crate::process::{Launch, Launcher, Process};
use crate::secrets::{DatabaseUrl, Secret, Secrets, write_private};
use crate::{Logins, Options};

const CONFIGURATION: &str = include_str!("../../pgbouncer/pgbouncer.ini");
/// Calls what infra/pgbouncer/auth_query.sql makes.
const AUTH_QUERY: &str = "SELECT username, secret FROM pgbouncer.user_lookup($1)";
/// PgBouncer's own database: SHOW, PAUSE, RESUME ...
const CONSOLE: &str = "pgbouncer";
const STATS: &str = "flowviz_stats";
const ADMIN: &str = "flowviz_admin";

const READY_WITHIN: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(crate) struct Pooler {
    dir: PathBuf,
    port: u16,
    app: Secret,
    stats: Secret,
    admin: Secret,
}

impl Pooler {
    pub(crate) fn prepare(
        directory: &Directory,
        launcher: &Launcher,
        secrets: &Secrets,
        port: u16,
        cluster: &Cluster,
        options: &Options,
    ) -> Result<Self> {
        let account = launcher.account();
        let dir = directory.part("pgbouncer", account)?;
        let (stats, admin) = (secrets.get(STATS)?, secrets.get(ADMIN)?);
        let app = cluster.password(Role::App).clone();

        let mut settings = vec![
            "listen_addr = 127.0.0.1".to_owned(),
            format!("listen_port = {port}"),
        ];
        // Whoever isn't in the list is looked up in PostgreSQL.
        let listed = match options.logins {
            Logins::UserList => (Role::App.name(), &app),
            Logins::AuthQuery => {
                settings.push(format!("auth_user = {}", Role::Auth.name()));
                settings.push(format!("auth_query = {AUTH_QUERY}"));
                (Role::Auth.name(), cluster.password(Role::Auth))
            }
        };
        settings.extend_from_slice(&options.pgbouncer_settings);
        let addresses = format!(
            "{}\n\n[databases]\n{DATABASE} = host=127.0.0.1 port={} dbname={DATABASE}\n",
            settings.join("\n"),
            cluster.port()
        );
        let users: String = [listed, (STATS, &stats), (ADMIN, &admin)]
            .into_iter()
            .map(|(name, password)| format!("\"{name}\" \"{}\"\n", &**password))
            .collect();
        for (name, content) in [
            ("pgbouncer.ini", CONFIGURATION),
            ("addresses.ini", &addresses),
            ("userlist.txt", &users),
        ] {
            let path = dir.join(name);
            write_private(&path, content)?;
            account.own(&path)?;
        }
        Ok(Self {
            dir,
            port,
            app,
            stats,
            admin,
        })
    }

    /// Starts it and waits until it answers on its console: with or without a database behind it.
    pub(crate) async fn start(&self, launcher: &Launcher) -> Result<Process> {
        let mut process = launcher.launch(Launch {
            part: Part::PgBouncer,
            program: &launcher.programs().pgbouncer,
            arguments: vec!["pgbouncer.ini".to_owned()],
            dir: &self.dir,
            environment: Vec::new(),
            account: launcher.account(),
        })?;
        let url = self.stats_url();
        probe::until_ready(&mut process, READY_WITHIN, async || {
            let console = probe::connect(&url).await?;
            console
                .simple_query("SHOW VERSION")
                .await
                .map_err(|error| error.to_string())
        })
        .await?;
        Ok(process)
    }

    /// Waits until the application's role gets an answer from PostgreSQL through the pooler.
    pub(crate) async fn until_serving(&self, process: &mut Process) -> Result<()> {
        let url = self.app_url();
        probe::until_ready(process, READY_WITHIN, async || {
            probe::select_one(&url).await
        })
        .await
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn app_url(&self) -> DatabaseUrl {
        DatabaseUrl::new(Role::App.name(), &self.app, self.port, DATABASE)
    }

    pub(crate) fn stats_url(&self) -> DatabaseUrl {
        DatabaseUrl::new(STATS, &self.stats, self.port, CONSOLE)
    }

    pub(crate) fn admin_url(&self) -> DatabaseUrl {
        DatabaseUrl::new(ADMIN, &self.admin, self.port, CONSOLE)
    }
}
