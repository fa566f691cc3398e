//! `GET /api/traceability/:lot_code`: a lot, what went into it and what came out of it, one step each way.

use serde::Serialize;
use spin_sdk::http::{IntoResponse, Method, Request};
use spin_sdk::http_service;
use std::time::Instant;
use wms::database::{maybe, text};
use wms::lot::Lot;
use wms::{Caller, Database, Kind, Name as _, Outcome, Problem, Reply, Role, answer, metrics, url};

/// Each lot once, ordered by code.
#[derive(Serialize)]
struct Trace {
    central: Lot,
    parents: Vec<Lot>,
    children: Vec<Lot>,
}

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    answer(match *request.method() {
        Method::GET | Method::HEAD => trace(request).await,
        _ => Err(Problem::method_not_allowed("GET, HEAD")),
    })
}

async fn trace(request: Request) -> Outcome {
    let caller = Caller::of(request.headers()).await?;
    let lot_code = url::last_segment(request.uri().path());

    let database = Database::connect().await?;
    let asked = Instant::now();
    let rows = database
        .query(
            include_str!("trace.sql"),
            vec![text(caller.id), maybe(lot_code)],
        )
        .await?;
    metrics::observe(
        "flowviz_traceability_query_duration_seconds",
        &[],
        asked.elapsed().as_secs_f64(),
    );
    caller.admit(rows.first(), Role::ALL, None)?;

    let (mut central, mut parents, mut children) = (None, Vec::new(), Vec::new());
    for row in &rows {
        let Some(lot) = Lot::of(row)? else { continue };
        match row.maybe("side")?.as_deref() {
            Some("parent") => parents.push(lot),
            Some("child") => children.push(lot),
            _ => central = Some(lot),
        }
    }
    let central = central.ok_or_else(|| Kind::LotNotFound.because("No lot has this code."))?;
    Ok(Reply::ok(&Trace {
        central,
        parents,
        children,
    }))
}
