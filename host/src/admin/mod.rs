//! The admin listener, on an address of its own (loopback by default):
//!
//! | path | answers |
//! |---|---|
//! | `GET /metrics` | every metric, in Prometheus' text format |
//! | `GET /livez` | 200 while the process runs |
//! | `GET /readyz` | 200 while requests can be served; 503 with the reasons while the database doesn't answer, and while draining |
//! | `/functions`, `/app` | what is live, and what changes it: for whoever has the token ([`functions`]) |

mod answer;
mod functions;
mod pooler;
mod readiness;
mod token;
mod upload;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tracing::{debug, warn};

pub use pooler::PoolerWatch;
pub use readiness::Readiness;
pub use token::AdminToken;

use answer::{Answer, json, method_not_allowed, not_found, respond};

use crate::deploy::Deployer;
use crate::gateway::Activity;
use crate::problem;
use crate::telemetry::Telemetry;

/// More than operators and scrapers need, and few enough to leave file descriptors to the functions' clients.
const MAX_CONNECTIONS: usize = 64;
/// After an accept that failed.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// What the admin listener shows and changes.
#[derive(Debug)]
pub struct Admin {
    pub telemetry: Arc<Telemetry>,
    pub readiness: Arc<Readiness>,
    pub deployer: Arc<Deployer>,
    /// `None`: nothing can be changed.
    pub token: Option<AdminToken>,
    /// Bytes.
    pub max_component_size: u64,
}

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
            let requests = Arc::clone(&activity);
            let service = service_fn(move |request| {
                let admin = Arc::clone(&admin);
                // While something is compiled, nothing moves on the connection.
                let open = requests.open();
                async move {
                    let answer = Self::answer(&admin, request).await;
                    drop(open);
                    Ok::<_, Infallible>(answer)
                }
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

    async fn answer(admin: &Arc<Self>, request: Request<Incoming>) -> Answer {
        let path = request.uri().path();
        if !matches!(path, "/metrics" | "/livez" | "/readyz") {
            return functions::answer(admin, request)
                .await
                .unwrap_or_else(not_found);
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return method_not_allowed("GET, HEAD");
        }
        match path {
            "/metrics" => match admin.telemetry.encode() {
                Ok(Some(text)) => respond(StatusCode::OK, prometheus::TEXT_FORMAT, text),
                Ok(None) => problem::response(
                    StatusCode::NOT_FOUND,
                    "metrics-off",
                    "Metrics are off",
                    "The host was started with --metrics=off and records none.",
                ),
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
            "/readyz" => match admin.readiness.check() {
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
    json(StatusCode::OK, &serde_json::json!({ "status": status }))
}
