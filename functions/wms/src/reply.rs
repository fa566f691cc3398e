//! A function's answer, whole in memory: its length is known before the first byte leaves.

use crate::Problem;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Response, StatusCode};
use http_body_util::Full;
use serde::Serialize;

/// What a handler comes to.
pub type Outcome = Result<Reply, Problem>;

/// An answer with a JSON body.
#[derive(Debug)]
pub struct Reply(Response<Vec<u8>>);

/// The answer as the SDK sends it.
pub fn answer(outcome: Outcome) -> Response<Full<Bytes>> {
    let Reply(response) = outcome.unwrap_or_else(Reply::from);
    let mut response = response.map(|body| Full::new(Bytes::from(body)));
    // A plant's answers are true only now, and only for the one who asked.
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

// === impl Reply ===

impl Reply {
    /// `document` as JSON.
    pub fn json(status: StatusCode, document: &impl Serialize) -> Self {
        // Our documents are structs with text keys, so this can't fail; if it did, the client gets no half-truth.
        let (status, body) = match serde_json::to_vec(document) {
            Ok(body) => (status, body),
            Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, b"{}".to_vec()),
        };
        Self::written(status, body)
    }

    /// A JSON document that is written already.
    pub fn written(status: StatusCode, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let length = HeaderValue::from(body.len());
        let mut response = Response::new(body);
        *response.status_mut() = status;
        response.headers_mut().insert(CONTENT_LENGTH, length);
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Self(response)
    }

    /// No body.
    pub fn nothing(status: StatusCode) -> Self {
        let mut response = Response::new(Vec::new());
        *response.status_mut() = status;
        Self(response)
    }

    /// `document` with 200.
    pub fn ok(document: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, document)
    }

    /// With a header. A value that no header can hold is left out.
    pub fn header(mut self, name: HeaderName, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.0.headers_mut().insert(name, value);
        }
        self
    }

    pub(crate) fn media_type(mut self, value: HeaderValue) -> Self {
        self.0.headers_mut().insert(CONTENT_TYPE, value);
        self
    }

    #[cfg(test)]
    pub(crate) fn into_parts(self) -> (http::response::Parts, Vec<u8>) {
        self.0.into_parts()
    }
}
