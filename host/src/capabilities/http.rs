//! Outbound HTTP, of `wasi:http` 0.2 and 0.3 alike: to where `allowed_outbound_hosts` says, over connections that all functions share.
//!
//! What isn't allowed is `HTTP-request-denied`, as in any host, and nothing is connected to. Redirects aren't followed: where one leads is
//! for the function to judge, and for its `allowed_outbound_hosts`. All of it ends with the function's `timeout`.

use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http::{Request, Uri};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::{Instant, Sleep};
use tracing::warn;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

use crate::manifest::AllowedHosts;

/// An idle connection is closed after this.
const IDLE: Duration = Duration::from_secs(30);
/// Where the guest doesn't say how long: as long as its request may take.
const NO_LIMIT: Duration = Duration::from_secs(3600);

type HttpClient = Client<HttpsConnector<HttpConnector>, WasiBody>;

/// One instance's way out.
#[derive(Debug)]
pub struct OutboundHttp {
    allowed: Arc<AllowedHosts>,
}

type Sent = Result<
    (
        http::Response<WasiBody>,
        Box<dyn Future<Output = Result<(), Error>> + Send>,
    ),
    Error,
>;

// === impl OutboundHttp ===

impl OutboundHttp {
    pub fn new(allowed: Arc<AllowedHosts>) -> Self {
        Self { allowed }
    }

    fn allows(&self, uri: &Uri) -> bool {
        let (Some(scheme), Some(host)) = (uri.scheme(), uri.host()) else {
            return false;
        };
        let usual = if *scheme == Scheme::HTTPS { 443 } else { 80 };
        let port = uri.port_u16().unwrap_or(usual);
        self.allowed.allows(scheme.as_str(), host, port)
    }
}

impl WasiHttpHooks for OutboundHttp {
    fn send_request(
        &mut self,
        request: Request<WasiBody>,
        options: Option<RequestOptions>,
        _sent: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        let allowed = self.allows(request.uri());
        Box::new(async move {
            if !allowed {
                return Err(Error::HttpRequestDenied);
            }
            send(request, options.unwrap_or_default()).await
        })
    }

    // The gateway knows what became of a client's body, and whose it was.
    fn p3_error_from_hyper(&mut self, _error: &hyper::Error) -> ErrorCode {
        ErrorCode::HttpProtocolError
    }
}

async fn send(request: Request<WasiBody>, options: RequestOptions) -> Sent {
    let connecting = options.connect_timeout.unwrap_or(NO_LIMIT);
    let first_byte = options.first_byte_timeout.unwrap_or(NO_LIMIT);
    let asked = client()?.request(request);
    let response = tokio::time::timeout(connecting.saturating_add(first_byte), asked)
        .await
        .map_err(|_| Error::HttpResponseTimeout)?
        .map_err(told)?;
    let between = options.between_bytes_timeout;
    let response = response.map(|body| match between {
        Some(limit) => Timely::new(body, limit).boxed_unsync(),
        None => body.map_err(Error::from).boxed_unsync(),
    });
    // The connection is looked after by the client.
    Ok((response, Box::new(async { Ok(()) })))
}

/// What an error of the client's is called in `wasi:http`.
fn told(error: legacy::Error) -> Error {
    if !error.is_connect() {
        return Error::HttpProtocolError;
    }
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        match error
            .downcast_ref::<std::io::Error>()
            .map(std::io::Error::kind)
        {
            Some(std::io::ErrorKind::ConnectionRefused) => return Error::ConnectionRefused,
            Some(std::io::ErrorKind::TimedOut) => return Error::ConnectionTimeout,
            Some(std::io::ErrorKind::InvalidData) => return Error::TlsCertificateError,
            _ => cause = error.source(),
        }
    }
    Error::DestinationUnavailable
}

/// One for the process, made when it is first needed: reading the machine's certificates takes a while.
fn client() -> Result<&'static HttpClient, Error> {
    static CLIENT: OnceLock<Option<HttpClient>> = OnceLock::new();
    let client = CLIENT.get_or_init(|| {
        let connector = HttpsConnectorBuilder::new().with_native_roots();
        let connector = connector.inspect_err(|error| {
            warn!(%error, "outbound HTTP: the machine's certificates can't be read");
        });
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        let connector = connector
            .ok()?
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let mut client = Client::builder(TokioExecutor::new());
        client.pool_idle_timeout(IDLE).pool_timer(TokioTimer::new());
        Some(client.build(connector))
    });
    client.as_ref().ok_or(Error::TlsProtocolError)
}

/// A body that ends in an error when nothing comes for so long.
struct Timely {
    body: Incoming,
    limit: Duration,
    timer: Pin<Box<Sleep>>,
}

// === impl Timely ===

impl Timely {
    fn new(body: Incoming, limit: Duration) -> Self {
        Self {
            body,
            limit,
            timer: Box::pin(tokio::time::sleep(limit)),
        }
    }
}

impl http_body::Body for Timely {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            let next = Instant::now() + self.limit;
            self.timer.as_mut().reset(next);
            return Poll::Ready(frame.map(|frame| frame.map_err(Error::from)));
        }
        ready!(self.timer.as_mut().poll(cx));
        Poll::Ready(Some(Err(Error::ConnectionReadTimeout)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
