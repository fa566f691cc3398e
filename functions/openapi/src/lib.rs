//! `GET /api/openapi.json`: the description of the API, made from the functions' own types and rules (`make openapi`).

use http::StatusCode;
use spin_sdk::http::{IntoResponse, Method, Request};
use wms::{Outcome, Problem, Reply, answer};

/// Committed, so that a change of the API is seen in its review. A test makes it anew and compares.
pub const DOCUMENT: &[u8] = include_bytes!("../openapi.json");

#[cfg_attr(target_arch = "wasm32", spin_sdk::http_service)]
pub async fn handle(request: Request) -> impl IntoResponse {
    answer(match *request.method() {
        Method::GET | Method::HEAD => show(request).await,
        _ => Err(Problem::method_not_allowed("GET, HEAD")),
    })
}

async fn show(_: Request) -> Outcome {
    Ok(Reply::written(StatusCode::OK, DOCUMENT))
}
