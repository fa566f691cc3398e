//! Requests to the admin API.

use std::time::Duration;

use base64ct::{Base64, Encoding as _};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use sha2::{Digest as _, Sha256};

use super::answers::Problem;
use super::error::{RemoteError, root_cause};
use super::url::AdminUrl;
use crate::manifest::Secret;

/// A large component, compiled beside a load on a small machine, takes its time.
const PATIENCE: Duration = Duration::from_secs(300);

/// A running host.
#[derive(Debug)]
pub struct Remote {
    url: AdminUrl,
    token: Option<HeaderValue>,
    http: Client<HttpConnector, Full<Bytes>>,
    /// For an answer.
    patience: Duration,
}

// === impl Remote ===

impl Remote {
    pub fn new(url: AdminUrl, token: Option<Secret>) -> Result<Self, RemoteError> {
        let header = |token: Secret| {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose()))
                .map_err(|_| RemoteError::TokenNotSendable)?;
            value.set_sensitive(true);
            Ok::<_, RemoteError>(value)
        };
        Ok(Self {
            url,
            token: token.map(header).transpose()?,
            http: Client::builder(TokioExecutor::new()).build_http(),
            patience: PATIENCE,
        })
    }

    /// Takes an answer for late that takes longer.
    pub fn patient_for(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    pub async fn get(&self, path: &str) -> Result<Bytes, RemoteError> {
        self.ask(self.request(Method::GET, path), Bytes::new())
            .await
    }

    pub async fn post(&self, path: &str, order: serde_json::Value) -> Result<Bytes, RemoteError> {
        let request = self
            .request(Method::POST, path)
            .header(CONTENT_TYPE, "application/json")
            .header("flowviz-deployed-by", by());
        self.ask(request, order.to_string().into()).await
    }

    /// A component, with its digest, so that nothing but it goes live.
    pub async fn put(&self, path: &str, component: Vec<u8>) -> Result<Bytes, RemoteError> {
        let digest = Base64::encode_string(&Sha256::digest(&component));
        let request = self
            .request(Method::PUT, path)
            .header(CONTENT_TYPE, "application/wasm")
            .header("content-digest", format!("sha-256=:{digest}:"))
            .header("flowviz-deployed-by", by());
        self.ask(request, component.into()).await
    }

    fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let request = Request::builder().method(method);
        let request = match self.url.join(path) {
            Ok(uri) => request.uri(uri),
            // Told when it is built.
            Err(_) => request.uri("\0"),
        };
        match &self.token {
            Some(token) => request.header(AUTHORIZATION, token.clone()),
            None => request,
        }
    }

    async fn ask(
        &self,
        request: http::request::Builder,
        body: Bytes,
    ) -> Result<Bytes, RemoteError> {
        let request = request.body(Full::new(body))?;
        let asked = async {
            let response = self.http.request(request).await.map_err(|error| {
                let cause = root_cause(&error);
                if error.is_connect() {
                    RemoteError::Unreachable {
                        url: self.url.clone(),
                        cause,
                    }
                } else {
                    self.cut(cause)
                }
            })?;
            let (head, body) = response.into_parts();
            let body = body.collect().await;
            let body = body.map_err(|error| self.cut(root_cause(&error)))?;
            Ok::<_, RemoteError>((head.status, body.to_bytes()))
        };
        let (status, body) = match tokio::time::timeout(self.patience, asked).await {
            Ok(answer) => answer?,
            Err(_) => {
                return Err(RemoteError::Late {
                    url: self.url.clone(),
                    patience: self.patience,
                });
            }
        };
        self.judge(status, body)
    }

    fn judge(&self, status: StatusCode, body: Bytes) -> Result<Bytes, RemoteError> {
        if status.is_success() {
            return Ok(body);
        }
        Err(match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => RemoteError::refused(status, &problem),
            Err(error) => RemoteError::Foreign {
                url: self.url.clone(),
                status,
                why: error.to_string(),
            },
        })
    }

    fn cut(&self, cause: String) -> RemoteError {
        RemoteError::Cut {
            url: self.url.clone(),
            cause,
        }
    }
}

/// Who asks, for people to read: `user@host`.
fn by() -> HeaderValue {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let user = user.unwrap_or_else(|_| "somebody".to_owned());
    let name = match host {
        Ok(host) => format!("{user}@{}", host.trim()),
        Err(_) => user,
    };
    HeaderValue::try_from(name).unwrap_or(HeaderValue::from_static("somebody"))
}
