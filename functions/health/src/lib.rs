//! `GET /api/health`: 200 `{"status":"ok","timestamp"}`, or 503 with `degraded` while the database doesn't answer.

use chrono::{SecondsFormat, Utc};
use http::StatusCode;
use http::header::RETRY_AFTER;
use serde::Serialize;
use spin_sdk::http::{IntoResponse, Method, Request};
use spin_sdk::http_service;
use wms::{Database, Outcome, Problem, Reply, answer};

#[derive(Serialize)]
struct Health {
    status: &'static str,
    timestamp: String,
}

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
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
