//! `/api/qc-decisions`: GET lists decisions, POST records one. They are append-only: nobody changes or deletes one.

mod list;

use http::StatusCode;
use spin_sdk::http::{IntoResponse, Method, Request};
use wms::decision::Decision;
use wms::decision::record::{Draft, RECORD, record};
use wms::{Caller, Database, Kind, Operation, Outcome, Problem, Submission, answer};

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/api/qc-decisions",
            "listDecisions",
            "QC decisions, newest first",
        )
        .query(list::filters)
        .page::<Decision>("A page of decisions."),
        Operation::post(
            "/api/qc-decisions",
            "recordDecision",
            "Records a decision, for ever",
        )
        .roles(RECORD.roles)
        .body(Draft::read)
        .created::<Decision>("The decision.")
        .idempotent()
        .problems(&[Kind::CcpLimitExceeded]),
    ]
}

#[cfg_attr(target_arch = "wasm32", spin_sdk::http_service)]
pub async fn handle(request: Request) -> impl IntoResponse {
    answer(match *request.method() {
        Method::GET | Method::HEAD => list::LIST.page::<Decision>(request, list::filters).await,
        Method::POST => post(request).await,
        _ => Err(Problem::method_not_allowed("GET, POST, HEAD")),
    })
}

async fn post(request: Request) -> Outcome {
    let caller = Caller::of(request.headers()).await?;
    let submission = Submission::read(request, caller, RECORD.route, |form| {
        Draft::read(form, caller)
    })
    .await;
    let written = record(&Database::connect().await?, caller, submission).await?;
    Ok(written.reply(StatusCode::CREATED))
}
