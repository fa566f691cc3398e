//! A function that does, or does wrong, what its path says. Each path is one thing that a test wants to see the host handle.
//!
//! It is meant to fail in every way a guest can, so the lints that keep functions from panicking don't hold here.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::result_large_err,
    reason = "misbehaving is its purpose"
)]

mod metrics;
mod postgres;

use std::hash::{BuildHasher as _, RandomState};
use std::pin::Pin;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use anyhow::{Error, Result, anyhow};
use bytes::Bytes;
use futures::stream;
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use serde_json::{Value, json};
use spin_sdk::http::{Request, Response};
use spin_sdk::http_service;

/// Tests make other versions of this component by writing other digits here, in its compiled form.
static VERSION: &str = "probe version 0000000000";

/// How many requests this instance has served.
static SERVED: AtomicU64 = AtomicU64::new(0);
/// Tells this instance from all others.
static INSTANCE: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one(()));

type Body = Pin<Box<dyn http_body::Body<Data = Bytes, Error = Error>>>;

#[http_service]
async fn handle(request: Request) -> Result<Response<Body>> {
    let served = SERVED.fetch_add(1, Relaxed) + 1;
    // What follows the route, or, for a route that leaves nothing to follow, what tells most.
    let path = match request.headers().get("spin-path-info") {
        Some(rest) if !rest.is_empty() => rest.to_str()?.to_owned(),
        _ => "/request".to_owned(),
    };
    let query = request.uri().query().unwrap_or_default().to_owned();
    // The host's own calls all have the same path: they do what the environment says.
    let scheduled = request.headers().get("x-flowviz-scheduled");
    let (path, query) = match (scheduled, std::env::var("SCHEDULED")) {
        (Some(_), Ok(what)) => match what.split_once('?') {
            Some((path, query)) => (path.to_owned(), query.to_owned()),
            None => (what, query),
        },
        _ => (path, query),
    };
    let number = || query.parse::<u64>().unwrap_or_default();
    match path.as_str() {
        "/ok" => text("ok"),
        // A value set, read, listed, and gone again.
        "/key-value" => json_response(&match key_value(&query).await {
            Ok(found) => json!({ "ok": found }),
            Err(error) => json!({ "error": format!("{error:?}") }),
        }),
        "/keep" => json_response(&match kept(&query).await {
            Ok(found) => json!({ "ok": found }),
            Err(error) => json!({ "error": format!("{error:?}") }),
        }),
        // What another server answers.
        "/get" => match spin_sdk::http::get(&query).await {
            Ok(response) => {
                let status = response.status().as_u16();
                let body = response.into_body().collect().await;
                let body = body.map_err(|error| anyhow!("{error:?}"))?.to_bytes();
                let body = String::from_utf8_lossy(&body).into_owned();
                json_response(&json!({ "status": status, "body": body }))
            }
            Err(error) => json_response(&json!({ "error": format!("{error:?}") })),
        },
        // In one piece after the other, as often as the query says.
        "/version" => {
            let pieces = (0..number().max(1)).map(|_| {
                Ok(Frame::data(Bytes::from_static(
                    std::hint::black_box(VERSION).as_bytes(),
                )))
            });
            Ok(Response::new(Box::pin(StreamBody::new(stream::iter(
                pieces,
            )))))
        }
        "/instance" => json_response(&json!({ "id": INSTANCE.to_string(), "served": served })),
        "/status" => {
            let status = u16::try_from(number())?;
            Ok(Response::builder()
                .status(status)
                .body(whole(Bytes::new()))?)
        }
        "/request" => json_response(&seen(&request)),
        // The same, for a call whose response nobody sees.
        "/print-request" => {
            println!("{}", seen(&request));
            text("printed")
        }
        "/echo" => {
            let body = request
                .into_body()
                .collect()
                .await
                .map_err(|error| anyhow!("{error:?}"))?
                .to_bytes();
            Ok(Response::new(whole(body)))
        }
        // The same without ever holding all of it.
        "/echo-stream" => {
            let body = request.into_body().map_err(|error| anyhow!("{error:?}"));
            Ok(Response::new(Box::pin(body)))
        }
        // `<pieces>,<milliseconds>`: pieces of a body, with a pause before each. A guest that dies on its way says `,panic`.
        "/drip" => {
            let mut parts = query.split(',');
            let mut next = || {
                parts
                    .next()
                    .and_then(|part| part.parse().ok())
                    .unwrap_or(0u64)
            };
            let (pieces, pause) = (next(), Duration::from_millis(next()));
            let dies = query.ends_with("panic");
            let frames = stream::unfold(0, move |index| async move {
                if index == pieces {
                    assert!(!dies, "the probe was asked to panic within a body");
                    return None;
                }
                pause_for(pause).await;
                let frame = Frame::data(Bytes::from(format!("piece {index}\n")));
                Some((Ok::<_, Error>(frame), index + 1))
            });
            Ok(Response::new(Box::pin(StreamBody::new(frames))))
        }
        "/bytes" => {
            let size = usize::try_from(number())?;
            Ok(Response::new(whole(Bytes::from(vec![b'x'; size]))))
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
            pause_for(Duration::from_millis(number())).await;
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
            let sum: u64 = taken
                .iter()
                .step_by(4096)
                .map(|byte| u64::from(*byte))
                .sum();
            text(&sum.to_string())
        }
        "/panic" => panic!("the probe was asked to panic"),
        "/error" => Err(anyhow!(
            "the probe was asked to fail, with a secret in its message"
        )),
        "/socket" => match std::net::TcpStream::connect(&query) {
            Ok(_) => json_response(&json!({ "ok": null })),
            Err(error) => json_response(&json!({ "error": error.to_string() })),
        },
        "/count" => json_response(&metrics::record(&query)),
        // With the query `fails`, an error is one of the function too; with `throws`, the function doesn't handle it.
        path if path.starts_with("/pg/") => {
            let told = postgres::run(path, request).await;
            if query == "throws" && told.get("ok").is_none() {
                return Err(anyhow!("{told}"));
            }
            let mut response = json_response(&told)?;
            if query == "fails" && told.get("ok").is_none() {
                *response.status_mut() = spin_sdk::http::StatusCode::INTERNAL_SERVER_ERROR;
            }
            Ok(response)
        }
        _ => Ok(Response::builder()
            .status(404)
            .body(whole(Bytes::from_static(b"no such probe")))?),
    }
}

/// Everything the guest was given.
fn seen(request: &Request) -> Value {
    let headers = request.headers().iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes());
        (name.to_string(), Value::from(value))
    });
    json!({
        "method": request.method().as_str(),
        "uri": request.uri().to_string(),
        "headers": headers.collect::<serde_json::Map<_, _>>(),
    })
}

fn whole(bytes: Bytes) -> Body {
    Box::pin(Full::new(bytes).map_err(|never| match never {}))
}

async fn pause_for(pause: Duration) {
    let nanoseconds = u64::try_from(pause.as_nanos()).unwrap_or(u64::MAX);
    spin_sdk::wasip3::clocks::monotonic_clock::wait_for(nanoseconds).await;
}

fn text(text: &str) -> Result<Response<Body>> {
    Ok(Response::new(whole(Bytes::from(text.to_owned()))))
}

fn json_response(value: &Value) -> Result<Response<Body>> {
    let bytes = Bytes::from(value.to_string());
    Ok(Response::builder()
        .header("content-type", "application/json")
        .header("content-length", bytes.len())
        .body(whole(bytes))?)
}

async fn key_value(label: &str) -> Result<Value, spin_sdk::key_value::Error> {
    let store = spin_sdk::key_value::Store::open(label).await?;
    store.set("a key", b"a value").await?;
    let value = store.get("a key").await?;
    let there = store.exists("a key").await?;
    let keys = store.get_keys().await.collect().await?;
    store.delete("a key").await?;
    let gone = !store.exists("a key").await?;
    let value = value.map(|value| String::from_utf8_lossy(&value).into_owned());
    Ok(json!({ "value": value, "there": there, "keys": keys, "gone": gone }))
}

/// What was kept until now; from now on it is this.
async fn kept(value: &str) -> Result<Value, spin_sdk::key_value::Error> {
    let store = spin_sdk::key_value::Store::open_default().await?;
    let before = store.get("kept").await?;
    store.set("kept", value.as_bytes()).await?;
    Ok(json!(
        before.map(|value| String::from_utf8_lossy(&value).into_owned())
    ))
}
