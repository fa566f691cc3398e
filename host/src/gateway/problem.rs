//! What the host answers when a function doesn't: RFC 9457 problems. They never carry a cause from inside.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;

use super::Body;

/// Seconds that a client should wait before it tries again after an overload.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("1");

/// The host's own answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    NotFound,
    /// With what `Allow` says.
    MethodNotAllowed(HeaderValue),
    /// The request's body has more bytes than this.
    BodyTooLarge(u64),
    BadRequest(&'static str),
    FunctionFailed,
    CpuLimit,
    MemoryLimit,
    Overloaded,
    Timeout,
}

// === impl Problem ===

impl Problem {
    pub fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::FunctionFailed | Self::MemoryLimit => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
            Self::Timeout | Self::CpuLimit => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The last segment of `type`: stable, for clients to match on.
    fn slug(&self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::MethodNotAllowed(_) => "method-not-allowed",
            Self::BodyTooLarge(_) => "payload-too-large",
            Self::BadRequest(_) => "bad-request",
            Self::FunctionFailed => "function-failed",
            Self::CpuLimit => "cpu-limit",
            Self::MemoryLimit => "memory-limit",
            Self::Overloaded => "overloaded",
            Self::Timeout => "timeout",
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::NotFound => "No function answers this path.".to_owned(),
            Self::MethodNotAllowed(_) => {
                "The function at this path doesn't take this method; `Allow` lists those it takes."
                    .to_owned()
            }
            Self::BodyTooLarge(limit) => format!("The body may have at most {limit} bytes."),
            Self::BadRequest(detail) => (*detail).to_owned(),
            Self::FunctionFailed => {
                "The function failed. Give the operator the X-Request-Id.".to_owned()
            }
            Self::CpuLimit => "The function used more CPU time than it may.".to_owned(),
            Self::MemoryLimit => "The function needs more memory than it may use.".to_owned(),
            Self::Overloaded => "The function is busy and its queue is full.".to_owned(),
            Self::Timeout => "The function didn't answer in time.".to_owned(),
        }
    }

    pub fn into_response(self) -> Response<Body> {
        let status = self.status();
        let title = status.canonical_reason().unwrap_or("Error");
        let json = serde_json::json!({
            "type": format!("/problems/{}", self.slug()),
            "title": title,
            "status": status.as_u16(),
            "detail": self.detail(),
        });
        let mut response = Response::new(Body::Text(Full::new(Bytes::from(json.to_string()))));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self {
            Self::MethodNotAllowed(allow) => {
                headers.insert(ALLOW, allow);
            }
            Self::Overloaded => {
                headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
            }
            _ => {}
        }
        response
    }
}
