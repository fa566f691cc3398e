//! What is to be seen also while nobody calls: called by the host every 15 seconds, it counts who is at work, what waits on devices and
//! which runs are under way. It also forgets the idempotency keys whose time is over.

use http::StatusCode;
use spin_sdk::http::{IntoResponse, Request};
use wms::{Database, Outcome, Reply, answer, database, metrics};

const GAUGES: &[(&str, &str)] = &[
    ("flowviz_active_operators", "active_operators"),
    ("flowviz_pending_lots_offline", "pending_lots_offline"),
    ("flowviz_production_runs_active", "production_runs_active"),
];

#[cfg_attr(target_arch = "wasm32", spin_sdk::http_service)]
pub async fn handle(_: Request) -> impl IntoResponse {
    answer(refresh().await)
}

async fn refresh() -> Outcome {
    let database = Database::connect().await?;
    let rows = database
        .query(include_str!("count.sql"), Vec::new())
        .await?;
    let row = rows
        .first()
        .ok_or_else(|| database::internal("nothing was counted"))?;
    for (gauge, column) in GAUGES {
        let count = row.text(column)?.parse();
        metrics::set(
            gauge,
            &[],
            count.map_err(|_| database::internal("a count is no number"))?,
        );
    }
    database
        .query(include_str!("forget.sql"), Vec::new())
        .await?;
    Ok(Reply::nothing(StatusCode::NO_CONTENT))
}
