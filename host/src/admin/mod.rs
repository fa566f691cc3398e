//! The admin listener, on an address of its own (loopback by default):
//!
//! | path | answers |
//! |---|---|
//! | `GET /metrics` | every metric, in Prometheus' text format |
//! | `GET /livez` | 200 while the process runs |
//! | `GET /readyz` | 200 while requests can be served; 503 with the reasons while the database doesn't answer, and while draining |

mod pooler;
mod readiness;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::{debug, warn};

pub use pooler::PoolerWatch;
pub use readiness::Readiness;

use crate::gateway::Activity;
use crate::problem;
use crate::telemetry::Telemetry;

/// More than operators and scrapers need, and few enough to leave file descriptors to the functions' clients.
const MAX_CONNECTIONS: usize = 64;
/// After an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// What the admin listener shows.
#[derive(Debug)]
pub struct Admin {
    pub telemetry: Arc<Telemetry>,
    pub readiness: Arc<Readiness>,
}

type Answer = Response<Full<Bytes>>;

// === impl Admin ===

impl Admin {
    /// Serves until it is dropped: it stays up while the gateway drains, so that the last requests are counted too.
    pub async fn serve(self, listener: TcpListener) {
        let admin = Arc::new(self);
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let open = Arc::default();
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!(%error, "accept failed on the admin listener");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let admin = Arc::clone(&admin);
            let activity = Activity::new(&open);
            let socket = activity.watch(stream);
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let answer = admin.answer(request.method(), request.uri().path());
                async move { Ok::<_, Infallible>(answer) }
            });
            tokio::spawn(async move {
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(socket), service);
                tokio::select! {
                    ended = connection => {
                        if let Err(error) = ended {
                            debug!(%error, "admin connection ended");
                        }
                    }
                    () = activity.expired() => {}
                }
                drop(place);
            });
        }
    }

    fn answer(&self, method: &Method, path: &str) -> Answer {
        let known = matches!(path, "/metrics" | "/livez" | "/readyz");
        if !known {
            return problem::response(
                StatusCode::NOT_FOUND,
                "not-found",
                "Not found",
                "No such path.",
            );
        }
        if method != Method::GET && method != Method::HEAD {
            let mut answer: Answer = problem::response(
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "Method not allowed",
                "Only GET.",
            );
            answer
                .headers_mut()
                .insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        match path {
            "/metrics" => match self.telemetry.encode() {
                Ok(text) => respond(StatusCode::OK, prometheus::TEXT_FORMAT, text),
                Err(error) => {
                    warn!(%error, "the metrics can't be encoded");
                    problem::response(
                        StatusCode::INTERNAL_SERVER_ERROR,
                        "metrics",
                        "Metrics failed",
                        "The metrics can't be encoded.",
                    )
                }
            },
            "/readyz" => match self.readiness.check() {
                Ok(()) => status("ready"),
                Err(why) => problem::response(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "not-ready",
                    "Not ready",
                    &why,
                ),
            },
            _ => status("alive"),
        }
    }
}

fn status(status: &str) -> Answer {
    let json = serde_json::json!({ "status": status }).to_string();
    respond(StatusCode::OK, "application/json", json.into_bytes())
}

fn respond(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
