//! `GET /api/operators/active`: who called within the last 15 minutes.

use serde::{Deserialize, Serialize};
use spin_sdk::http::{IntoResponse, Method, Request};
use uuid::Uuid;
use wms::scalar::Timestamp;
use wms::schemars::JsonSchema;
use wms::{List, Name as _, Operation, Problem, Role, answer};

#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(crate = "wms::schemars")]
struct ActiveOperator {
    id: Uuid,
    full_name: Option<String>,
    role: Role,
    /// To the minute.
    last_seen: Timestamp,
}

const LIST: List = List {
    roles: Role::ALL,
    statement: include_str!("list.sql"),
    column: "operator",
};

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/api/operators/active",
            "listActiveOperators",
            "Who called within the last 15 minutes, the last one first",
        )
        .ok::<Vec<ActiveOperator>>("The users at work."),
    ]
}

#[cfg_attr(target_arch = "wasm32", spin_sdk::http_service)]
pub async fn handle(request: Request) -> impl IntoResponse {
    answer(match *request.method() {
        Method::GET | Method::HEAD => LIST.whole::<ActiveOperator>(request).await,
        _ => Err(Problem::method_not_allowed("GET, HEAD")),
    })
}
