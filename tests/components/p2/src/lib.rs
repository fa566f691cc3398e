//! A function as spin-sdk 5 makes them: WASI 0.2 (`wasi:http/incoming-handler`), and Spin's interfaces of that time. Its path says
//! which of them to use; what it finds comes back as JSON, errors as the interface's own.
#![allow(clippy::panic, reason = "one of its paths is there to trap")]
#![allow(unsafe_code, reason = "what the SDK's macro makes")]

use anyhow::{Result, anyhow};
use serde_json::{Value, json};
use spin_sdk::http::{Request, Response};
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
        "/variable" => told(variables::get(&query)),
        "/pg3" => told(pg3(&String::from_utf8(request.into_body())?)),
        "/pg2" => told(pg2(&String::from_utf8(request.into_body())?)),
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

async fn get(url: &str) -> Value {
    match spin_sdk::http::send::<_, Response>(Request::get(url)).await {
        Ok(response) => json!({
            "status": response.status(),
            "body": String::from_utf8_lossy(response.body()),
        }),
        Err(error) => json!({ "error": format!("{error:?}") }),
    }
}
