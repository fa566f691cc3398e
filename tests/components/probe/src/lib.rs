//! A function that does, or does wrong, what its path says. Each path is one thing that a test wants to see the host handle.
//!
//! It is meant to fail in every way a guest can, so the lints that keep functions from panicking don't hold here.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "misbehaving is its purpose"
)]

mod metrics;
mod postgres;

use std::time::Duration;

use anyhow::{Result, anyhow};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use serde_json::{Value, json};
use spin_sdk::http::{Request, Response};
use spin_sdk::http_service;

/// How many requests this instance has served.
static SERVED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

#[http_service]
async fn handle(request: Request) -> Result<Response<Full<Bytes>>> {
    SERVED.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = request.uri().path().to_owned();
    let query = request.uri().query().unwrap_or_default().to_owned();
    let number = || query.parse::<u64>().unwrap_or_default();
    match path.trim_start_matches("/probe") {
        "/ok" => text("ok"),
        "/served" => text(&SERVED.load(std::sync::atomic::Ordering::Relaxed).to_string()),
        "/status" => {
            let status = u16::try_from(number())?;
            Ok(Response::builder()
                .status(status)
                .body(Full::new(Bytes::new()))?)
        }
        // Everything the guest was given.
        "/request" => json_response(&json!({
            "method": request.method().as_str(),
            "uri": request.uri().to_string(),
            "headers": request.headers().iter().map(|(name, value)| {
                (name.to_string(), Value::from(String::from_utf8_lossy(value.as_bytes())))
            }).collect::<serde_json::Map<_, _>>(),
        })),
        "/echo" => {
            let body = request
                .into_body()
                .collect()
                .await
                .map_err(|error| anyhow!("{error:?}"))?
                .to_bytes();
            Ok(Response::new(Full::new(body)))
        }
        "/bytes" => {
            let size = usize::try_from(number())?;
            Ok(Response::new(Full::new(Bytes::from(vec![b'x'; size]))))
        }
        "/environment" => json_response(&json!(
            std::env::vars().collect::<std::collections::BTreeMap<_, _>>()
        )),
        "/variable" => match spin_sdk::variables::get(&query).await {
            Ok(value) => json_response(&json!({ "ok": value })),
            Err(error) => json_response(&json!({ "error": format!("{error:?}") })),
        },
        "/file" => match std::fs::read_to_string(&query) {
            Ok(content) => json_response(&json!({ "ok": content })),
            Err(error) => json_response(&json!({ "error": error.to_string() })),
        },
        "/write-file" => match std::fs::write(&query, "written by the guest") {
            Ok(()) => json_response(&json!({ "ok": null })),
            Err(error) => json_response(&json!({ "error": error.to_string() })),
        },
        "/print" => {
            println!("to standard output: {query}");
            eprintln!("to standard error: {query}");
            text("printed")
        }
        "/clock" => json_response(&json!(
            std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)?
                .as_secs()
        )),
        "/sleep" => {
            spin_sdk::wasip3::clocks::monotonic_clock::wait_for(
                Duration::from_millis(number()).as_nanos().try_into()?,
            )
            .await;
            text("slept")
        }
        // Uses the CPU for so many milliseconds without ever waiting.
        "/busy" => {
            let end = std::time::Instant::now() + Duration::from_millis(number());
            let mut spins = 0u64;
            while std::time::Instant::now() < end {
                spins = std::hint::black_box(spins + 1);
            }
            text("was busy")
        }
        "/loop" => loop {
            std::hint::black_box(());
        },
        // Takes so many MiB, and touches them.
        "/allocate" => {
            let taken = vec![1u8; usize::try_from(number() << 20)?];
            let sum: u64 = taken.iter().step_by(4096).map(|byte| u64::from(*byte)).sum();
            text(&sum.to_string())
        }
        "/panic" => panic!("the probe was asked to panic"),
        "/error" => Err(anyhow!("the probe was asked to fail, with a secret in its message")),
        "/outbound" => match spin_sdk::http::get(&query).await {
            Ok(response) => json_response(&json!({ "ok": response.status().as_u16() })),
            Err(error) => json_response(&json!({ "error": format!("{error:?}") })),
        },
        "/count" => json_response(&metrics::record(&query)),
        path if path.starts_with("/pg/") => json_response(&postgres::run(path, request).await),
        _ => Ok(Response::builder()
            .status(404)
            .body(Full::new(Bytes::from_static(b"no such probe")))?),
    }
}

fn text(text: &str) -> Result<Response<Full<Bytes>>> {
    Ok(Response::new(Full::new(Bytes::from(text.to_owned()))))
}

fn json_response(value: &Value) -> Result<Response<Full<Bytes>>> {
    let bytes = Bytes::from(value.to_string());
    Ok(Response::builder()
        .header("content-type", "application/json")
        .header("content-length", bytes.len())
        .body(Full::new(bytes))?)
}
