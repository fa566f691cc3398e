//! RFC 9457 problems: what both listeners answer when they refuse.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};
use serde::Serialize;

#[derive(Debug, Serialize)]
struct Document<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
}

/// `slug` is the last segment of `type`: stable, for clients to match on.
pub fn response<B: From<Bytes>>(
    status: StatusCode,
    slug: &str,
    title: &str,
    detail: &str,
) -> Response<B> {
    let document = Document {
        r#type: format!("/problems/{slug}"),
        title,
        status: status.as_u16(),
        detail,
    };
    // Strings and a number: there is nothing in it that can't be written.
    let json = serde_json::to_vec(&document).unwrap_or_default();
    let mut response = Response::new(B::from(Bytes::from(json)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
