//! `/api/qc-decisions`: GET lists decisions, POST records one. Append-only: there is no way to change one.

mod decision;
mod list;
mod record;

use spin_sdk::http::{IntoResponse, Method, Request};
use spin_sdk::http_service;
use wms::{Problem, answer};

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    answer(match *request.method() {
        Method::GET | Method::HEAD => list::list(request).await,
        Method::POST => record::record(request).await,
        _ => Err(Problem::method_not_allowed("GET, POST, HEAD")),
    })
}
