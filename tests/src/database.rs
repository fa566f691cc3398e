//! The test component on a whole stack: what it asks of the database goes through the host's pool and PgBouncer.

use std::sync::{Arc, Weak};

use anyhow::{Context as _, Result, ensure};
use flowviz_stack::{Options, Stack};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio_postgres::{Client, NoTls};

use crate::client::{Answer, client};
use crate::host::{Host, HostOptions};
use crate::probes::probes;

/// The functions `probe` and `denied`: both are the test component, but only `probe` may connect.
#[derive(Debug)]
pub struct Database {
    // The host ends before what it uses.
    pub host: Host,
    pub stack: Stack,
}

// === impl Database ===

impl Database {
    pub async fn start() -> Result<Self> {
        Self::on(Stack::start(Options::temporary()).await?)
    }

    /// On a stack that runs already.
    pub fn on(stack: Stack) -> Result<Self> {
        let host = Host::with_manifest(&manifest(&stack), HostOptions::default())?;
        Ok(Self { host, stack })
    }

    /// The same with a host that asks the database whether it is there, and PgBouncer's console how it is.
    pub fn watched(stack: Stack) -> Result<Self> {
        let settings = "[application.tool.flowviz]\ndatabase = \"{{ database_url }}\"\npgbouncer = \"{{ console }}\"\n[variables]\ndatabase_url = { required = true }\nconsole = { default = \"\" }\n";
        let manifest = manifest(&stack).replacen("[[trigger", &format!("{settings}[[trigger"), 1);
        let variable = |name: &str, value: String| (format!("SPIN_VARIABLE_{name}"), value);
        let options = HostOptions {
            env: vec![
                variable("DATABASE_URL", stack.app_url().to_string()),
                variable("CONSOLE", stack.pgbouncer_stats_url().to_string()),
            ],
            ..HostOptions::default()
        };
        let host = Host::with_manifest(&manifest, options)?;
        Ok(Self { host, stack })
    }

    /// One for all tests that run at the same time and do each other no harm. It ends with the last of them.
    pub async fn shared() -> Result<Arc<Self>> {
        static SHARED: Mutex<Weak<Database>> = Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        if let Some(database) = shared.upgrade() {
            return Ok(database);
        }
        let database = Arc::new(Self::start().await?);
        *shared = Arc::downgrade(&database);
        Ok(database)
    }

    /// A connection straight to PostgreSQL as the owner, who makes tables and sees what is really there.
    pub async fn owner(&self) -> Result<Client> {
        let (client, connection) = tokio_postgres::connect(&self.stack.owner_url(), NoTls).await?;
        tokio::spawn(connection);
        Ok(client)
    }

    /// Makes a table with these columns, for the functions to use.
    pub async fn table(&self, name: &str, columns: &str) -> Result<()> {
        let statement =
            format!("CREATE TABLE {name} ({columns}); GRANT ALL ON {name} TO flowviz_app");
        Ok(self.owner().await?.batch_execute(&statement).await?)
    }

    /// Makes the test component call the database: `call` is one of its paths below `/pg/`.
    pub async fn call(&self, function: &str, call: &str, mut asked: Value) -> Result<Answer> {
        if asked.get("address").is_none() {
            asked["address"] = json!(self.stack.app_url().to_string());
        }
        let url = self.host.url(&format!("/{function}/pg/{call}"));
        Answer::of(client().post(url).json(&asked)).await
    }

    /// What came of it: `{ "ok": ... }` or `{ "error": ... }`.
    pub async fn ask(&self, call: &str, asked: Value) -> Result<Value> {
        let answer = self.call("probe", call, asked).await?;
        ensure!(
            answer.status == 200,
            "{call}: {} {}",
            answer.status,
            answer.text()
        );
        answer.json()
    }

    /// The rows of a statement, each value as the component prints it.
    pub async fn rows(&self, statement: &str) -> Result<Vec<Vec<String>>> {
        let answer = self.ask("query", json!({ "statement": statement })).await?;
        let rows = answer["ok"]["rows"].clone();
        serde_json::from_value(rows).with_context(|| format!("{statement}: {answer}"))
    }
}

fn manifest(stack: &Stack) -> String {
    let generous = "timeout = '1m'\ncpu_limit = '1m'\nmax_concurrency = 1000\ndb_quota = 25";
    let allowed = format!(
        "allowed_outbound_hosts = [\"postgres://{}\"]\n[component.probe.tool.flowviz]",
        stack.pgbouncer_host()
    );
    probes(&[("probe", generous), ("denied", "")])
        .replace("[component.probe.tool.flowviz]", &allowed)
}
