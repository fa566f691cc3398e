//! The whole WMS: a stack of its own, the schema and the demonstration data, and the host with the repository's spin.toml.

use std::process::Command;

use anyhow::{Result, ensure};
use flowviz_stack::{Options, Stack};
use serde_json::{Value, json};

use crate::{Host, HostOptions, artifacts, root};

/// What all demonstration users of a test's WMS log in with, and of the README.
pub fn demo_password() -> &'static str {
    "kebab-by-the-metre"
}

/// What signs the tokens of a test's WMS.
pub fn jwt_secret() -> &'static str {
    "only for tests: thirty-two bytes at least"
}

#[derive(Debug)]
pub struct Wms {
    // The host ends before what it uses.
    pub host: Host,
    pub stack: Stack,
    pub http: reqwest::Client,
}

// === impl Wms ===

impl Wms {
    pub async fn start() -> Result<Self> {
        Self::on(Stack::start(Options::temporary()).await?, |_| {}).await
    }

    /// On a stack that runs already; `adjust` may change how the host is started.
    pub async fn on(stack: Stack, adjust: impl FnOnce(&mut HostOptions)) -> Result<Self> {
        migrate(&stack)?;
        let mut options = Self::options(&stack);
        adjust(&mut options);
        let host = Host::start(options)?;
        host.wait_ready(200).await?;
        Ok(Self {
            host,
            stack,
            http: reqwest::Client::new(),
        })
    }

    /// How a host of the WMS on this stack is started.
    pub fn options(stack: &Stack) -> HostOptions {
        let variable = |name: &str, value: String| (format!("SPIN_VARIABLE_{name}"), value);
        HostOptions {
            manifest: root().join("spin.toml"),
            env: vec![
                variable("DATABASE_URL", stack.app_url().to_string()),
                variable("DATABASE_HOST", stack.pgbouncer_host()),
                variable(
                    "PGBOUNCER_STATS_URL",
                    stack.pgbouncer_stats_url().to_string(),
                ),
                variable("JWT_SECRET", jwt_secret().to_owned()),
                // A test asks for more in a minute than a person would. Those of the limits take this out.
                ("FLOWVIZ_RATE_LIMITS".to_owned(), "off".to_owned()),
            ],
            ..HostOptions::default()
        }
    }

    /// Logs in one of the demonstration users (`admin`, `manager`, `auditor`, `operator`, `viewer`) and gives the token.
    pub async fn login(&self, user: &str) -> Result<String> {
        let answer: Value = self
            .http
            .post(self.host.url("/api/login"))
            .json(&json!({ "email": format!("{user}@flowviz.com"), "password": demo_password() }))
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?;
        Ok(answer["token"].as_str().unwrap_or_default().to_owned())
    }

    /// A connection straight to PostgreSQL, as the owner: what is really there.
    pub async fn database(&self) -> Result<tokio_postgres::Client> {
        let (client, connection) =
            tokio_postgres::connect(&self.stack.owner_url(), tokio_postgres::NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }
}

/// Brings the stack's database up to date, with the demonstration data.
pub fn migrate(stack: &Stack) -> Result<()> {
    let output = Command::new(&artifacts().flowviz)
        .args(["migrate", "--demo"])
        .env("DATABASE_URL", stack.owner_url().to_string())
        .env("FLOWVIZ_DEMO_PASSWORD", demo_password())
        .current_dir(root())
        .output()?;
    ensure!(
        output.status.success(),
        "flowviz migrate: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
