//! One request: routed, checked against the function's limits, admitted, and handed on.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::header::{CONNECTION, EXPECT};
use http::{HeaderValue, Request, Response, Version};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

use super::body::Body;
use super::client::TrustedProxies;
use super::connection::OpenResponse;
use super::headers::{self, REQUEST_ID};
use super::in_flight::{InFlight, refuse, told};
use super::problem::Problem;
use super::rates::{RateLimits, Rated};
use super::upload::{Limited, Unread, discard, whole};
use crate::deploy::{Functions, Live, LiveFunction};
use crate::telemetry::access::Asked;
use crate::telemetry::red::{Observation, Reason};

/// How often clients that are gone are forgotten.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

/// Answers requests with the functions that are live.
#[derive(Debug)]
pub struct Gateway {
    live: Arc<Live>,
    proxies: TrustedProxies,
    draining: AtomicBool,
}

/// A request that a function takes.
struct Arrival {
    request: Request<Incoming>,
    client: IpAddr,
    started: Instant,
    observation: Observation,
}

// === impl Gateway ===

impl Gateway {
    pub fn new(live: Arc<Live>, proxies: TrustedProxies) -> Self {
        Self {
            live,
            proxies,
            draining: AtomicBool::new(false),
        }
    }

    /// From now on every HTTP/1 client is told to close its connection.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    pub fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// Forgets, for ever, clients that count under no rate limit any more.
    pub async fn sweep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(SWEEP_EVERY).await;
            let functions = self.live.functions();
            functions.rate_limits().for_each(RateLimits::sweep);
        }
    }

    /// `peer` is whose connection it is.
    pub async fn handle(
        &self,
        mut request: Request<Incoming>,
        peer: SocketAddr,
        local: SocketAddr,
        open: OpenResponse,
    ) -> Response<Body> {
        let version = request.version();
        let request_id: Arc<str> = headers::request_id(request.headers()).into();
        let id_header = HeaderValue::from_str(&request_id).ok();
        if let Some(id) = &id_header {
            request.headers_mut().insert(REQUEST_ID, id.clone());
        }
        let functions = self.live.functions();
        let grant = functions.cors().map(|cors| cors.grant(request.headers()));
        let mut response = self
            .answer(&functions, request, request_id, peer, local)
            .await;
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
        functions: &Functions,
        mut request: Request<Incoming>,
        request_id: Arc<str>,
        peer: SocketAddr,
        local: SocketAddr,
    ) -> Response<Body> {
        let started = Instant::now();
        let method = request.method().clone();
        let client = self.proxies.client(peer, request.headers());
        let asked = Asked {
            request_id,
            path: request.uri().path().into(),
            client: Some(client.ip()),
        };
        let uri = match headers::absolute(&request, local) {
            Ok(uri) => uri,
            Err(fault) => {
                let none = functions.unmatched().observe(&method, asked, started);
                return refuse(none, Problem::BadRequest(fault));
            }
        };
        let Some((route, matched)) = functions.find(uri.path()) else {
            let none = functions.unmatched().observe(&method, asked, started);
            return refuse(none, Problem::NotFound);
        };
        let observation = route.metrics.observe(&method, asked, started);
        let function = &route.function;
        if let Some(cors) = functions.cors()
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
        route
            .headers
            .apply(request.headers_mut(), &uri, &matched, client);
        *request.uri_mut() = uri;

        let arrival = Arrival {
            request,
            client: client.ip(),
            started,
            observation,
        };
        let Some(rates) = &function.rates else {
            return arrival.serve(function, None).await;
        };
        let mut rated = rates.rate(&method);
        let mut response = arrival.serve(function, Some(&mut rated)).await;
        rated.tell(response.headers_mut());
        response
    }
}

// === impl Arrival ===

impl Arrival {
    /// `rated` is the request under the function's rate limits, if there are any.
    async fn serve(
        self,
        function: &Arc<LiveFunction>,
        mut rated: Option<&mut Rated<'_>>,
    ) -> Response<Body> {
        if let Some(rated) = &mut rated
            && let Err(too_many) = rated.check_head(self.request.headers(), self.client)
        {
            return self.refuse(too_many.into());
        }
        let limits = &function.config.limits;
        if self
            .request
            .body()
            .size_hint()
            .exact()
            .is_some_and(|bytes| bytes > limits.max_body)
        {
            return self.refuse(Problem::BodyTooLarge(limits.max_body));
        }
        let Some(deadline) = self.started.checked_add(limits.timeout) else {
            return self.refuse(Problem::FunctionFailed);
        };

        let (parts, body) = self.request.into_parts();
        let (body, upload) = Limited::new(body, limits.max_body);
        let body = match rated {
            Some(rated) if rated.wants_body() => {
                let body = match body.whole(deadline).await {
                    Ok(body) => body,
                    Err(unread) => return unread.refuse(self.observation),
                };
                if let Err(too_many) = rated.check_body(&body) {
                    return refuse(self.observation, too_many.into());
                }
                whole(body)
            }
            _ => body.boxed_unsync(),
        };
        let request = Request::from_parts(parts, body);
        let admitted = InFlight::admit(function, self.observation, self.started, deadline);
        match admitted.await {
            Ok(admitted) => admitted.run(request, &upload, deadline).await,
            Err(problem) => problem.into_response(),
        }
    }

    /// Refuses a request whose body nobody has looked at.
    fn refuse(self, problem: Problem) -> Response<Body> {
        // Whoever asks first (`Expect`) has sent nothing yet.
        if !self.request.headers().contains_key(EXPECT) {
            discard(self.request.into_body());
        }
        refuse(self.observation, problem)
    }
}

// === impl Unread ===

impl Unread {
    fn refuse(self, mut observation: Observation) -> Response<Body> {
        let (reason, problem) = match self {
            Self::TooLarge(limit) => (None, Problem::BodyTooLarge(limit)),
            Self::Interrupted => (Some(Reason::ClientDisconnect), Problem::INTERRUPTED),
            Self::Late => (Some(Reason::Timeout), Problem::Timeout),
        };
        if let Some(reason) = reason {
            observation.failed(reason);
        }
        refuse(observation, problem)
    }
}
