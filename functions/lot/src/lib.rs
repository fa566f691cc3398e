//! `/api/lots/:id`: GET shows a lot, by its id or its code; PATCH changes what may change of it.

mod change;

use http::StatusCode;
use http::header::{ETAG, HeaderMap, IF_NONE_MATCH};
use spin_sdk::http::{IntoResponse, Method, Request};
use wms::lot::{Lot, Named};
use wms::{Caller, Faults, Kind, Name as _, Operation, Outcome, Problem, Reply, Role, answer};

const ETAG_IS: &str = "Changes whenever the lot does.";

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/api/lots/:id", "getLot", "A lot, by its id or its code")
            .request_header("If-None-Match", "An ETag: answered with 304 while the lot hasn't changed.")
            .ok::<Lot>("The lot.")
            .answers_nothing(StatusCode::NOT_MODIFIED, "The lot hasn't changed.")
            .header("ETag", ETAG_IS)
            .problems(&[Kind::LotNotFound]),
        Operation::new(
            Method::PATCH,
            "/api/lots/:id",
            "changeLot",
            "Changes a lot: a field that isn't given stays, `null` unsets it, `metadata` is replaced as a whole",
        )
        .roles(change::CHANGE.roles)
        .request_header("If-Match", "The ETag of the lot that is to be changed: if somebody changed it meanwhile, nothing is done.")
        .body(|form, _| change::Draft::read(form, change::Target::default()))
        .ok::<Lot>("The lot as it is now.")
        .header("ETag", ETAG_IS)
        .idempotent()
        .problems(&[Kind::LotNotFound, Kind::Stale, Kind::ParentOverdrawn]),
    ]
}

#[cfg_attr(target_arch = "wasm32", spin_sdk::http_service)]
pub async fn handle(request: Request) -> impl IntoResponse {
    answer(match *request.method() {
        Method::GET | Method::HEAD => get(request).await,
        Method::PATCH => change::change(request).await,
        _ => Err(Problem::method_not_allowed("GET, PATCH, HEAD")),
    })
}

async fn get(request: Request) -> Outcome {
    let caller = Caller::of(request.headers()).await?;
    let parameters = Named::of(request.uri().path()).parameters();
    let rows = caller
        .read(
            Role::ALL,
            include_str!("get.sql"),
            parameters,
            Faults::default(),
        )
        .await?;
    let lot: Option<Lot> = rows.first().map_or(Ok(None), |row| row.document("lot"))?;
    let lot = lot.ok_or_else(Named::not_found)?;
    let etag = lot.etag();
    let reply = if is_known(request.headers(), &etag) {
        Reply::nothing(StatusCode::NOT_MODIFIED)
    } else {
        Reply::ok(&lot)
    };
    Ok(reply.header(ETAG, &etag))
}

/// Whether the client has this lot already.
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    let known = headers.get_all(IF_NONE_MATCH).iter();
    known
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == "*" || tag == etag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_known_tag_may_be_weak_and_one_of_many() {
        let known = |value| {
            let headers = HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_static(value))]);
            is_known(&headers, "\"a\"")
        };
        assert!(known("\"a\"") && known("W/\"a\"") && known("\"b\", \"a\"") && known("*"));
        assert!(!known("\"b\"") && !known("a") && !known(""));
    }
}
