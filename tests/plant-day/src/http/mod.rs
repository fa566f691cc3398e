//! A plan over HTTP: a user logs in, opens a production run, takes every step, and completes the run.
//!
//! Each write has an `Idempotency-Key` made of the plan and the step, so that repeating one that got no answer is safe, and so is
//! running the same plan again: what was done is replayed, what wasn't is done.
//!
//! A server that limits rates is waited for. One that doesn't answer at all for a minute ends it.

mod api;
mod counts;
mod line;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;

pub use api::{Credentials, Unanswered};
pub use counts::{End, Kind, Latency, Outcome, Summary};

use crate::drive::{Done, drive};
use crate::kinds::SCENARIO;
use crate::lot::{Decision, Lot};
use crate::plan::{DAILY_TARGET, Plan};
use crate::progress::Progress;
use crate::step::{Action, Step};
use api::{Answer, Api, Request};

/// How often the progress line is written anew: also while everybody waits.
const TICK: Duration = Duration::from_millis(500);

/// Which of a plan's lists of steps is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// The data set: every lot with all its decisions.
    DataSet,
    /// The operators' mix of requests.
    Mix,
}

/// How a plan is taken over HTTP.
#[derive(Clone, Debug)]
pub struct Options {
    pub url: String,
    pub credentials: Credentials,
    /// Requests at once.
    pub connections: usize,
    pub what: What,
    /// The lots belong to a production run that is opened for them.
    pub with_run: bool,
}

/// Why it could not begin, or not end.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error(transparent)]
    Unanswered(#[from] Unanswered),

    #[error("the production run can't be {done}: {status} {detail} (with --no-run there is none)")]
    Run {
        done: &'static str,
        status: StatusCode,
        detail: String,
    },
}

/// One plan being taken.
struct Shift {
    api: Api,
    /// Names the plan in keys.
    name: String,
    run: OnceLock<Run>,
    /// The ids of lots, by their number in the plan.
    ids: Mutex<HashMap<u64, String>>,
    progress: Progress,
    /// Nobody answers: there is no use in going on.
    is_unanswered: Notify,
}

struct Run {
    id: String,
    code: String,
}

/// Takes the plan's steps until all are done, `stop` comes, or nobody answers.
pub async fn run(
    plan: &Plan,
    options: Options,
    stop: impl Future<Output = ()>,
) -> Result<Summary, HttpError> {
    let Options {
        url,
        credentials,
        connections,
        what,
        with_run,
    } = options;
    let shift = Shift {
        api: Api::of(&url, credentials)?,
        name: name(plan, what),
        run: OnceLock::new(),
        ids: Mutex::default(),
        progress: Progress::of(expected(plan, what), "steps"),
        is_unanswered: Notify::new(),
    };
    let work = async {
        shift.api.login().await?;
        if with_run {
            shift.open_run(plan).await?;
        }
        let end = shift.take_all(plan, what, connections, stop).await;
        if let (End::Complete, Some(run)) = (end, shift.run.get()) {
            shift.complete(run).await?;
        }
        Ok(end)
    };
    let outcome: Result<End, HttpError> = tokio::select! {
        outcome = work => outcome,
        never = shift.tick() => match never {},
    };
    shift.progress.finish();
    let code = shift.run.get().map(|run| run.code.clone());
    Ok(shift.api.counts.summary(code, outcome?))
}

/// For the progress: days are alike, so that one tells how many steps a long plan has.
fn expected(plan: &Plan, what: What) -> u64 {
    let total = plan.total();
    match what {
        What::Mix => total + total / 2 + total / 10,
        What::DataSet => {
            let first = Plan {
                lots: plan.lots.min(crate::LOTS_PER_DAY),
                ..plan.clone()
            };
            first.steps().count() as u64 * total / first.total().max(1)
        }
    }
}

fn name(plan: &Plan, what: What) -> String {
    let hash = Sha256::digest(format!("{what:?} {plan:?}"));
    hash.iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

// === impl Shift ===

impl Shift {
    async fn take_all(
        &self,
        plan: &Plan,
        what: What,
        connections: usize,
        stop: impl Future<Output = ()>,
    ) -> End {
        let early = OnceLock::new();
        let stop = async {
            let end = tokio::select! {
                () = stop => End::Interrupted,
                () = self.is_unanswered.notified() => End::Unanswered,
            };
            early.get_or_init(|| end);
        };
        let (work, skip) = (|step| self.take(step), |step: &Step| self.skip(step));
        let is_complete = match what {
            What::DataSet => drive(plan.steps(), connections, stop, work, skip).await,
            What::Mix => drive(plan.mix(), connections, stop, work, skip).await,
        };
        match early.get() {
            Some(end) if !is_complete => *end,
            _ => End::Complete,
        }
    }

    async fn tick(&self) -> Infallible {
        loop {
            tokio::time::sleep(TICK).await;
            self.progress.tell(self.api.note());
        }
    }

    async fn open_run(&self, plan: &Plan) -> Result<(), HttpError> {
        let answer = self
            .api
            .ask(&Request {
                kind: Kind::Run,
                method: Method::POST,
                path: "/api/production-runs".to_owned(),
                body: Some(
                    json!({ "scenario_id": SCENARIO, "daily_target_kg": DAILY_TARGET.to_string() }),
                ),
                key: Some(format!("plant-day-{}-{}", self.name, plan.day)),
            })
            .await?;
        let text = |name| {
            answer
                .body
                .get(name)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let (StatusCode::CREATED, Some(id), Some(code)) =
            (answer.status, text("id"), text("run_code"))
        else {
            return Err(failed_run("opened", &answer));
        };
        self.count(Kind::Run, &answer);
        self.run.get_or_init(|| Run { id, code });
        Ok(())
    }

    async fn complete(&self, run: &Run) -> Result<(), HttpError> {
        let answer = self
            .api
            .ask(&Request {
                kind: Kind::Run,
                method: Method::PATCH,
                path: format!("/api/production-runs/{}", run.id),
                body: Some(json!({ "status": "COMPLETED" })),
                key: Some(format!("plant-day-{}-{}", self.name, run.id)),
            })
            .await?;
        // A plan that is taken again finds its run completed.
        if answer.status == StatusCode::OK || answer.problem() == "run-not-active" {
            self.count(Kind::Run, &answer);
            return Ok(());
        }
        Err(failed_run("completed", &answer))
    }

    async fn take(&self, step: Step) -> Done {
        let kind = kind(&step.action);
        let (expected, request) = match &step.action {
            Action::Register => (StatusCode::CREATED, Ok(self.registration(&step.lot))),
            Action::Decide(decision) => (StatusCode::CREATED, self.decision(&step, decision)),
            Action::Trace => (
                StatusCode::OK,
                Ok((Method::GET, trace_path(&step.lot), None)),
            ),
        };
        let outcome = match request {
            Ok((method, path, body)) => {
                let is_write = body.is_some();
                let run = self.run.get().map_or("none", |run| &run.id);
                let (code, nth) = (&step.lot.code, step.id.nth);
                let key = is_write.then(|| format!("plant-day-{}-{run}-{code}-{nth}", self.name));
                self.api
                    .ask(&Request {
                        kind,
                        method,
                        path,
                        body,
                        key,
                    })
                    .await
                    .map_err(|error| {
                        self.is_unanswered.notify_one();
                        error.to_string()
                    })
            }
            Err(why) => Err(why),
        };
        let done = match outcome {
            Ok(answer) if answer.status == expected => {
                self.count(kind, &answer);
                self.remember(&step, &answer);
                Done::Well
            }
            Ok(answer) if answer.problem() == "lot-code-taken" => {
                self.api.counts.outcome(kind, Outcome::Taken);
                Done::Badly
            }
            Ok(answer) => {
                let why = format!("{} {}: {}", step.lot.code, answer.status, answer.detail());
                self.api.counts.failure(kind, why);
                Done::Badly
            }
            Err(why) => {
                self.api
                    .counts
                    .failure(kind, format!("{}: {why}", step.lot.code));
                Done::Badly
            }
        };
        self.progress.add(1);
        done
    }

    fn skip(&self, step: &Step) {
        self.api
            .counts
            .outcome(kind(&step.action), Outcome::Skipped);
        self.progress.add(1);
    }

    fn registration(&self, lot: &Lot) -> (Method, String, Option<Value>) {
        let parents: Vec<Value> = lot
            .parents
            .iter()
            .map(|parent| json!({ "lot_code": parent.code, "quantity_used_kg": parent.quantity.to_string() }))
            .collect();
        let body = json!({
            "lot_code": lot.code,
            "lot_type": lot.lot_type.as_str(),
            "production_run_id": self.run.get().map(|run| &run.id),
            "phase_id": lot.lot_type.phase(),
            "weight_kg": lot.weight.to_string(),
            "temperature_c": lot.temperature.to_string(),
            "metadata": lot.metadata_json(),
            "parents": parents,
        });
        (Method::POST, "/api/lots".to_owned(), Some(body))
    }

    fn decision(
        &self,
        step: &Step,
        decision: &Decision,
    ) -> Result<(Method, String, Option<Value>), String> {
        let ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let id = ids
            .get(&step.lot.number)
            .ok_or("the answer to its registration had no id")?;
        let body = json!({
            "lot_id": id,
            "qc_gate_id": decision.gate.id(),
            "decision": decision.verdict.as_str(),
            "notes": decision.notes,
            "temperature_c": decision.temperature.map(|celsius| celsius.to_string()),
        });
        Ok((Method::POST, "/api/qc-decisions".to_owned(), Some(body)))
    }

    /// A lot's id, for the decisions about it.
    fn remember(&self, step: &Step, answer: &Answer) {
        let id = answer.body.get("id").and_then(Value::as_str);
        if let (Action::Register, Some(id)) = (&step.action, id) {
            let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
            ids.insert(step.lot.number, id.to_owned());
        }
    }

    fn count(&self, kind: Kind, answer: &Answer) {
        let outcome = if answer.is_replayed() {
            Outcome::Replayed
        } else {
            Outcome::Done
        };
        self.api.counts.outcome(kind, outcome);
    }
}

fn kind(action: &Action) -> Kind {
    match action {
        Action::Register => Kind::Lot,
        Action::Decide(_) => Kind::Decision,
        Action::Trace => Kind::Traceability,
    }
}

fn trace_path(lot: &Lot) -> String {
    // Codes are of letters, digits, '-', '_' and '.': nothing to encode.
    format!("/api/traceability/{}", lot.code)
}

fn failed_run(done: &'static str, answer: &Answer) -> HttpError {
    HttpError::Run {
        done,
        status: answer.status,
        detail: answer.detail(),
    }
}
