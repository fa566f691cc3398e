//! `GET /api/scenarios`: how production goes: the scenarios with their streams, phases and gates.

use serde::{Deserialize, Serialize};
use spin_sdk::http::{IntoResponse, Method, Request};
use uuid::Uuid;
use wms::gate::Gate;
use wms::lot::LotType;
use wms::scalar::{LocalText, Object, Timestamp};
use wms::schemars::JsonSchema;
use wms::{List, Name as _, Operation, Problem, Role, answer, names};

names! {
    /// Preparation, production, service.
    enum StreamKey {
        A = "A",
        B = "B",
        C = "C",
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(crate = "wms::schemars")]
struct Stream {
    id: Uuid,
    stream_key: StreamKey,
    name: LocalText,
    /// As in CSS.
    color: String,
    sort_order: i64,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(crate = "wms::schemars")]
struct Phase {
    id: Uuid,
    phase_number: i64,
    stream_id: Option<Uuid>,
    qc_gate_id: Option<Uuid>,
    /// What the phase makes; `null` where it makes no lot.
    lot_type: Option<LotType>,
    name: LocalText,
    description: LocalText,
}

/// Everything in the order of production.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(crate = "wms::schemars")]
struct Scenario {
    id: Uuid,
    name: LocalText,
    version: String,
    config: Object,
    i18n: Object,
    is_active: bool,
    created_at: Option<Timestamp>,
    streams: Vec<Stream>,
    phases: Vec<Phase>,
    gates: Vec<Gate>,
}

const LIST: List = List {
    roles: Role::ALL,
    statement: include_str!("list.sql"),
    column: "scenario",
};

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/api/scenarios",
            "listScenarios",
            "Scenarios with their streams, phases and gates",
        )
        .ok::<Vec<Scenario>>("All scenarios."),
    ]
}

#[cfg_attr(target_arch = "wasm32", spin_sdk::http_service)]
pub async fn handle(request: Request) -> impl IntoResponse {
    answer(match *request.method() {
        Method::GET | Method::HEAD => LIST.whole::<Scenario>(request).await,
        _ => Err(Problem::method_not_allowed("GET, HEAD")),
    })
}
