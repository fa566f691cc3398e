//! `/api/production-runs`: GET lists runs, POST starts one.

mod list;
mod start;

use spin_sdk::http::{IntoResponse, Method, Request};
use wms::run::Run;
use wms::{Operation, Problem, answer};

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/api/production-runs",
            "listRuns",
            "Production runs, newest first",
        )
        .query(list::filters)
        .page::<Run>("A page of runs."),
        Operation::post(
            "/api/production-runs",
            "startRun",
            "Starts a production run",
        )
        .roles(start::START.roles)
        .body(start::Draft::read)
        .created::<Run>("The run.")
        .header("Location", "Where the run is.")
        .idempotent(),
    ]
}

#[cfg_attr(target_arch = "wasm32", spin_sdk::http_service)]
pub async fn handle(request: Request) -> impl IntoResponse {
    answer(match *request.method() {
        Method::GET | Method::HEAD => list::LIST.page::<Run>(request, list::filters).await,
        Method::POST => start::start(request).await,
        _ => Err(Problem::method_not_allowed("GET, POST, HEAD")),
    })
}
