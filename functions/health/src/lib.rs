//! `GET /api/health`: 200 `{"status":"ok","timestamp"}`, or 503 with `degraded` while the database doesn't answer.

use chrono::{SecondsFormat, Utc};
use http::StatusCode;
use http::header::RETRY_AFTER;
use serde::Serialize;
use spin_sdk::http::{IntoResponse, Method, Request};
use wms::schemars::JsonSchema;
use wms::{Database, Operation, Outcome, Problem, Reply, answer};

#[derive(Serialize, JsonSchema)]
#[schemars(crate = "wms::schemars")]
struct Health {
    /// `ok` or `degraded`.
    status: &'static str,
    timestamp: String,
}

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/api/health",
            "getHealth",
            "Is the service up, and does its database answer?",
        )
        .anybody()
        .ok::<Health>("It is.")
        .answers::<Health>(
            StatusCode::SERVICE_UNAVAILABLE,
            "The database doesn't answer: `degraded`.",
        ),
    ]
}

#[cfg_attr(target_arch = "wasm32", spin_sdk::http_service)]
pub async fn handle(request: Request) -> impl IntoResponse {
    answer(match *request.method() {
        Method::GET | Method::HEAD => health().await,
        _ => Err(Problem::method_not_allowed("GET, HEAD")),
    })
}

async fn health() -> Outcome {
    let answered = ask().await.is_ok();
    let timestamp = Utc::now().to_rfc3339_opts(SecondsFormat::Millis, true);
    Ok(if answered {
        Reply::ok(&Health {
            status: "ok",
            timestamp,
        })
    } else {
        Reply::json(
            StatusCode::SERVICE_UNAVAILABLE,
            &Health {
                status: "degraded",
                timestamp,
            },
        )
        .header(RETRY_AFTER, "5")
    })
}

async fn ask() -> Result<(), Problem> {
    Database::connect()
        .await?
        .query("SELECT 1", Vec::new())
        .await
        .map(drop)
}
