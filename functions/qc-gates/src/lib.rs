//! `GET /api/qc-gates`: the gates, in the order of production.

use spin_sdk::http::{IntoResponse, Method, Request};
use wms::gate::Gate;
use wms::{List, Name as _, Operation, Problem, Role, answer};

const LIST: List = List {
    roles: Role::ALL,
    statement: include_str!("list.sql"),
    column: "gate",
};

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/api/qc-gates",
            "listGates",
            "The QC gates, in the order of production",
        )
        .ok::<Vec<Gate>>("All gates."),
    ]
}

#[cfg_attr(target_arch = "wasm32", spin_sdk::http_service)]
pub async fn handle(request: Request) -> impl IntoResponse {
    answer(match *request.method() {
        Method::GET | Method::HEAD => LIST.whole::<Gate>(request).await,
        _ => Err(Problem::method_not_allowed("GET, HEAD")),
    })
}
