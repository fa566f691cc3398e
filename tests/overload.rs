//! Promise: a function that is asked for three times what it can do does nearly as much as it can: whom it doesn't serve is refused at
//! once and told when to come again, those that it serves are served in time, and no other function notices.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use flowviz_tests::{Answer, Host, HostOptions, client, probes};
use futures::future::try_join_all;
use reqwest::Client;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How many times its peak the function is offered.
const OVERLOAD: f64 = 3.0;
/// Less than this was no overload: the machine was too busy to make one.
const OVERLOAD_AT_LEAST: f64 = 2.5;
/// Goodput under overload, as a part of the peak's.
const KEPT: f64 = 0.9;
/// The same of another function, which has nothing to do with it but the machine.
const KEPT_BY_OTHERS: f64 = 0.75;
/// How much faster a refusal must be than a service.
const FASTER: u32 = 4;
/// It must be so in one of them: others use this machine, too.
const ROUNDS: usize = 4;

/// How long a run goes on, and what of it is not counted: its beginning.
const RUN: Duration = Duration::from_secs(4);
const BEGINNING: Duration = Duration::from_millis(1500);

/// Clients of the other function.
const OTHERS: usize = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Served,
    /// 503, and when to come again.
    Refused,
    /// 504: it was begun, and its time was over.
    Late,
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    /// When it was to be sent, whether or not it was.
    due: Instant,
    ended: Instant,
    outcome: Outcome,
}

/// The requests that ended within the counted part of a run.
#[derive(Debug)]
struct Run(Vec<Sample>);

// === impl Sample ===

impl Sample {
    async fn of(client: Client, url: String, due: Instant) -> Result<Self> {
        let answer = Answer::of(client.get(url)).await?;
        let outcome = match answer.status.as_u16() {
            200 => Outcome::Served,
            503 => {
                answer.expect_problem(503, "overloaded")?;
                ensure!(answer.header("retry-after") == Some("1"), "{answer:?}");
                Outcome::Refused
            }
            504 => {
                answer.expect_problem(504, "timeout")?;
                Outcome::Late
            }
            _ => bail!("{} {}", answer.status, answer.text()),
        };
        Ok(Self {
            due,
            ended: Instant::now(),
            outcome,
        })
    }
}

// === impl Run ===

impl Run {
    fn new(started: Instant, samples: Vec<Sample>) -> Self {
        let counted = started + BEGINNING..started + RUN;
        let samples = samples.into_iter();
        Self(samples.filter(|s| counted.contains(&s.ended)).collect())
    }

    /// So many clients, each of which sends a request when its last one was answered.
    async fn closed(url: &str, clients: usize) -> Result<Self> {
        let started = Instant::now();
        let clients = (0..clients).map(|_| async {
            let (client, mut samples) = (client(), Vec::new());
            while started.elapsed() < RUN {
                samples.push(Sample::of(client.clone(), url.to_owned(), Instant::now()).await?);
            }
            anyhow::Ok(samples)
        });
        Ok(Self::new(started, try_join_all(clients).await?.concat()))
    }

    /// So many requests in a second, whatever becomes of them.
    async fn open(url: &str, per_second: f64) -> Result<Self> {
        let (started, client) = (Instant::now(), client());
        let mut schedule = interval(Duration::from_secs_f64(1.0 / per_second));
        schedule.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut requests = JoinSet::new();
        while started.elapsed() < RUN {
            let due = schedule.tick().await;
            requests.spawn(Sample::of(client.clone(), url.to_owned(), due));
        }
        let samples: Result<Vec<_>> = requests.join_all().await.into_iter().collect();
        Ok(Self::new(started, samples?))
    }

    /// Requests per second.
    fn rate(&self, outcome: Option<Outcome>) -> f64 {
        let ended = self.0.iter();
        let ended = ended.filter(|sample| outcome.is_none_or(|outcome| sample.outcome == outcome));
        ended.count() as f64 / (RUN - BEGINNING).as_secs_f64()
    }

    fn goodput(&self) -> f64 {
        self.rate(Some(Outcome::Served))
    }

    /// How long half of them took at most.
    fn median(&self, outcome: Outcome) -> Duration {
        let of_outcome = self.0.iter().filter(|sample| sample.outcome == outcome);
        let mut took: Vec<_> = of_outcome.map(|sample| sample.ended - sample.due).collect();
        took.sort_unstable();
        took.get(took.len() / 2).copied().unwrap_or_default()
    }
}

/// The function sleeps for `work` milliseconds, and takes `places` requests at a time.
async fn holds(places: usize, work: u64, settings: &str) -> Result<()> {
    let settings = format!("max_concurrency = {places}\n{settings}");
    let functions = [("loaded", &*settings), ("other", "")];
    let host = Host::with_manifest(&probes(&functions), HostOptions::default())?;
    let loaded = host.url(&format!("/loaded/sleep?{work}"));
    let other = host.url("/other/sleep?20");
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        // Twice as many clients as places: none of them is ever free.
        let (peak, quiet) = tokio::try_join!(
            Run::closed(&loaded, 2 * places),
            Run::closed(&other, OTHERS)
        )?;
        let (overload, disturbed) = tokio::try_join!(
            Run::open(&loaded, OVERLOAD * peak.goodput()),
            Run::closed(&other, OTHERS)
        )?;
        ensure!(disturbed.goodput() == disturbed.rate(None), "{disturbed:?}");
        let offered = overload.rate(None) / peak.goodput();
        let kept = overload.goodput() / peak.goodput();
        let others = disturbed.goodput() / quiet.goodput();
        let (served, refused) = (
            overload.median(Outcome::Served),
            overload.median(Outcome::Refused),
        );
        let round = format!(
            "peak {:.0}/s; offered {offered:.2} of it, served {kept:.2} in {served:?}, refused {:.0}/s in {refused:?}, \
             late {:.0}/s; the other function {others:.2}",
            peak.goodput(),
            overload.rate(Some(Outcome::Refused)),
            overload.rate(Some(Outcome::Late)),
        );
        println!("{round}");
        rounds.push(round);
        if offered >= OVERLOAD_AT_LEAST
            && kept >= KEPT
            && others >= KEPT_BY_OTHERS
            && refused * FASTER < served
        {
            return Ok(());
        }
    }
    bail!(
        "in no round was all as it should be:\n{}",
        rounds.join("\n")
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_short_queue() -> Result<()> {
    holds(8, 50, "queue = 8").await
}

/// Whoever waited so long that there is no time left to be served would take a place for nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_longer_than_its_patience() -> Result<()> {
    holds(8, 300, "timeout = '1s'").await
}
