//! What the admin listener answers with.

use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;
use tracing::warn;

use super::token::Refused;
use crate::deploy::DeployError;
use crate::problem;

pub type Answer = Response<Full<Bytes>>;

pub fn json(status: StatusCode, document: &impl Serialize) -> Answer {
    match serde_json::to_vec(document) {
        Ok(json) => respond(status, "application/json", json),
        Err(error) => {
            warn!(%error, "an answer can't be written");
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            problem::response(status, "internal", "Internal error", "See the log.")
        }
    }
}

pub fn respond(status: StatusCode, content_type: &'static str, body: Vec<u8>) -> Answer {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

pub fn not_found() -> Answer {
    let status = StatusCode::NOT_FOUND;
    problem::response(status, "not-found", "Not found", "No such path.")
}

/// `allow` lists the methods.
pub fn method_not_allowed(allow: &'static str) -> Answer {
    let mut answer: Answer = problem::response(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "Method not allowed",
        &format!("Only {allow}."),
    );
    let headers = answer.headers_mut();
    headers.insert(ALLOW, HeaderValue::from_static(allow));
    answer
}

impl From<DeployError> for Answer {
    fn from(error: DeployError) -> Self {
        let (status, slug, title) = error.describe();
        problem::response(status, slug, title, &error.to_string())
    }
}

impl From<Refused> for Answer {
    fn from(refused: Refused) -> Self {
        let (status, slug, title) = match refused {
            Refused::NoToken => (
                StatusCode::FORBIDDEN,
                "admin-token-missing",
                "No admin token",
            ),
            Refused::Wrong => (StatusCode::UNAUTHORIZED, "unauthorized", "Unauthorized"),
        };
        let mut answer: Self = problem::response(status, slug, title, &refused.to_string());
        if status == StatusCode::UNAUTHORIZED {
            let headers = answer.headers_mut();
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        answer
    }
}
