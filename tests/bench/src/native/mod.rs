//! What our host is measured against: hyper and tokio-postgres, with nothing between them and the functions' own rules and statements.
//!
//! It answers the benchmark's requests as the functions do: the token is verified, the body is read, the one statement runs, and its
//! documents are parsed and written again. What it leaves out is what the host adds: isolation, limits, metrics.

mod caller;
mod pool;
mod read;
mod write;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http::header::HeaderName;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use token::Verifier;
use tokio::net::TcpListener;
use uuid::Uuid;

use pool::Pool;

/// After the system refused a connection (no file descriptors left).
const ACCEPT_AGAIN: Duration = Duration::from_millis(10);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

#[derive(Debug)]
pub struct Native {
    pool: Pool,
    verifier: Verifier,
    jwt_secret: String,
}

// === impl Native ===

impl Native {
    pub fn new(database_url: &str, jwt_secret: String) -> Result<Self> {
        // The parser's own error could quote the password.
        let database = database_url
            .parse()
            .ok()
            .context("DATABASE_URL is no postgres:// URL")?;
        Ok(Self {
            pool: Pool::new(database)?,
            verifier: Verifier::new(&jwt_secret).context("no key can be made of the secret")?,
            jwt_secret,
        })
    }

    /// For ever.
    pub async fn serve(self, listener: TcpListener) -> io::Result<Infallible> {
        let native = Arc::new(self);
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(ACCEPT_AGAIN).await;
                continue;
            };
            stream.set_nodelay(true)?;
            let native = Arc::clone(&native);
            let service = service_fn(move |request| {
                let native = Arc::clone(&native);
                async move { Ok::<_, Infallible>(native.answer(request).await) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (mut parts, body) = request.into_parts();
        if !parts.headers.contains_key(REQUEST_ID)
            && let Ok(id) = HeaderValue::from_str(&Uuid::now_v7().to_string())
        {
            parts.headers.insert(REQUEST_ID, id);
        }
        let path = parts.uri.path();
        let outcome = match (
            &parts.method,
            path.get(1..).unwrap_or_default().split_once('/'),
        ) {
            (&Method::GET, None) if path == "/hello" => return hello(),
            (&Method::POST, Some(("api", "lots"))) => self.register_lot(&parts, body).await,
            (&Method::POST, Some(("api", "qc-decisions"))) => {
                self.record_decision(&parts, body).await
            }
            (&Method::GET, Some(("api", rest))) if rest.starts_with("lots/") => {
                self.lot(path, &parts.headers).await
            }
            (&Method::GET, Some(("api", rest))) if rest.starts_with("traceability/") => {
                self.trace(path, &parts.headers).await
            }
            _ => {
                let mut response = Response::new(Full::default());
                *response.status_mut() = StatusCode::NOT_FOUND;
                return response;
            }
        };
        let mut response = wms::answer(outcome);
        if let Some(id) = parts.headers.remove(REQUEST_ID) {
            response.headers_mut().insert(REQUEST_ID, id);
        }
        response
    }
}

/// Bare hyper: no request id, nothing looked at.
fn hello() -> Response<Full<Bytes>> {
    Response::new(Full::from("hello"))
}
