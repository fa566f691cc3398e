//! A request that a function has: handed to an instance, and observed until its response has ended.

use std::fmt;
use std::future::ready;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Instant;

use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use tokio::time::Sleep;
use tracing::warn;
use wasmtime_wasi_http::WasiBody;

use super::admission::Place;
use super::beginning::{Beginning, Read, WHOLE};
use super::body::Body;
use super::problem::Problem;
use super::upload::Upload;
use crate::deploy::LiveFunction;
use crate::runtime::{Call, Failure, HandleError, NoInstance};
use crate::telemetry::red::{Observation, Reason};

/// A request that a function has, from its admission to the end of its response.
#[derive(Debug)]
pub struct InFlight {
    /// `None` once the response has been handed on.
    observation: Option<Observation>,
    function: Arc<LiveFunction>,
    request_id: Arc<str>,
    status: StatusCode,
    /// How it ended is known; otherwise the client left.
    settled: bool,
    /// `None` before an instance has it.
    call: Option<Call>,
}

/// A request that has a place below its function's `max_concurrency`.
#[derive(Debug)]
pub struct Admitted {
    in_flight: InFlight,
    place: Place,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
enum Failed {
    NoInstance(#[from] NoInstance),
    Call(#[from] HandleError),
}

// === impl Admitted ===

impl Admitted {
    /// Hands the request to an instance. `upload` is what becomes of its body.
    pub async fn run(
        self,
        request: Request<WasiBody>,
        upload: &Upload,
        deadline: Instant,
    ) -> Response<Body> {
        let Self {
            mut in_flight,
            place,
        } = self;
        let method = request.method().clone();
        let mut sleep = pin!(tokio::time::sleep_until(deadline.into()));
        let called = tokio::select! {
            biased;
            called = in_flight.call(request, place) => Some(called),
            () = &mut sleep => None,
        };
        if upload.is_broken() {
            return in_flight.broken(upload);
        }
        match called {
            Some(Ok(response)) => {
                in_flight
                    .respond(response, &method, upload, deadline, sleep)
                    .await
            }
            None => in_flight.fail(Some(Reason::Timeout), Problem::Timeout),
            Some(Err(failed)) => in_flight.failed(&failed),
        }
    }
}

// === impl InFlight ===

impl InFlight {
    /// Waits for a place below the function's `max_concurrency`.
    pub async fn admit(
        function: &Arc<LiveFunction>,
        mut observation: Observation,
        started: Instant,
        deadline: Instant,
    ) -> Result<Admitted, Problem> {
        let Ok(place) = function.admission.enter(deadline).await else {
            observation.failed(Reason::Overload);
            observation.status(Problem::Overloaded.status());
            return Err(Problem::Overloaded);
        };
        function.config.metrics.queued(started.elapsed());
        let in_flight = Self {
            function: Arc::clone(function),
            request_id: Arc::clone(observation.request_id()),
            observation: Some(observation),
            status: StatusCode::OK,
            settled: false,
            call: None,
        };
        Ok(Admitted { in_flight, place })
    }

    /// Hands the request to an instance, and waits for the head of its response.
    async fn call(
        &mut self,
        request: Request<WasiBody>,
        place: Place,
    ) -> Result<Response<WasiBody>, Failed> {
        let version = self.function.version();
        if let Some(observation) = &mut self.observation {
            observation.served_by(version.series());
        }
        let request_id = Arc::clone(&self.request_id);
        let call = version.call(request_id, request, place).await?;
        Ok(self.call.insert(call).response().await?)
    }

    /// Hands the response on: a small one whole, so that neither its instance nor its place waits for a slow client, and a
    /// failure in its middle is still a problem; a large one, or one that takes its time, as it comes.
    async fn respond(
        mut self,
        response: Response<WasiBody>,
        method: &Method,
        upload: &Upload,
        deadline: Instant,
        sleep: Pin<&mut Sleep>,
    ) -> Response<Body> {
        let (parts, mut body) = response.into_parts();
        let bodiless = method == Method::HEAD
            || parts.status == StatusCode::NO_CONTENT
            || parts.status == StatusCode::NOT_MODIFIED;
        let length = if bodiless {
            Some(0)
        } else {
            content_length(&parts.headers)
        };
        let mut beginning = Beginning::default();
        let read = match length {
            Some(length) if length > WHOLE => Ok(Read::More),
            length => {
                let read = beginning.read(&mut body, length);
                tokio::select! {
                    biased;
                    read = drive(&mut self.call, read) => read,
                    () = sleep => return self.fail(Some(Reason::Timeout), Problem::Timeout),
                }
            }
        };
        if upload.is_broken() {
            return self.broken(upload);
        }
        // A guest that dies ends its body, too.
        let failure = self.failure();
        match read {
            Ok(Read::Whole(bytes)) if failure.is_none() => {
                drop(body);
                // Most guests have nothing left to do, and only need to hear that.
                drive(&mut self.call, ready(())).await;
                self.status(parts.status);
                let observation = self.complete();
                Response::from_parts(parts, Body::whole(bytes, observation))
            }
            Ok(Read::More) if failure.is_none() => {
                self.status(parts.status);
                // It makes its response for as long as its client reads, and no longer than that and what it may do afterwards.
                let left = deadline.saturating_duration_since(Instant::now());
                if let Some(call) = &mut self.call {
                    call.detach(left + self.function.config.limits.timeout);
                }
                let body = Body::streamed(beginning.frames, body, self, deadline, length);
                Response::from_parts(parts, body)
            }
            read => {
                if let Err(error) = read {
                    self.warn(&format_args!("the response's body: {error}"));
                }
                self.fail(
                    Some(failure.unwrap_or(Reason::Error)),
                    Problem::FunctionFailed,
                )
            }
        }
    }

    fn status(&mut self, status: StatusCode) {
        self.status = status;
        if let Some(observation) = &mut self.observation {
            observation.status(status);
        }
    }

    /// No response came: the client gets a problem, and the instance, if one is at work, is thrown away.
    fn fail(mut self, reason: Option<Reason>, problem: Problem) -> Response<Body> {
        self.status(problem.status());
        self.settle(reason);
        problem.into_response()
    }

    /// The function saw the request's body end in an error, and made something of it; the client is told what it was.
    fn broken(mut self, upload: &Upload) -> Response<Body> {
        if upload.exceeded() {
            let limit = self.function.config.limits.max_body;
            return self.fail(None, Problem::BodyTooLarge(limit));
        }
        // It left in the middle. Should it still read, it is told so.
        self.settle(Some(Reason::ClientDisconnect));
        Problem::INTERRUPTED.into_response()
    }

    /// The function's part has ended as it should. The observation lasts until the client has taken the response.
    pub fn complete(mut self) -> Option<Observation> {
        let database = self.status.is_server_error() && self.database_failed();
        self.settle(database.then_some(Reason::Database));
        if let Some(call) = self.call.take() {
            call.leave();
        }
        self.observation.take()
    }

    /// It ended otherwise. The call, dropped before it was left, ends the instance.
    pub fn cut(mut self, reason: Reason) {
        self.settle(Some(reason));
    }

    fn warn(&self, what: &dyn fmt::Display) {
        let function = &self.function.config.id;
        let version = self.observation.as_ref().and_then(Observation::version);
        warn!(%function, version, request_id = %self.request_id, "{what}");
    }

    fn settle(&mut self, reason: Option<Reason>) {
        self.settled = true;
        if let (Some(reason), Some(observation)) = (reason, &mut self.observation) {
            observation.failed(reason);
        }
    }

    /// Why the instance died, if it did.
    pub fn failure(&self) -> Option<Reason> {
        self.call.as_ref().and_then(Call::failure).map(reason)
    }

    fn database_failed(&self) -> bool {
        self.call.as_ref().is_some_and(Call::database_failed)
    }

    /// There is no response.
    fn failed(self, failed: &Failed) -> Response<Body> {
        let (reason, problem) = match failed {
            // The function passed on what the database did to it.
            Failed::Call(HandleError::Guest(_)) if self.database_failed() => {
                (Reason::Database, Problem::DatabaseUnavailable)
            }
            failed => failed.verdict(),
        };
        if !matches!(failed, Failed::Call(HandleError::Ended(_))) {
            self.warn(failed);
        }
        self.fail(Some(reason), problem)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.settled {
            self.settle(Some(Reason::ClientDisconnect));
        }
    }
}

/// A request that no function gets.
pub fn refuse(observation: Observation, problem: Problem) -> Response<Body> {
    told(observation, problem.into_response())
}

/// An answer of the host's own.
pub fn told(mut observation: Observation, answer: Response<Body>) -> Response<Body> {
    observation.status(answer.status());
    answer
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Goes on with the guest, if it has been called, while something is waited for.
async fn drive<T>(call: &mut Option<Call>, other: impl Future<Output = T>) -> T {
    match call {
        Some(call) => call.drive(other).await,
        None => other.await,
    }
}

fn reason(failure: Failure) -> Reason {
    match failure {
        Failure::Trap => Reason::Trap,
        Failure::CpuLimit => Reason::CpuLimit,
        Failure::MemoryLimit => Reason::MemoryLimit,
    }
}

// === impl Failed ===

impl Failed {
    fn verdict(&self) -> (Reason, Problem) {
        match self {
            Self::Call(HandleError::Ended(failure)) => {
                let problem = match failure {
                    Failure::Trap => Problem::FunctionFailed,
                    Failure::CpuLimit => Problem::CpuLimit,
                    Failure::MemoryLimit => Problem::MemoryLimit,
                };
                (reason(*failure), problem)
            }
            Self::Call(HandleError::Guest(_)) => (Reason::Error, Problem::FunctionFailed),
            Self::NoInstance(NoInstance::PoolFull) => (Reason::Overload, Problem::Overloaded),
            Self::NoInstance(NoInstance::Instantiation(_)) => {
                (Reason::Instantiation, Problem::FunctionFailed)
            }
        }
    }
}
