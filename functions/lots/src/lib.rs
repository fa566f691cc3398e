//! `/api/lots`: GET lists lots, POST registers one with its parents.

mod list;
mod register;

use spin_sdk::http::{IntoResponse, Method, Request};
use spin_sdk::http_service;
use wms::{Problem, answer};

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    answer(match *request.method() {
        Method::GET | Method::HEAD => list::list(request).await,
        Method::POST => register::register(request).await,
        _ => Err(Problem::method_not_allowed("GET, POST, HEAD")),
    })
}
