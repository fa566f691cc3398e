//! What came of the requests: counted while they run, summed up at the end.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Login,
    Run,
    Lot,
    Decision,
    Traceability,
}

/// What became of a step in the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Done,
    /// An earlier request with the same key had done it; the stored answer came back.
    Replayed,
    /// Another lot has the code.
    Taken,
    Failed,
    /// Not tried: what it waits for wasn't done.
    Skipped,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum End {
    /// Every step was tried that could be.
    Complete,
    /// By Ctrl-C.
    Interrupted,
    /// Nobody answered any more.
    Unanswered,
}

/// Failures that are told word for word.
const TOLD: usize = 5;

/// Latencies are kept in microseconds to three digits.
const DIGITS: u8 = 3;

/// Counts while the requests run.
#[derive(Debug)]
pub struct Counts {
    begun: Instant,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    answers: BTreeMap<Kind, BTreeMap<String, u64>>,
    outcomes: BTreeMap<Kind, BTreeMap<Outcome, u64>>,
    latencies: BTreeMap<Kind, Histogram<u64>>,
    failures: Vec<String>,
}

/// All of it, at the end.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Summary {
    pub run_code: Option<String>,
    pub ended: End,
    pub seconds: f64,
    /// Answers of any status.
    pub requests: u64,
    pub requests_per_second: f64,
    /// Steps, by what they do and what became of them.
    pub outcomes: BTreeMap<Kind, BTreeMap<Outcome, u64>>,
    /// Answers, by what was asked and status; `no answer`: the connection broke.
    pub answers: BTreeMap<Kind, BTreeMap<String, u64>>,
    pub latency_ms: BTreeMap<Kind, Latency>,
    /// The first failures.
    pub failures: Vec<String>,
}

/// Of the answers of one kind that are 2xx, from the request's first byte to the answer's last. Refusals are quick, and would flatter.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Latency {
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

// === impl Kind ===

impl Kind {
    pub(super) const ALL: [Self; 5] = [
        Self::Login,
        Self::Run,
        Self::Lot,
        Self::Decision,
        Self::Traceability,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Run => "run",
            Self::Lot => "lot",
            Self::Decision => "decision",
            Self::Traceability => "traceability",
        }
    }
}

// === impl Outcome ===

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Replayed => "replayed",
            Self::Taken => "code taken",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

// === impl Counts ===

impl Default for Counts {
    fn default() -> Self {
        Self {
            begun: Instant::now(),
            inner: Mutex::default(),
        }
    }
}

impl Counts {
    pub(super) fn answer(&self, kind: Kind, status: u16, took: Duration) {
        let mut inner = self.inner();
        let answers = inner.answers.entry(kind).or_default();
        *answers.entry(status.to_string()).or_default() += 1;
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        if (200..300).contains(&status)
            && let Ok(new) = Histogram::new(DIGITS)
        {
            // It grows as it has to.
            _ = inner.latencies.entry(kind).or_insert(new).record(micros);
        }
    }

    pub(super) fn no_answer(&self, kind: Kind) {
        let mut inner = self.inner();
        let answers = inner.answers.entry(kind).or_default();
        *answers.entry("no answer".to_owned()).or_default() += 1;
    }

    pub(super) fn outcome(&self, kind: Kind, outcome: Outcome) {
        *self
            .inner()
            .outcomes
            .entry(kind)
            .or_default()
            .entry(outcome)
            .or_default() += 1;
    }

    pub(super) fn failure(&self, kind: Kind, why: String) {
        self.outcome(kind, Outcome::Failed);
        let mut inner = self.inner();
        if inner.failures.len() < TOLD {
            inner.failures.push(why);
        }
    }

    /// What isn't as it should be, for the progress line.
    pub(super) fn troubles(&self) -> String {
        let mut by_status: BTreeMap<String, u64> = BTreeMap::new();
        for (status, count) in self.inner().answers.values().flatten() {
            if !status.starts_with('2') {
                *by_status.entry(status.clone()).or_default() += count;
            }
        }
        listed(
            by_status
                .iter()
                .map(|(status, count)| (status.as_str(), *count)),
        )
    }

    pub(super) fn summary(&self, run_code: Option<String>, ended: End) -> Summary {
        let inner = self.inner();
        let seconds = self.begun.elapsed().as_secs_f64();
        let answered = inner.answers.values().flatten();
        let requests = answered
            .filter(|(status, _)| *status != "no answer")
            .map(|(_, n)| n)
            .sum();
        let millis = |micros: u64| Duration::from_micros(micros).as_secs_f64() * 1000.0;
        Summary {
            run_code,
            ended,
            seconds,
            requests,
            requests_per_second: requests as f64 / seconds,
            outcomes: inner.outcomes.clone(),
            answers: inner.answers.clone(),
            latency_ms: inner
                .latencies
                .iter()
                .map(|(kind, all)| {
                    let latency = Latency {
                        p50: millis(all.value_at_quantile(0.5)),
                        p99: millis(all.value_at_quantile(0.99)),
                        max: millis(all.max()),
                    };
                    (*kind, latency)
                })
                .collect(),
            failures: inner.failures.clone(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Summary ===

impl Summary {
    /// How many steps, of whatever kind, came to this.
    pub fn count(&self, outcome: Outcome) -> u64 {
        self.outcomes
            .values()
            .filter_map(|of_kind| of_kind.get(&outcome))
            .sum()
    }

    /// Answers that said to wait for the rate limit.
    pub fn limited(&self) -> u64 {
        let limited = |answers: &BTreeMap<String, u64>| answers.get("429").copied();
        self.answers.values().filter_map(limited).sum()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            requests,
            seconds,
            requests_per_second,
            ..
        } = self;
        let run = self.run_code.as_deref().unwrap_or("none");
        let ended = match self.ended {
            End::Complete => "",
            End::Interrupted => ", interrupted",
            End::Unanswered => ", given up",
        };
        writeln!(f, "production run: {run}{ended}")?;
        writeln!(
            f,
            "{requests} requests in {seconds:.1} s, {requests_per_second:.0}/s"
        )?;
        for kind in Kind::ALL {
            let outcomes = self.outcomes.get(&kind).into_iter().flatten();
            let outcomes = listed(outcomes.map(|(outcome, count)| (outcome.as_str(), *count)));
            let answers = self.answers.get(&kind).into_iter().flatten();
            let answers = listed(answers.map(|(status, count)| (status.as_str(), *count)));
            if outcomes.is_empty() && answers.is_empty() {
                continue;
            }
            write!(f, "{:<13} {outcomes} ({answers})", kind.as_str())?;
            if let Some(Latency { p50, p99, max }) = self.latency_ms.get(&kind) {
                write!(f, "; p50 {p50:.1} ms, p99 {p99:.1} ms, max {max:.1} ms")?;
            }
            writeln!(f)?;
        }
        if self.limited() > 0 {
            writeln!(
                f,
                "the rate limit was met {} times (429) and waited for: a host for load tests runs with FLOWVIZ_RATE_LIMITS=off",
                self.limited()
            )?;
        }
        for failure in &self.failures {
            writeln!(f, "failed: {failure}")?;
        }
        match (self.count(Outcome::Failed), self.count(Outcome::Taken)) {
            (0, 0) => write!(f, "nothing failed"),
            (0, taken) => write!(
                f,
                "{taken} lot codes existed already: choose another --day or --code-prefix"
            ),
            (failed, _) => write!(f, "{failed} failed"),
        }
    }
}

fn listed<'a>(counts: impl Iterator<Item = (&'a str, u64)>) -> String {
    let listed = counts.map(|(name, count)| format!("{name}: {count}"));
    listed.collect::<Vec<_>>().join(", ")
}
