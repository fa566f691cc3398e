//! Promise: a thousand clients at once, and a PgBouncer that restarts under them, cost no more logins than the pool has places: the
//! host is a wall between the plant's login storms and the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use flowviz_stack::{Options, Stack};
use flowviz_tests::{Host, HostOptions, PATIENCE, client, probes};
use serde_json::{Value, json};

const CLIENTS: usize = 1000;
/// Connections in the pool.
const POOL: usize = 25;
/// A client whose request failed tries again after this.
const PAUSE: Duration = Duration::from_millis(100);

/// The clients, each of whom asks again and again.
struct Storm {
    /// How often each of them got its answer.
    answers: Vec<AtomicUsize>,
}

impl Storm {
    fn begin(host: &Host, stack: &Stack) -> Arc<Self> {
        let storm = Arc::new(Self {
            answers: (0..CLIENTS).map(|_| AtomicUsize::new(0)).collect(),
        });
        let asked = json!({ "address": stack.app_url().to_string(), "statement": "SELECT 1" });
        let (http, url) = (client(), host.url("/probe/pg/query"));
        for number in 0..CLIENTS {
            let request = http.post(&url).json(&asked);
            let storm = Arc::downgrade(&storm);
            tokio::spawn(async move {
                // Until the test has ended.
                while storm.strong_count() > 0 {
                    let answered = async {
                        let sent = request.try_clone()?.send().await.ok()?;
                        let answer: Value = sent.json().await.ok()?;
                        answer["ok"].is_object().then_some(())
                    };
                    match (answered.await, storm.upgrade()) {
                        (Some(()), Some(storm)) => {
                            storm.answers[number].fetch_add(1, Ordering::Relaxed);
                        }
                        _ => tokio::time::sleep(PAUSE).await,
                    }
                }
            });
        }
        storm
    }

    /// Waits until each client was answered `more` times from now on.
    async fn all_served(&self, more: usize) -> Result<()> {
        let now = |answers: &AtomicUsize| answers.load(Ordering::Relaxed);
        let wanted: Vec<_> = self.answers.iter().map(|a| now(a) + more).collect();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = self.answers.iter().zip(&wanted);
            let left = left
                .filter(|(answers, wanted)| now(answers) < **wanted)
                .count();
            if left == 0 {
                return Ok(());
            }
            ensure!(
                Instant::now() < deadline,
                "{left} clients were not answered"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// How often the application's role has logged in to PgBouncer so far.
fn logins(stack: &Stack) -> Result<usize> {
    let log = std::fs::read_to_string(stack.dir().join("logs/pgbouncer.log"))?;
    Ok(log
        .matches("login attempt: db=flowviz user=flowviz_app")
        .count())
}

#[tokio::test]
async fn a_thousand_clients_and_a_restart_cost_one_login_for_each_place_in_the_pool() -> Result<()>
{
    let options = Options::temporary().with_pgbouncer("log_connections = 1");
    let mut stack = Stack::start(options).await?;
    let allowed = format!(
        "allowed_outbound_hosts = [\"postgres://{}\"]\n[component.probe.tool.flowviz]",
        stack.pgbouncer_host()
    );
    // Those beyond `max_concurrency` wait in the queue, as a plant's clients would.
    let manifest = probes(&[("probe", "timeout = '1m'\ncpu_limit = '1m'")])
        .replace("[component.probe.tool.flowviz]", &allowed);
    let host = Host::with_manifest(&manifest, HostOptions::default())?;

    let before = logins(&stack)?;
    let storm = Storm::begin(&host, &stack);
    storm.all_served(1).await?;
    let first = logins(&stack)? - before;
    ensure!((1..=POOL).contains(&first), "{first} logins");

    stack.stop_pgbouncer().await;
    let before = logins(&stack)?;
    stack.start_pgbouncer().await?;
    storm.all_served(2).await?;
    let again = logins(&stack)? - before;
    ensure!(
        (1..=POOL).contains(&again),
        "{again} logins after the restart"
    );

    let metrics = host.metrics().await?;
    let pool = metrics.sum("flowviz_connection_pool_size", &[("pool", "flowviz")]);
    ensure!(pool <= POOL as f64, "{pool} connections");
    Ok(())
}
