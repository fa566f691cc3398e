//! A component of another language on a whole stack, at `/<language>/...`.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Weak};

use anyhow::{Result, ensure};
use bytes::Bytes;
use flowviz_stack::{Options, Stack};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::artifacts::artifacts;
use crate::client::{Answer, client};
use crate::database::connect;
use crate::foreign::Language;
use crate::host::{Host, HostOptions};

#[derive(Debug)]
pub struct ForeignApp {
    // The host ends before what it uses.
    pub host: Host,
    pub stack: Stack,
    language: Language,
    _files: TempDir,
}

// === impl ForeignApp ===

impl ForeignApp {
    /// One for all tests that run at the same time: such a component takes long to compile. It ends with the last of them.
    pub async fn shared(language: Language) -> Result<Arc<Self>> {
        static SHARED: Mutex<Weak<ForeignApp>> = Mutex::const_new(Weak::new());
        let mut shared = SHARED.lock().await;
        match shared.upgrade() {
            Some(app) if app.language == language => Ok(app),
            _ => {
                let app = Arc::new(Self::start(language).await?);
                *shared = Arc::downgrade(&app);
                Ok(app)
            }
        }
    }

    /// With the table that the components read.
    async fn start(language: Language) -> Result<Self> {
        let component = language.component()?;
        let stack = Stack::start(Options::temporary()).await?;
        connect(&stack.owner_url())
            .await?
            .batch_execute(
                "CREATE TABLE foreign_lots (code text PRIMARY KEY, kg int);
                 INSERT INTO foreign_lots VALUES ('RAW-1', 420), ('Grüße, 🥓''--', 7);
                 GRANT ALL ON foreign_lots TO flowviz_app",
            )
            .await?;
        let files = TempDir::new()?;
        let options = HostOptions {
            manifest: files.path().join("spin.toml"),
            env: vec![(
                "SPIN_VARIABLE_DATABASE_URL".to_owned(),
                stack.app_url().to_string(),
            )],
            ..HostOptions::default()
        };
        let text = manifest(language.name(), &component, &stack.pgbouncer_host());
        std::fs::write(&options.manifest, text)?;
        compile(&options)?;
        let host = Host::start(options)?;
        Ok(Self {
            host,
            stack,
            language,
            _files: files,
        })
    }

    /// What the function says to this path.
    pub async fn ask(&self, path: &str) -> Result<Answer> {
        self.host
            .get(&format!("/{}/{path}", self.language.name()))
            .await
    }

    /// The rows that have this code: asked with a parameter.
    pub async fn lot(&self, code: &str) -> Result<Value> {
        let url = self.host.url(&format!("/{}/lot", self.language.name()));
        let answer = Answer::of(client().get(url).query(&[("code", code)])).await?;
        ensure!(answer.status == 200, "{code}: {answer:?}");
        answer.json()
    }

    /// What is asked for with a parameter is found, through PgBouncer, and nothing else.
    pub async fn finds_rows_by_a_parameter(&self) -> Result<()> {
        for (code, found) in [
            (
                "RAW-1",
                json!([{ "code": "RAW-1", "kg": 420, "note": null }]),
            ),
            (
                "Grüße, 🥓'--",
                json!([{ "code": "Grüße, 🥓'--", "kg": 7, "note": null }]),
            ),
            ("' OR true --", json!([])),
        ] {
            let got = self.lot(code).await?;
            ensure!(got == found, "{code}: {got}");
        }
        Ok(())
    }

    /// A body comes back as it was sent.
    pub async fn echoes(&self, body: Bytes) -> Result<()> {
        let url = self.host.url(&format!("/{}/echo", self.language.name()));
        let answer = Answer::of(client().post(url).body(body.clone())).await?;
        ensure!(answer.status == 200, "{}", answer.status);
        ensure!(
            answer.body == body,
            "{} bytes came back as {} others",
            body.len(),
            answer.body.len()
        );
        Ok(())
    }

    /// The function fails on this request, and only on this one.
    pub async fn survives_a_crash(&self) -> Result<()> {
        let crashed = self.ask("crash").await?;
        ensure!(crashed.status == 500, "{crashed:?}");
        let next = self.ask("hello").await?;
        ensure!(next.status == 200, "{next:?}");
        Ok(())
    }

    /// Many requests at once, each with its own answer.
    pub async fn answers_many_at_once(&self) -> Result<()> {
        let asked = (0..32).map(|n| async move {
            let code = if n % 2 == 0 { "RAW-1" } else { "none" };
            anyhow::Ok((n, self.lot(code).await?))
        });
        for (n, got) in futures::future::try_join_all(asked).await? {
            let found = got.as_array().map_or(0, Vec::len);
            ensure!(found == (n + 1) % 2, "{n}: {got}");
        }
        Ok(())
    }
}

/// Puts the component into the cache of compiled ones: that of a whole language takes a host that isn't optimised longer than a test
/// waits for one to serve.
fn compile(options: &HostOptions) -> Result<()> {
    let output = Command::new(&artifacts().flowviz)
        .args(["check", "--from"])
        .arg(&options.manifest)
        .envs(options.env.iter().cloned())
        .output()?;
    ensure!(
        output.status.success(),
        "flowviz check: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

/// An engine that interprets a language takes longer than a function that is compiled.
fn manifest(name: &str, component: &Path, database: &str) -> String {
    let component = component.display();
    format!(
        r#"
spin_manifest_version = 2
[application]
name = "foreign"
[variables]
database_url = {{ required = true, secret = true }}
[[trigger.http]]
route = "/{name}/..."
component = "{name}"
[component.{name}]
source = "{component}"
variables = {{ database_url = "{{{{ database_url }}}}" }}
allowed_outbound_hosts = ["postgres://{database}"]
[component.{name}.tool.flowviz]
memory_limit = "128MiB"
timeout = "60s"
cpu_limit = "30s"
max_concurrency = 8
max_body_size = "8MiB"
"#
    )
}
