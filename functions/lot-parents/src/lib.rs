//! `/api/lots/:id/parents`: GET lists what went into a lot, POST links another input to it.

mod link;

use spin_sdk::http::{IntoResponse, Method, Request};
use wms::database::documents;
use wms::link::Link;
use wms::lot::Named;
use wms::page::Page;
use wms::url::Query;
use wms::{Caller, Faults, Kind, Name as _, Operation, Outcome, Problem, Role, answer};

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/api/lots/:id/parents",
            "listParents",
            "What went into a lot, the newest link first",
        )
        .page::<Link>("A page of the links to the lot's parents.")
        .problems(&[Kind::LotNotFound]),
        Operation::post(
            "/api/lots/:id/parents",
            "linkParent",
            "Links an input to a lot",
        )
        .roles(link::LINK.roles)
        .body(|form, _| link::Draft::read(form, Named::default()))
        .created::<Link>("The link.")
        .idempotent()
        .problems(&[
            Kind::LotNotFound,
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
        Method::GET | Method::HEAD => list(request).await,
        Method::POST => link::link(request).await,
        _ => Err(Problem::method_not_allowed("GET, POST, HEAD")),
    })
}

async fn list(request: Request) -> Outcome {
    let caller = Caller::of(request.headers()).await?;
    let query = Query::of(request.uri().query());
    let mut faults = Faults::default();
    let page = Page::of(&query, &mut faults);
    let parameters = Named::of(request.uri().path())
        .parameters()
        .into_iter()
        .chain(page.parameters());
    let rows = caller
        .read(Role::ALL, include_str!("list.sql"), parameters, faults)
        .await?;
    if rows
        .first()
        .map_or(Ok(None), |row| row.maybe("lot_id"))?
        .is_none()
    {
        return Err(Named::not_found());
    }
    let links: Vec<Link> = documents(&rows, "link")?;
    Ok(page.reply(request.uri().path(), &query, links))
}
