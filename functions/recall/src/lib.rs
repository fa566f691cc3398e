//! `GET /api/traceability/:lot_code/recall`: what has to be called back if this lot is bad.

mod flow;

use chrono::{SecondsFormat, Utc};
use flow::{Flow, FoundLot};
use serde::{Deserialize, Serialize};
use spin_sdk::http::{IntoResponse, Method, Request};
use wms::database::maybe;
use wms::decimal::Kilograms;
use wms::lot::{Lot, LotType};
use wms::scalar::Timestamp;
use wms::schemars::JsonSchema;
use wms::{
    Caller, Faults, Kind, Name as _, Operation, Outcome, Problem, Reply, Role, answer, metrics, url,
};

/// A finished lot, and how much of the recalled one is in it.
#[derive(Serialize, JsonSchema)]
#[schemars(crate = "wms::schemars")]
struct Affected {
    #[serde(flatten)]
    lot: Lot,
    /// By the shares of the inputs at every step; `null` if the lot's weight isn't known.
    #[schemars(with = "Option<wms::scalar::Mass>")]
    attributable_kg: Option<Kilograms>,
}

/// Of the recalled lot.
#[derive(Serialize, JsonSchema)]
#[schemars(crate = "wms::schemars")]
struct MassBalance {
    /// What it weighs.
    #[schemars(with = "wms::scalar::Mass")]
    in_kg: Kilograms,
    /// What of it is in finished lots. What went on from one of them into another lot is counted there only.
    #[schemars(with = "wms::scalar::Mass")]
    out_kg: Kilograms,
    /// The rest: lost on the way, still in work, or not used yet.
    #[schemars(with = "wms::scalar::Mass")]
    loss_kg: Kilograms,
}

/// Lots are ordered by code.
#[derive(Serialize, JsonSchema)]
#[schemars(crate = "wms::schemars")]
struct Recall {
    lot: Lot,
    /// Every finished (FG) lot that the lot is in, itself if it is one.
    affected: Vec<Affected>,
    /// Every raw (RAW) lot that it was made from, itself if it is one.
    suppliers_side: Vec<Lot>,
    mass_balance: MassBalance,
    generated_at: Timestamp,
}

/// As the statement gives it.
#[derive(Deserialize)]
struct Found {
    lot: Lot,
    raw: Vec<Lot>,
    below: Vec<FoundLot>,
    links: Vec<flow::FoundLink>,
}

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/api/traceability/:lot_code/recall",
            "recall",
            "Every finished lot that a lot is in, every raw lot that it came from, and where its mass is",
        )
        .ok::<Recall>("The recall, complete: nothing is left out, however many lots there are.")
        .problems(&[Kind::LotNotFound]),
    ]
}

#[cfg_attr(target_arch = "wasm32", spin_sdk::http_service)]
pub async fn handle(request: Request) -> impl IntoResponse {
    answer(match *request.method() {
        Method::GET | Method::HEAD => recall(request).await,
        _ => Err(Problem::method_not_allowed("GET, HEAD")),
    })
}

async fn recall(request: Request) -> Outcome {
    let caller = Caller::of(request.headers()).await?;
    let lot_code = url::segment_after(request.uri().path(), "traceability");
    let asking = caller.read(
        Role::ALL,
        include_str!("recall.sql"),
        [maybe(lot_code)],
        Faults::default(),
    );
    let rows = metrics::timed("flowviz_traceability_query_duration_seconds", asking).await?;
    let found: Option<Found> = rows
        .first()
        .map_or(Ok(None), |row| row.document("recall"))?;
    let found = found.ok_or_else(|| Kind::LotNotFound.because("No lot has this code."))?;
    Ok(Reply::ok(&Recall::of(found)))
}

// === impl Recall ===

impl Recall {
    fn of(found: Found) -> Self {
        let flow = Flow::from(found.lot.id, &found.below, &found.links);
        let mut affected = Vec::new();
        let (mut in_kg, mut out_kg) = (0.0, 0.0);
        for below in found.below {
            let attributable = flow.attributable(&below);
            if below.id == found.lot.id {
                in_kg = below.mass().unwrap_or(0.0);
            }
            if below.lot_type == Some(LotType::Fg) {
                out_kg += flow.kept(&below).unwrap_or(0.0);
                affected.extend(below.lot.map(|lot| Affected {
                    lot,
                    attributable_kg: attributable.map(Kilograms::nearest),
                }));
            }
        }
        let (in_kg, out_kg) = (Kilograms::nearest(in_kg), Kilograms::nearest(out_kg));
        Self {
            lot: found.lot,
            affected,
            suppliers_side: found.raw,
            mass_balance: MassBalance {
                in_kg,
                out_kg,
                loss_kg: in_kg - out_kg,
            },
            generated_at: Utc::now()
                .to_rfc3339_opts(SecondsFormat::Micros, true)
                .into(),
        }
    }
}
