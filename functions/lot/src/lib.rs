//! `GET /api/lots/:id`: one lot, by its id or its code.

use spin_sdk::http::{IntoResponse, Method, Request};
use spin_sdk::http_service;
use uuid::Uuid;
use wms::database::{maybe, text};
use wms::lot::Lot;
use wms::{Caller, Database, Kind, Name as _, Outcome, Problem, Reply, Role, answer, url};

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    answer(match *request.method() {
        Method::GET | Method::HEAD => get(request).await,
        _ => Err(Problem::method_not_allowed("GET, HEAD")),
    })
}

async fn get(request: Request) -> Outcome {
    let caller = Caller::of(request.headers()).await?;
    // A segment that no lot could be called by still asks who the caller is: 401 comes before 404.
    let name = url::last_segment(request.uri().path());
    let id = name.as_deref().and_then(|name| Uuid::try_parse(name).ok());

    let parameters = vec![text(caller.id), maybe(id), maybe(name)];
    let rows = Database::connect()
        .await?
        .query(include_str!("get.sql"), parameters)
        .await?;
    caller.admit(rows.first(), Role::ALL, None)?;
    let lot = rows.first().map(Lot::of).transpose()?.flatten();
    lot.map(|lot| Reply::ok(&lot))
        .ok_or_else(|| Kind::LotNotFound.because("No lot has this id or code."))
}
