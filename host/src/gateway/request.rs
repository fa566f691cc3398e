//! One request: routed, admitted, handed to an instance, and observed until its response has ended.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;
use tracing::{debug, warn};
use wasmtime_wasi_http::{Error, WasiBody};

use super::body::{Body, Limited, discard};
use super::connection::OpenResponse;
use super::cors::Cors;
use super::headers::{self, REQUEST_ID};
use super::problem::Problem;
use crate::deploy::{Functions, LiveFunction};
use crate::runtime::{Failure, HandleError, Ticket};
use crate::telemetry::red::{Observation, Reason};

/// Bytes. A response that says it has no more is taken from its instance whole before it is handed on.
const WHOLE: u64 = 64 * 1024;

/// Answers requests with the functions that are live.
#[derive(Debug)]
pub struct Gateway {
    functions: Functions,
    cors: Option<Cors>,
    draining: AtomicBool,
}

/// A request that a function has, from its admission to the end of its response.
#[derive(Debug)]
pub struct InFlight {
    /// `None` once the response has been handed on.
    observation: Option<Observation>,
    function: Arc<LiveFunction>,
    ticket: Ticket,
    request_id: String,
    status: StatusCode,
    started: Instant,
    /// How it ended is known; otherwise the client left.
    settled: bool,
    _place: OwnedSemaphorePermit,
}

// === impl Gateway ===

impl Gateway {
    pub fn new(functions: Functions, cors: Option<Cors>) -> Self {
        Self {
            functions,
            cors,
            draining: AtomicBool::new(false),
        }
    }

    pub fn functions(&self) -> &Functions {
        &self.functions
    }

    /// From now on every HTTP/1 client is told to close its connection.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub async fn handle(
        &self,
        mut request: Request<Incoming>,
        client: SocketAddr,
        local: SocketAddr,
        open: OpenResponse,
    ) -> Response<Body> {
        let version = request.version();
        let request_id = headers::request_id(request.headers());
        let id_header = HeaderValue::from_str(&request_id).ok();
        if let Some(id) = &id_header {
            request.headers_mut().insert(REQUEST_ID, id.clone());
        }
        let grant = self.cors.as_ref().map(|cors| cors.grant(request.headers()));
        let mut response = self.answer(request, request_id, client, local).await;
        if let Some(id) = id_header {
            response.headers_mut().entry(REQUEST_ID).or_insert(id);
        }
        if let Some(grant) = grant {
            grant.apply(response.headers_mut());
        }
        if version < Version::HTTP_2 && self.draining.load(Ordering::Acquire) {
            response
                .headers_mut()
                .insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response.body_mut().keep(open);
        response
    }

    async fn answer(
        &self,
        mut request: Request<Incoming>,
        request_id: String,
        client: SocketAddr,
        local: SocketAddr,
    ) -> Response<Body> {
        let started = Instant::now();
        let method = request.method().clone();
        let uri = match headers::absolute(&request, local) {
            Ok(uri) => uri,
            Err(fault) => {
                let none = self.functions.unmatched().observe(&method, started);
                return refuse(none, Problem::BadRequest(fault));
            }
        };
        let Some((route, matched)) = self.functions.find(uri.path()) else {
            let none = self.functions.unmatched().observe(&method, started);
            return refuse(none, Problem::NotFound);
        };
        let observation = route.metrics.observe(&method, started);
        let function = &route.function;
        if let Some(cors) = &self.cors
            && let Some(answer) = cors.preflight(&request, function.allow())
        {
            return told(observation, answer);
        }
        if !function.takes(&method) {
            return refuse(
                observation,
                Problem::MethodNotAllowed(function.allow().clone()),
            );
        }
        let limits = &function.config.limits;
        if request
            .body()
            .size_hint()
            .exact()
            .is_some_and(|bytes| bytes > limits.max_body)
        {
            // Whoever asks first (`Expect`) has sent nothing yet.
            if !request.headers().contains_key(EXPECT) {
                discard(request.into_body());
            }
            return refuse(observation, Problem::BodyTooLarge(limits.max_body));
        }

        let Some(deadline) = started.checked_add(limits.timeout) else {
            return refuse(observation, Problem::FunctionFailed);
        };
        let admitted = InFlight::admit(function, observation, request_id, started, deadline).await;
        let in_flight = match admitted {
            Ok(in_flight) => in_flight,
            Err(problem) => return problem.into_response(),
        };
        route
            .headers
            .apply(request.headers_mut(), &uri, &matched, client);
        *request.uri_mut() = uri;
        in_flight.run(request.map(Some), deadline).await
    }
}

fn refuse(observation: Observation, problem: Problem) -> Response<Body> {
    told(observation, problem.into_response())
}

/// An answer of the host's own.
fn told(mut observation: Observation, answer: Response<Body>) -> Response<Body> {
    observation.status(answer.status());
    answer
}

// === impl InFlight ===

impl InFlight {
    /// Waits for a place below the function's `max_concurrency`.
    pub(super) async fn admit(
        function: &Arc<LiveFunction>,
        mut observation: Observation,
        request_id: String,
        started: Instant,
        deadline: Instant,
    ) -> Result<Self, Problem> {
        let Ok(place) = function.admission.enter(deadline).await else {
            observation.failed(Reason::Overload);
            observation.status(Problem::Overloaded.status());
            return Err(Problem::Overloaded);
        };
        function
            .config
            .metrics
            .queue_wait
            .observe(started.elapsed().as_secs_f64());
        Ok(Self {
            observation: Some(observation),
            function: Arc::clone(function),
            ticket: Ticket::new(request_id.clone()),
            request_id,
            status: StatusCode::OK,
            started,
            settled: false,
            _place: place,
        })
    }

    /// Has an instance answer, by `deadline`.
    pub(super) async fn run(
        self,
        request: Request<Option<Incoming>>,
        deadline: Instant,
    ) -> Response<Body> {
        let max_body = self.function.config.limits.max_body;
        let method = request.method().clone();
        let (parts, body) = request.into_parts();
        let (body, upload) = Limited::new(body, max_body);
        let request = Request::from_parts(parts, body.boxed_unsync());

        let mut sleep = Box::pin(tokio::time::sleep_until(deadline.into()));
        let function = Arc::clone(&self.function);
        let handled = tokio::select! {
            biased;
            handled = function.version.handle(&self.ticket, request) => Some(handled),
            () = &mut sleep => None,
        };
        // The function saw its body end in an error and made something of it; the client is told what it was.
        if upload.exceeded() {
            return self.fail(None, Problem::BodyTooLarge(max_body));
        }
        if upload.interrupted() {
            return self.interrupted();
        }
        match handled {
            Some(Ok(response)) => self.respond(response, &method, deadline, sleep).await,
            None => self.fail(Some(Reason::Timeout), Problem::Timeout),
            Some(Err(error)) => {
                let (reason, problem) = verdict(&error);
                if !matches!(error, HandleError::Ended(_)) {
                    warn!(function = %self.function.config.id, request_id = self.request_id, "{error}");
                }
                self.fail(Some(reason), problem)
            }
        }
    }

    /// Hands the response on: a small one whole, so that neither its instance nor its place waits for a slow client, and a
    /// failure in its middle is still a problem; a large one, or one of unknown length, as it comes.
    async fn respond(
        mut self,
        response: Response<WasiBody>,
        method: &Method,
        deadline: Instant,
        sleep: Pin<Box<Sleep>>,
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
        let Some(length) = length.filter(|length| *length <= WHOLE) else {
            self.status(parts.status);
            let body = Body::streamed(body, self, deadline, length);
            return Response::from_parts(parts, body);
        };
        let bytes = tokio::select! {
            biased;
            bytes = collect(&mut body, length) => bytes,
            () = sleep => return self.fail(Some(Reason::Timeout), Problem::Timeout),
        };
        match bytes {
            Ok(bytes) => {
                self.status(parts.status);
                let observation = self.complete();
                Response::from_parts(parts, Body::whole(bytes, observation))
            }
            Err(error) => {
                warn!(function = %self.function.config.id, request_id = self.request_id, "the response's body: {error}");
                let reason = self.failure().unwrap_or(Reason::Error);
                self.fail(Some(reason), Problem::FunctionFailed)
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

    /// The client left in the middle of its request's body. Should it still read, it is told so.
    fn interrupted(mut self) -> Response<Body> {
        self.settle(Some(Reason::ClientDisconnect));
        Problem::BadRequest("The body ended too early.").into_response()
    }

    /// The function's part has ended as it should. The observation lasts until the client has taken the response.
    pub fn complete(mut self) -> Option<Observation> {
        let database = self.status.is_server_error() && self.ticket.database_failed();
        self.settle(database.then_some(Reason::Database));
        self.ticket.complete();
        self.observation.take()
    }

    /// It ended otherwise. The ticket, dropped uncompleted, ends the instance.
    pub fn cut(mut self, reason: Reason) {
        self.settle(Some(reason));
    }

    fn settle(&mut self, reason: Option<Reason>) {
        self.settled = true;
        if let (Some(reason), Some(observation)) = (reason, &self.observation) {
            observation.failed(reason);
        }
        debug!(
            function = %self.function.config.id,
            request_id = self.request_id,
            status = self.status.as_u16(),
            ms = self.started.elapsed().as_secs_f64() * 1e3,
            failed = reason.map(Reason::as_str),
            "request"
        );
    }

    /// Why the instance died, if it did.
    pub fn failure(&self) -> Option<Reason> {
        self.ticket.failure_now().map(reason)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        if !self.settled {
            self.settle(Some(Reason::ClientDisconnect));
        }
    }
}

/// The whole of a body that promises `length` bytes. A guest that dies ends it early, which is an error too.
async fn collect(body: &mut WasiBody, length: u64) -> Result<Bytes, Error> {
    let mut bytes = BytesMut::new();
    // Beyond the promised bytes there is nothing to wait for.
    while (bytes.len() as u64) < length {
        match body.frame().await {
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    if data.len() as u64 == length {
                        return Ok(data);
                    }
                    bytes.extend_from_slice(&data);
                }
            }
            Some(Err(error)) => return Err(error),
            None => return Err(Error::HttpResponseIncomplete),
        }
    }
    Ok(bytes.freeze())
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn reason(failure: Failure) -> Reason {
    match failure {
        Failure::Trap | Failure::Cancelled => Reason::Trap,
        Failure::CpuLimit => Reason::CpuLimit,
        Failure::MemoryLimit => Reason::MemoryLimit,
    }
}

fn verdict(error: &HandleError) -> (Reason, Problem) {
    match error {
        HandleError::Ended(failure) => {
            let problem = match failure {
                Failure::Trap | Failure::Cancelled => Problem::FunctionFailed,
                Failure::CpuLimit => Problem::CpuLimit,
                Failure::MemoryLimit => Problem::MemoryLimit,
            };
            (reason(*failure), problem)
        }
        HandleError::Guest(_) => (Reason::Error, Problem::FunctionFailed),
        HandleError::PoolFull => (Reason::Instantiation, Problem::Overloaded),
        HandleError::Instantiation(_) => (Reason::Instantiation, Problem::FunctionFailed),
    }
}
