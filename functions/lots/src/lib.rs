//! `/api/lots`: GET lists lots, POST registers one with its parents.

mod list;

use http::StatusCode;
use http::header::LOCATION;
use spin_sdk::http::{IntoResponse, Method, Request};
use wms::lot::Lot;
use wms::lot::register::{Draft, REGISTER, register};
use wms::{Caller, Database, Kind, Operation, Outcome, Problem, Submission, answer};

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/api/lots", "listLots", "Lots, newest first")
            .query(list::filters)
            .page::<Lot>("A page of lots."),
        Operation::post(
            "/api/lots",
            "registerLot",
            "Registers a lot and links its parents, all or nothing",
        )
        .roles(REGISTER.roles)
        .body(Draft::read)
        .created::<Lot>("The lot.")
        .header("Location", "Where the lot is.")
        .idempotent()
        .problems(&[
            Kind::LotCodeTaken,
            Kind::RunNotActive,
            Kind::LinkToItself,
            Kind::LinkDuplicate,
            Kind::LinkCycle,
            Kind::ParentRejected,
            Kind::ParentOverdrawn,
        ]),
    ]
}

#[cfg_attr(target_arch = "wasm32", spin_sdk::http_service)]
pub async fn handle(request: Request) -> impl IntoResponse {
    answer(match *request.method() {
        Method::GET | Method::HEAD => list::LIST.page::<Lot>(request, list::filters).await,
        Method::POST => post(request).await,
        _ => Err(Problem::method_not_allowed("GET, POST, HEAD")),
    })
}

async fn post(request: Request) -> Outcome {
    let caller = Caller::of(request.headers()).await?;
    let submission = Submission::read(request, caller, REGISTER.route, |form| {
        Draft::read(form, caller)
    })
    .await;
    let written = register(&Database::connect().await?, caller, submission).await?;
    let location = format!("/api/lots/{}", written.document.id);
    Ok(written
        .reply(StatusCode::CREATED)
        .header(LOCATION, &location))
}
