//! What the host answers when a function doesn't. A problem never carries a cause from inside.

use std::borrow::Cow;

use http::header::{ALLOW, RETRY_AFTER};
use http::{HeaderValue, Response, StatusCode};

use super::Body;
use super::rates::TooMany;
use crate::problem;

/// Seconds that a client should wait before it tries again after an overload, or while the database is away.
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
    /// A preflight from where no page may call the functions.
    OriginNotAllowed,
    FunctionFailed,
    /// The function failed, since its database did.
    DatabaseUnavailable,
    CpuLimit,
    MemoryLimit,
    Overloaded,
    /// The client has asked too often. Seconds until it may again.
    RateLimited(u64),
    Timeout,
}

// === impl Problem ===

impl Problem {
    pub const INTERRUPTED: Self = Self::BadRequest("The body ended too early.");

    pub fn status(&self) -> StatusCode {
        self.describe().0
    }

    /// The status, the last part of `type`, the title and the detail.
    fn describe(&self) -> (StatusCode, &'static str, &'static str, Cow<'static, str>) {
        use StatusCode as S;
        let (status, slug, title, detail) = match self {
            Self::NotFound => (
                S::NOT_FOUND,
                "not-found",
                "Not found",
                "No function answers this path.",
            ),
            Self::MethodNotAllowed(_) => (
                S::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "Method not allowed",
                "`Allow` lists the methods that the function at this path takes.",
            ),
            Self::BodyTooLarge(limit) => {
                return (
                    S::PAYLOAD_TOO_LARGE,
                    "body-too-large",
                    "Body too large",
                    format!("The body may have at most {limit} bytes.").into(),
                );
            }
            Self::BadRequest(detail) => (S::BAD_REQUEST, "bad-request", "Bad request", *detail),
            Self::OriginNotAllowed => (
                S::FORBIDDEN,
                "origin-not-allowed",
                "Origin not allowed",
                "Pages of this origin may not call the functions.",
            ),
            Self::FunctionFailed => (
                S::INTERNAL_SERVER_ERROR,
                "function-failed",
                "Function failed",
                "The function failed. Give the operator the X-Request-Id.",
            ),
            Self::DatabaseUnavailable => (
                S::SERVICE_UNAVAILABLE,
                "database-unavailable",
                "Database unavailable",
                "The function can't get an answer from its database now.",
            ),
            Self::CpuLimit => (
                S::GATEWAY_TIMEOUT,
                "cpu-limit",
                "CPU limit exceeded",
                "The function used more CPU time than it may.",
            ),
            Self::MemoryLimit => (
                S::INTERNAL_SERVER_ERROR,
                "memory-limit",
                "Memory limit exceeded",
                "The function needs more memory than it may use.",
            ),
            Self::Overloaded => (
                S::SERVICE_UNAVAILABLE,
                "overloaded",
                "Overloaded",
                "The function is busy, and its queue is full or too slow.",
            ),
            Self::RateLimited(seconds) => {
                return (
                    S::TOO_MANY_REQUESTS,
                    "rate-limited",
                    "Too many requests",
                    format!("There were too many requests. The next one is taken in {seconds} s.")
                        .into(),
                );
            }
            Self::Timeout => (
                S::GATEWAY_TIMEOUT,
                "timeout",
                "Timeout",
                "The function didn't answer in time.",
            ),
        };
        (status, slug, title, detail.into())
    }

    pub fn into_response(self) -> Response<Body> {
        let (status, slug, title, detail) = self.describe();
        let mut response: Response<Body> = problem::response(status, slug, title, &detail);
        let headers = response.headers_mut();
        match self {
            Self::MethodNotAllowed(allow) => {
                headers.insert(ALLOW, allow);
            }
            Self::Overloaded | Self::DatabaseUnavailable => {
                headers.insert(RETRY_AFTER, RETRY_AFTER_SECONDS);
            }
            Self::RateLimited(seconds) => {
                headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
            }
            _ => {}
        }
        response
    }
}

impl From<TooMany> for Problem {
    fn from(TooMany(seconds): TooMany) -> Self {
        Self::RateLimited(seconds)
    }
}
