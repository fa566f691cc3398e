//! A steady load on the WMS, that notes what became of each request: what was acknowledged, what was refused and how, and when.
//!
//! Three kinds of clients ask at the same time, each over one connection that it keeps: some register lots, some read lots that were
//! acknowledged, and some ask what needs no database.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use reqwest::{Client, RequestBuilder};
use serde_json::json;
use tokio::task::JoinSet;

use crate::client::{Answer, PATIENCE, client};
use crate::wms::Wms;

const WRITERS: usize = 16;
const READERS: usize = 12;
const BYSTANDERS: usize = 4;

/// From one request of a client to its next, unless the answer takes longer.
const PACE: Duration = Duration::from_millis(100);

/// The longest `timeout` of the functions that are asked (10 s), and what a busy machine may add.
const LONGEST: Duration = Duration::from_secs(15);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Write,
    /// Of a lot that was acknowledged: it must be there.
    Read,
    /// Needs no database.
    Bystander,
}

/// What became of a request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    Done,
    /// Refused as a client can understand it: come again (503) or out of time (504), as a problem.
    Refused(u16),
    /// Anything else.
    Wrong(String),
}

#[derive(Clone, Debug)]
struct Sample {
    client: usize,
    kind: Kind,
    sent: Instant,
    ended: Instant,
    outcome: Outcome,
}

/// Everything that became of a load.
#[derive(Debug, Default)]
pub struct Tally {
    samples: Vec<Sample>,
    /// The codes of the lots whose registration was answered with 201.
    pub acknowledged: Vec<String>,
}

/// A load under way.
#[derive(Debug)]
pub struct Load {
    tally: Arc<Mutex<Tally>>,
    over: Arc<AtomicBool>,
    clients: JoinSet<()>,
}

/// One of its clients.
#[derive(Debug)]
struct Asker {
    number: usize,
    kind: Kind,
    http: Client,
    base: String,
    token: String,
    tally: Arc<Mutex<Tally>>,
}

// === impl Load ===

impl Load {
    /// Begins, and returns when each client has been answered as it wants.
    pub async fn start(wms: &Wms) -> Result<Self> {
        let token = wms.login("operator").await?;
        let mut load = Self {
            tally: Arc::default(),
            over: Arc::default(),
            clients: JoinSet::new(),
        };
        let kinds = [
            (Kind::Write, WRITERS),
            (Kind::Read, READERS),
            (Kind::Bystander, BYSTANDERS),
        ];
        let kinds = kinds
            .iter()
            .flat_map(|(kind, clients)| std::iter::repeat_n(*kind, *clients));
        let started = Instant::now();
        for (number, kind) in kinds.enumerate() {
            let asker = Asker {
                number,
                kind,
                http: client(),
                base: wms.host.url(""),
                token: token.clone(),
                tally: Arc::clone(&load.tally),
            };
            let over = Arc::clone(&load.over);
            load.clients.spawn(async move {
                let mut requests = 0;
                while !over.load(Ordering::Relaxed) {
                    let next = tokio::time::Instant::now() + PACE;
                    asker.ask(requests).await;
                    requests += 1;
                    tokio::time::sleep_until(next).await;
                }
            });
        }
        load.until_well(started, Duration::ZERO).await?;
        Ok(load)
    }

    /// Waits until every client has been answered as it wants for so long, its requests since then all sent after `since`. Returns the
    /// end of the last answer that was not.
    pub async fn until_well(&self, since: Instant, calm: Duration) -> Result<Option<Instant>> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            {
                let tally = self.tally();
                let failure = tally.last_failure();
                let well_since = failure.map_or(since, |failure| failure.max(since));
                if well_since.elapsed() >= calm && tally.answered_all(well_since) {
                    return Ok(failure);
                }
                if Instant::now() > deadline {
                    bail!("the load doesn't recover: {tally}");
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// An error if a request that was sent since then has failed.
    pub fn expect_no_failure(&self, since: Instant) -> Result<()> {
        let tally = self.tally();
        let failed = tally.failures().find(|sample| sample.sent >= since);
        ensure!(failed.is_none(), "failed: {failed:?}; in all: {tally}");
        Ok(())
    }

    /// Ends when each client's last request has been answered, and gives what became of all of them.
    pub async fn stop(mut self) -> Result<Tally> {
        self.over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.clients.join_next().await {
            ended?;
        }
        Ok(std::mem::take(&mut *self.tally()))
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        locked(&self.tally)
    }
}

fn locked(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

// === impl Tally ===

impl Tally {
    pub fn requests(&self) -> usize {
        self.samples.len()
    }

    /// How many requests of a kind were refused or went wrong, by how.
    pub fn failed(&self, kind: Kind) -> BTreeMap<&Outcome, usize> {
        let mut failed = BTreeMap::new();
        for sample in self.failures().filter(|sample| sample.kind == kind) {
            *failed.entry(&sample.outcome).or_default() += 1;
        }
        failed
    }

    /// Whatever happens, nobody sees a failure that it can't understand or waits longer than the functions may take, and who needs no
    /// database sees none at all.
    pub fn check(&self) -> Result<()> {
        for sample in &self.samples {
            let told = || format!("{sample:?}, in all: {self}");
            ensure!(!matches!(sample.outcome, Outcome::Wrong(_)), told());
            ensure!(sample.took() <= LONGEST, told());
            ensure!(
                sample.kind != Kind::Bystander || sample.outcome == Outcome::Done,
                told()
            );
        }
        Ok(())
    }

    fn failures(&self) -> impl Iterator<Item = &Sample> {
        self.samples
            .iter()
            .filter(|sample| sample.outcome != Outcome::Done)
    }

    fn last_failure(&self) -> Option<Instant> {
        self.failures().map(|sample| sample.ended).max()
    }

    /// Whether each client has an answer to what it sent since then.
    fn answered_all(&self, since: Instant) -> bool {
        let mut answered = [false; WRITERS + READERS + BYSTANDERS];
        for sample in self.samples.iter().filter(|sample| sample.sent >= since) {
            answered[sample.client] = true;
        }
        answered.iter().all(|answered| *answered)
    }
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} requests", self.samples.len())?;
        for kind in [Kind::Write, Kind::Read, Kind::Bystander] {
            for (outcome, count) in self.failed(kind) {
                write!(f, ", {count} {kind:?} {outcome:?}")?;
            }
        }
        Ok(())
    }
}

// === impl Sample ===

impl Sample {
    fn took(&self) -> Duration {
        self.ended - self.sent
    }
}

// === impl Asker ===

impl Asker {
    /// One request, and its note.
    async fn ask(&self, request: usize) {
        let sent = Instant::now();
        let code = match self.kind {
            Kind::Write => format!("LOAD-{}-{request}", self.number),
            Kind::Read => match self.acknowledged(request) {
                Some(code) => code,
                None => return,
            },
            Kind::Bystander => String::new(),
        };
        let answer = Answer::of(self.request(&code)).await;
        let outcome = self.outcome(answer);
        let mut tally = locked(&self.tally);
        if self.kind == Kind::Write && outcome == Outcome::Done {
            tally.acknowledged.push(code);
        }
        tally.samples.push(Sample {
            client: self.number,
            kind: self.kind,
            sent,
            ended: Instant::now(),
            outcome,
        });
    }

    /// One of the lots that were acknowledged, another one each time.
    fn acknowledged(&self, request: usize) -> Option<String> {
        let tally = locked(&self.tally);
        let place = (request * READERS + self.number).checked_rem(tally.acknowledged.len())?;
        tally.acknowledged.get(place).cloned()
    }

    fn request(&self, code: &str) -> RequestBuilder {
        let request = match self.kind {
            Kind::Write => self
                .http
                .post(format!("{}/api/lots", self.base))
                .json(&json!({ "lot_code": code, "lot_type": "RAW", "weight_kg": 1 })),
            Kind::Read => self.http.get(format!("{}/api/lots/{code}", self.base)),
            Kind::Bystander => return self.http.get(format!("{}/api/openapi.json", self.base)),
        };
        request.bearer_auth(&self.token)
    }

    fn outcome(&self, answer: Result<Answer>) -> Outcome {
        let wanted = if self.kind == Kind::Write { 201 } else { 200 };
        match answer {
            Ok(answer) if answer.status == wanted => Outcome::Done,
            Ok(answer) => match refusal(&answer) {
                Ok(status) => Outcome::Refused(status),
                Err(error) => {
                    Outcome::Wrong(format!("{} {}: {error:#}", answer.status, answer.text()))
                }
            },
            Err(error) => Outcome::Wrong(format!("{error:#}")),
        }
    }
}

/// An answer that tells a client to come again.
pub fn refusal(answer: &Answer) -> Result<u16> {
    let status = answer.status.as_u16();
    let slug = match status {
        503 => {
            answer.header("retry-after").context("no Retry-After")?;
            match answer.json()?["type"].as_str() {
                Some("/problems/overloaded") => "overloaded",
                _ => "database-unavailable",
            }
        }
        504 => "timeout",
        _ => bail!("neither 503 nor 504"),
    };
    answer.expect_problem(status, slug)?;
    Ok(status)
}
