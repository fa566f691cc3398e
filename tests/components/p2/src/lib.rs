//! A function as spin-sdk 5 makes them: WASI 0.2 (`wasi:http/incoming-handler`), and Spin's interfaces of that time. Its path says
//! which of them to use; what it finds comes back as JSON, errors as the interface's own.
#![allow(clippy::panic, reason = "one of its paths is there to trap")]
#![allow(unsafe_code, reason = "what the SDK's macro makes")]

use anyhow::{Result, anyhow};
use serde_json::{Value, json};
use spin_sdk::http::{Request, Response};
use spin_sdk::key_value::{self, Store};
use spin_sdk::wit::wasi::config::store as config;
use spin_sdk::wit::wasi::keyvalue::{atomics, batch, store};
use spin_sdk::{http_component, pg, pg3, variables};

#[http_component]
async fn handle(request: Request) -> Result<Response> {
    let query = request.query().to_owned();
    let path = request
        .header("spin-path-info")
        .and_then(|value| value.as_str())
        .unwrap_or_default()
        .to_owned();
    let found = match path.as_str() {
        "/echo" => return Ok(Response::new(200, request.into_body())),
        "/status" => return Ok(Response::new(query.parse::<u16>()?, ())),
        "/trap" => panic!("told to"),
        "/loop" => loop {
            std::hint::spin_loop();
        },
        "/sleep" => {
            std::thread::sleep(std::time::Duration::from_millis(query.parse()?));
            json!({ "slept": query })
        }
        // So many MiB, each page of them written.
        "/allocate" => {
            let bytes = vec![1u8; query.parse::<usize>()? << 20];
            json!({ "sum": bytes.iter().map(|byte| u64::from(*byte)).sum::<u64>() })
        }
        // So many MiB of a response.
        "/bytes" => {
            return Ok(Response::new(
                200,
                vec![b'x'; query.parse::<usize>()? << 20],
            ));
        }
        "/config" => told(config::get(&query)),
        "/config-all" => told(config::get_all()),
        "/wasi-key-value" => told(wasi_key_value(&query)),
        "/variable" => told(variables::get(&query)),
        "/pg3" => told(pg3(&String::from_utf8(request.into_body())?)),
        "/pg2" => told(pg2(&String::from_utf8(request.into_body())?)),
        "/key-value" => told(key_value(&query)),
        "/get" => get(&query).await,
        _ => json!({ "path": path, "query": query }),
    };
    Ok(Response::builder()
        .status(200)
        .header("content-type", "application/json")
        .body(found.to_string())
        .build())
}

fn told<T: serde::Serialize, E: std::fmt::Debug>(result: Result<T, E>) -> Value {
    match result {
        Ok(found) => json!({ "ok": found }),
        Err(error) => json!({ "error": format!("{error:?}") }),
    }
}

fn address() -> Result<String> {
    variables::get("database_url").map_err(|error| anyhow!("{error:?}"))
}

/// Runs a statement whose parameter is a text, an integer, a date and nothing.
fn pg3(statement: &str) -> Result<Value> {
    use pg3::{Connection, ParameterValue as P};
    let connection = Connection::open(&address()?)?;
    let parameters = [
        P::Str("süß".to_owned()),
        P::Int64(42),
        P::Date((2026, 11, 25)),
        P::DbNull,
    ];
    let used = parameters
        .get(..statement.matches('$').count())
        .unwrap_or_default();
    let rows = connection.query(statement, used)?;
    let columns: Vec<_> = rows
        .columns
        .iter()
        .map(|column| format!("{} {:?}", column.name, column.data_type))
        .collect();
    let rows: Vec<Vec<String>> = rows
        .rows
        .iter()
        .map(|row| row.iter().map(|value| format!("{value:?}")).collect())
        .collect();
    Ok(json!({ "columns": columns, "rows": rows }))
}

fn pg2(statement: &str) -> Result<Value> {
    use pg::{Connection, ParameterValue as P};
    let connection = Connection::open(&address()?)?;
    let parameters = [P::Int32(7), P::Uint64(7)];
    let used = parameters
        .get(..statement.matches('$').count())
        .unwrap_or_default();
    let rows = connection.query(statement, used)?;
    let rows: Vec<Vec<String>> = rows
        .rows
        .iter()
        .map(|row| row.iter().map(|value| format!("{value:?}")).collect())
        .collect();
    Ok(json!({ "rows": rows }))
}

/// A value set, read, listed, and gone again.
fn key_value(label: &str) -> Result<Value, key_value::Error> {
    let store = Store::open(label)?;
    store.set("a key", b"a value")?;
    let value = store.get("a key")?;
    let there = store.exists("a key")?;
    let keys = store.get_keys()?;
    store.delete("a key")?;
    let gone = !store.exists("a key")?;
    let value = value.map(|value| String::from_utf8_lossy(&value).into_owned());
    Ok(json!({ "value": value, "there": there, "keys": keys, "gone": gone }))
}

/// The same by WASI's own interface, with a counter and a batch.
fn wasi_key_value(label: &str) -> Result<Value, store::Error> {
    let bucket = store::open(label)?;
    bucket.set("a key", b"a value")?;
    let value = bucket
        .get("a key")?
        .map(|value| String::from_utf8_lossy(&value).into_owned());
    let counts = [
        atomics::increment(&bucket, "count", 40)?,
        atomics::increment(&bucket, "count", 2)?,
    ];
    batch::set_many(
        &bucket,
        &[
            ("one".to_owned(), b"1".to_vec()),
            ("two".to_owned(), b"2".to_vec()),
        ],
    )?;
    let names = ["one", "none", "two"].map(str::to_owned);
    let found: Vec<_> = batch::get_many(&bucket, &names)?
        .into_iter()
        .map(|(key, value)| (key, value.is_some()))
        .collect();
    let mut keys = bucket.list_keys(None)?.keys;
    keys.sort();
    batch::delete_many(&bucket, &keys)?;
    let gone = !bucket.exists("a key")?;
    Ok(json!({ "value": value, "counts": counts, "found": found, "keys": keys, "gone": gone }))
}

async fn get(url: &str) -> Value {
    match spin_sdk::http::send::<_, Response>(Request::get(url)).await {
        Ok(response) => json!({
            "status": response.status(),
            "body": String::from_utf8_lossy(response.body()),
        }),
        Err(error) => json!({ "error": format!("{error:?}") }),
    }
}
