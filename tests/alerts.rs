//! Promise: who is on call is told in time, and told when it is over. On the real Prometheus and Alertmanager, with production's rules, routes
//! and templates (their windows and waits divided by 20): errors, slow functions, an exhausted pool and a dead PostgreSQL go pending and
//! fire, and arrive by mail and as a Slack message, with the values and what to do; and so does their end. What only follows from the
//! dead PostgreSQL isn't told, neither meanwhile nor afterwards.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use flowviz_stack::{MonitoringOptions, Notify, Options, Part, Stack};
use flowviz_tests::{MailSink, WebSink, Wms, connect, wms_and_probes};
use serde_json::Value;
use tokio::task::JoinSet;

const SHORTENED: u32 = 20;
/// Between two signs of life, in production.
const WATCHDOG_EVERY: Duration = Duration::from_secs(60);
/// From the trouble to the mail, at a twentieth of the plant's time, on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The plant, and those who hear of it.
struct Plant {
    wms: Wms,
    mail: MailSink,
    slack: WebSink,
}

/// Trouble that goes on until it is dropped.
type Trouble = JoinSet<()>;

impl Plant {
    async fn start() -> Result<Self> {
        let (mail, slack) = (MailSink::start()?, WebSink::start().await?);
        let monitoring = MonitoringOptions {
            notify: Some(Notify {
                smtp: mail.address.clone(),
                slack: format!("{}/slack", slack.url),
                dead_mans_switch: format!("{}/dead-mans-switch", slack.url),
            }),
            shortened: Some(SHORTENED),
        };
        let stack = Stack::start(Options::temporary().with_monitoring(monitoring)).await?;
        let directory = wms_and_probes(&[("probe", "")])?;
        let manifest = directory.path().join("spin.toml");
        let wms = Wms::on(stack, |options| options.manifest = manifest).await?;
        wms.stack.scrape_host(wms.host.admin)?;
        Ok(Self { wms, mail, slack })
    }

    /// Asks for `path` about `rate` times a second.
    fn ask(&self, path: &str, token: &str, rate: u32) -> Trouble {
        let mut trouble = JoinSet::new();
        let (http, url) = (self.wms.http.clone(), self.wms.host.url(path));
        let token = token.to_owned();
        trouble.spawn(async move {
            let mut asking = JoinSet::new();
            loop {
                let request = http.get(&url).bearer_auth(&token).send();
                asking.spawn(async move { _ = request.await });
                while asking.try_join_next().is_some() {}
                tokio::time::sleep(Duration::from_secs(1) / rate).await;
            }
        });
        trouble
    }

    /// The state of an alert in Prometheus, with these labels, and what it says.
    async fn alert(&self, name: &str, labels: &[(&str, &str)]) -> Result<Option<Value>> {
        let prometheus = self.wms.stack.prometheus_url().context("a Prometheus")?;
        let url = format!("{prometheus}/api/v1/alerts");
        let answer: Value = self.wms.http.get(url).send().await?.json().await?;
        let alerts = answer["data"]["alerts"].as_array().context("alerts")?;
        let is_it = |alert: &&Value| {
            let label = |name: &str| alert["labels"][name].as_str().unwrap_or_default();
            label("alertname") == name && labels.iter().all(|(name, value)| label(name) == *value)
        };
        Ok(alerts.iter().find(is_it).cloned())
    }

    /// Waits for an alert to be pending, and then to fire.
    async fn fires(&self, name: &str, labels: &[(&str, &str)]) -> Result<Value> {
        let start = Instant::now();
        let mut pending = false;
        while start.elapsed() < PATIENCE {
            match self.alert(name, labels).await? {
                Some(alert) if alert["state"] == "firing" => {
                    ensure!(pending, "{name} fired at once");
                    return Ok(alert);
                }
                Some(_) => pending = true,
                None => {}
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        bail!("{name} {labels:?} never fired; pending: {pending}")
    }

    /// Waits for an alert to be over.
    async fn ends(&self, name: &str, labels: &[(&str, &str)]) -> Result<()> {
        let start = Instant::now();
        while self.alert(name, labels).await?.is_some() {
            ensure!(start.elapsed() < PATIENCE, "{name} {labels:?} never ends");
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        Ok(())
    }

    /// All mails and Slack messages so far.
    fn told(&self) -> (Vec<String>, Vec<String>) {
        let mails = self.mail.mails();
        let slack = self.slack.messages("/slack");
        (
            mails.iter().map(|mail| plain(mail)).collect(),
            slack.iter().map(slack_text).collect(),
        )
    }

    /// Waits for a mail and a Slack message, each with all of these in it.
    async fn arrives(&self, subject: &str, says: &[&str]) -> Result<()> {
        let start = Instant::now();
        let all = |text: &str| text.contains(subject) && says.iter().all(|say| text.contains(say));
        loop {
            let (mails, slack) = self.told();
            if let (Some(mail), Some(message)) = (
                mails.iter().find(|mail| all(mail)),
                slack.iter().find(|message| all(message)),
            ) {
                eprintln!("--- mail\n{mail}\n--- Slack\n{message}\n");
                return Ok(());
            }
            ensure!(
                start.elapsed() < PATIENCE,
                "never arrived: {subject} {says:?}\nmails: {mails:#?}\nSlack: {slack:#?}"
            );
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
}

/// A mail's subject and its part in plain text, decoded.
fn plain(mail: &str) -> String {
    let subject = mail
        .lines()
        .find_map(|line| line.strip_prefix("Subject: "))
        .unwrap_or_default();
    let text = mail
        .split_once("Content-Type: text/plain")
        .and_then(|(_, rest)| rest.split_once("\r\n\r\n"))
        .map_or("", |(_, text)| text.split("\r\n--").next().unwrap_or(text));
    // Quoted-printable: soft line ends, and what is no plain character.
    let text = text.replace("=\r\n", "").replace("=3D", "=");
    format!("{subject}\n{}", text.replace("\r\n", "\n"))
}

fn slack_text(message: &Value) -> String {
    let attachment = &message["attachments"][0];
    let field = |name: &str| attachment[name].as_str().unwrap_or_default();
    format!("{}\n{}", field("title"), field("text"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trouble_is_told_and_so_is_its_end() -> Result<()> {
    let began = Instant::now();
    let mut plant = Plant::start().await?;
    let token = plant.wms.login("operator").await?;
    let health = plant.ask("/api/health", "", 20);
    let lots = plant.ask("/api/lots?limit=1", &token, 10);

    // Errors, and slow functions.
    let errors = plant.ask("/probe/panic", "", 10);
    let slow = plant.ask("/probe/sleep?1200", "", 10);
    let critical = [("severity", "critical")];
    let probe = [("function", "probe"), ("severity", "critical")];
    let (_, late) = tokio::try_join!(
        plant.fires("HighErrorRate", &critical),
        plant.fires("HighLatency", &probe),
    )?;
    ensure!(
        late["annotations"]["summary"]
            .as_str()
            .is_some_and(|summary| summary.starts_with("probe is ")),
        "{late}"
    );
    plant
        .arrives(
            "[CRITICAL] HighErrorRate",
            &["of all requests fail", "runbooks.md#higherrorrate"],
        )
        .await?;
    plant
        .arrives(
            "[CRITICAL] HighLatency",
            &["probe is very slow: p99", "runbooks.md#highlatency"],
        )
        .await?;
    plant
        .arrives(
            "FunctionTrapping",
            &["probe", "runbooks.md#functiontrapping"],
        )
        .await?;
    drop((errors, slow));
    plant.arrives("[RESOLVED] HighErrorRate", &[]).await?;

    // Whoever else uses PgBouncer can take all of its connections: then no function gets to the database, and both is told.
    let mut hogs = JoinSet::new();
    for _ in 0..60 {
        let url = plant.wms.stack.app_url().to_string();
        hogs.spawn(async move {
            loop {
                if let Ok(client) = connect(&url).await {
                    _ = client.simple_query("SELECT pg_sleep(20)").await;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
    }
    tokio::try_join!(
        plant.fires("PgBouncerPoolExhausted", &[("database", "flowviz")]),
        plant.fires("DatabaseUnreachable", &[]),
    )?;
    plant
        .arrives(
            "PgBouncerPoolExhausted",
            &["clients have been waiting for a server connection to flowviz"],
        )
        .await?;
    drop(hogs);
    plant
        .arrives("[RESOLVED] PgBouncerPoolExhausted", &[])
        .await?;
    plant.arrives("[RESOLVED] DatabaseUnreachable", &[]).await?;
    plant.ends("HighErrorRate", &[]).await?;

    // PostgreSQL is gone. That requests fail follows from it, and isn't told: not beside it, nor while the windows still see it.
    let (mails, messages) = plant.told();
    plant.wms.stack.kill(Part::Postgres);
    tokio::try_join!(
        plant.fires("DatabaseDown", &[]),
        plant.fires("HighErrorRate", &critical),
    )?;
    plant
        .arrives(
            "[CRITICAL] DatabaseDown: PostgreSQL is down",
            &["503 with Retry-After"],
        )
        .await?;
    plant.wms.stack.start_postgres().await?;
    plant
        .arrives("[RESOLVED] DatabaseDown", &["Resolved"])
        .await?;

    plant.ends("HighErrorRate", &[]).await?;
    let (mails_now, messages_now) = plant.told();
    let all_since = [&mails_now[mails.len()..], &messages_now[messages.len()..]].concat();
    let follows =
        |text: &&String| text.contains("HighErrorRate") && !text.starts_with("[RESOLVED]");
    let told: Vec<_> = all_since.iter().filter(follows).collect();
    ensure!(told.is_empty(), "{told:#?}");

    // Every minute, and not every other one.
    let barks = plant.slack.messages("/dead-mans-switch");
    ensure!(barks[0]["alerts"][0]["labels"]["alertname"] == "Watchdog");
    let due = began.elapsed().as_secs_f64() / (WATCHDOG_EVERY / SHORTENED).as_secs_f64();
    ensure!(barks.len() as f64 > due * 0.7, "{} of {due}", barks.len());
    drop((health, lots));
    Ok(())
}
