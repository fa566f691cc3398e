//! `GET /api/operators/active`: who called within the last 15 minutes.

use serde::{Deserialize, Serialize};
use spin_sdk::http::{IntoResponse, Method, Request};
use uuid::Uuid;
use wms::database::documents;
use wms::scalar::Timestamp;
use wms::schemars::JsonSchema;
use wms::{Caller, Faults, Name as _, Operation, Outcome, Problem, Reply, Role, answer};

#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(crate = "wms::schemars")]
struct ActiveOperator {
    id: Uuid,
    full_name: Option<String>,
    role: Role,
    /// To the minute.
    last_seen: Timestamp,
}

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
        Method::GET | Method::HEAD => list(request).await,
        _ => Err(Problem::method_not_allowed("GET, HEAD")),
    })
}

async fn list(request: Request) -> Outcome {
    let caller = Caller::of(request.headers()).await?;
    let rows = caller
        .read(Role::ALL, include_str!("list.sql"), [], Faults::default())
        .await?;
    let operators: Vec<ActiveOperator> = documents(&rows, "operator")?;
    Ok(Reply::ok(&operators))
}
