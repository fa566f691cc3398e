//! `GET /api/qc-gates`: the gates, in the order of production.

use spin_sdk::http::{IntoResponse, Method, Request};
use wms::database::documents;
use wms::gate::Gate;
use wms::{Caller, Faults, Name as _, Operation, Outcome, Problem, Reply, Role, answer};

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
        Method::GET | Method::HEAD => list(request).await,
        _ => Err(Problem::method_not_allowed("GET, HEAD")),
    })
}

async fn list(request: Request) -> Outcome {
    let caller = Caller::of(request.headers()).await?;
    let rows = caller
        .read(Role::ALL, include_str!("list.sql"), [], Faults::default())
        .await?;
    let gates: Vec<Gate> = documents(&rows, "gate")?;
    Ok(Reply::ok(&gates))
}
