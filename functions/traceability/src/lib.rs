//! `GET /api/traceability/:lot_code`: a lot, what went into it and what came out of it, one step each way.

use serde::{Deserialize, Serialize};
use spin_sdk::http::{IntoResponse, Method, Request};
use wms::database::maybe;
use wms::lot::Lot;
use wms::schemars::JsonSchema;
use wms::{
    Caller, Faults, Kind, Name as _, Operation, Outcome, Problem, Reply, Role, answer, metrics, url,
};

/// Each lot once, ordered by code.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(crate = "wms::schemars")]
struct Trace {
    central: Lot,
    /// What went into it.
    parents: Vec<Lot>,
    /// What came out of it.
    children: Vec<Lot>,
}

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/api/traceability/:lot_code",
            "trace",
            "A lot's direct inputs and outputs, by lot code",
        )
        .ok::<Trace>("The lot between its inputs and outputs.")
        .problems(&[Kind::LotNotFound]),
    ]
}

#[cfg_attr(target_arch = "wasm32", spin_sdk::http_service)]
pub async fn handle(request: Request) -> impl IntoResponse {
    answer(match *request.method() {
        Method::GET | Method::HEAD => trace(request).await,
        _ => Err(Problem::method_not_allowed("GET, HEAD")),
    })
}

async fn trace(request: Request) -> Outcome {
    let caller = Caller::of(request.headers()).await?;
    let lot_code = url::segment_after(request.uri().path(), "traceability");
    let asking = caller.read(
        Role::ALL,
        include_str!("trace.sql"),
        [maybe(lot_code)],
        Faults::default(),
    );
    let rows = metrics::timed("flowviz_traceability_query_duration_seconds", asking).await?;
    let trace: Option<Trace> = rows.first().map_or(Ok(None), |row| row.document("trace"))?;
    let trace = trace.ok_or_else(|| Kind::LotNotFound.because("No lot has this code."))?;
    Ok(Reply::ok(&trace))
}
