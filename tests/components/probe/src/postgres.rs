//! `spin:postgres@4.2.0`, each way of calling it. The request's body says what to run:
//! `{ "address": ..., "statement": ..., "parameters": [{ "int32": 1 }, ...], "ca": ... }`.

use std::time::Duration;

use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use spin_sdk::http::Request;
use spin_sdk::pg::wit::postgres::{
    Column, Connection, ConnectionBuilder, DbValue, Error, Interval, ParameterValue, RangeBoundKind,
};

pub async fn run(path: &str, request: Request) -> Value {
    let body = match request.into_body().collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return json!({ "fault": format!("{error:?}") }),
    };
    let asked: Value = serde_json::from_slice(&body).unwrap();
    match answer(path, &asked).await {
        Ok(value) => json!({ "ok": value }),
        Err(error) => json!({ "error": describe(&error) }),
    }
}

async fn answer(path: &str, asked: &Value) -> Result<Value, Error> {
    let address = asked["address"].as_str().unwrap_or_default();
    let statement = asked["statement"].as_str().unwrap_or("SELECT 1");
    let parameters: Vec<_> = asked["parameters"]
        .as_array()
        .into_iter()
        .flatten()
        .map(parameter)
        .collect();
    match path {
        "/pg/open" => Connection::open(address).map(|_| json!("opened")),
        "/pg/open-async" => Connection::open_async(address.to_owned())
            .await
            .map(|_| json!("opened")),
        "/pg/build" => builder(address, asked)?.build().map(|_| json!("opened")),
        "/pg/build-async" => builder(address, asked)?
            .build_async()
            .await
            .map(|_| json!("opened")),
        "/pg/build-query" => {
            let rows = builder(address, asked)?
                .build()?
                .query(statement, &parameters)?;
            Ok(json!({ "rows": rows.rows.iter().map(|row| values(row)).collect::<Vec<_>>() }))
        }
        "/pg/query" => {
            let rows = Connection::open(address)?.query(statement, &parameters)?;
            Ok(
                json!({ "columns": columns(&rows.columns), "rows": rows.rows.iter().map(|row| values(row)).collect::<Vec<_>>() }),
            )
        }
        "/pg/query-async" => {
            let connection = Connection::open_async(address.to_owned()).await?;
            let (described, mut stream, result) = connection
                .query_async(statement.to_owned(), parameters)
                .await?;
            let mut rows = Vec::new();
            while let Some(row) = stream.next().await {
                rows.push(values(&row));
            }
            result.await?;
            Ok(json!({ "columns": columns(&described), "rows": rows }))
        }
        // Takes a large result row by row, and tells how many there were and the last one.
        "/pg/stream" => {
            let connection = Connection::open_async(address.to_owned()).await?;
            let (_, mut stream, result) = connection
                .query_async(statement.to_owned(), parameters)
                .await?;
            let (mut rows, mut last) = (0u64, Vec::new());
            while let Some(row) = stream.next().await {
                rows += 1;
                last = row;
            }
            result.await?;
            Ok(json!({ "rows": rows, "last": values(&last) }))
        }
        // Reads one row of many and drops the rest.
        "/pg/query-one" => {
            let connection = Connection::open_async(address.to_owned()).await?;
            let (_, mut stream, result) = connection
                .query_async(statement.to_owned(), parameters)
                .await?;
            let row = stream.next().await;
            drop((stream, result));
            Ok(row.map_or(Value::Null, |row| values(&row)))
        }
        "/pg/execute" => Ok(json!(
            Connection::open(address)?.execute(statement, &parameters)?
        )),
        "/pg/execute-async" => {
            let connection = Connection::open_async(address.to_owned()).await?;
            Ok(json!(
                connection
                    .execute_async(statement.to_owned(), parameters)
                    .await?
            ))
        }
        // Statements on one connection, one after the other, with a pause or a panic where the script says so; the last one's rows
        // come back.
        "/pg/script" => {
            let connection = Connection::open_async(address.to_owned()).await?;
            let mut last = Value::Null;
            for statement in asked["statements"].as_array().into_iter().flatten() {
                match statement.as_str().unwrap_or_default() {
                    "panic" => panic!("the probe was asked to panic within a script"),
                    "pause" => pause(asked).await,
                    statement => {
                        let (_, mut stream, result) = connection
                            .query_async(statement.to_owned(), Vec::new())
                            .await?;
                        let mut rows = Vec::new();
                        while let Some(row) = stream.next().await {
                            rows.push(values(&row));
                        }
                        result.await?;
                        last = json!(rows);
                    }
                }
            }
            Ok(last)
        }
        // Opens so many connections, uses each, and never closes any.
        "/pg/hoard" => {
            for _ in 0..asked["times"].as_u64().unwrap_or(1) {
                let connection = Connection::open_async(address.to_owned()).await?;
                connection
                    .execute_async(statement.to_owned(), Vec::new())
                    .await?;
                std::mem::forget(connection);
            }
            pause(asked).await;
            Ok(json!("hoarded"))
        }
        // The same statement so many times at once.
        "/pg/concurrent" => {
            let times = asked["times"].as_u64().unwrap_or(1);
            let runs = (0..times).map(|_| async {
                let connection = Connection::open_async(address.to_owned()).await?;
                connection
                    .execute_async(statement.to_owned(), Vec::new())
                    .await
            });
            let done = futures::future::join_all(runs).await;
            let mut total = 0;
            for run in done {
                total += run?;
            }
            Ok(json!(total))
        }
        _ => Ok(json!("no such call")),
    }
}

/// For `"pause"` milliseconds.
async fn pause(asked: &Value) {
    let milliseconds = asked["pause"].as_u64().unwrap_or_default();
    crate::pause_for(Duration::from_millis(milliseconds)).await;
}

fn builder(address: &str, asked: &Value) -> Result<ConnectionBuilder, Error> {
    let builder = ConnectionBuilder::new(address);
    if let Some(ca) = asked["ca"].as_str() {
        builder.set_ca_root(ca)?;
    }
    Ok(builder)
}

fn columns(columns: &[Column]) -> Value {
    columns
        .iter()
        .map(|column| json!([column.name, format!("{:?}", column.data_type)]))
        .collect()
}

fn values(row: &[DbValue]) -> Value {
    row.iter()
        .map(|value| json!(format!("{value:?}")))
        .collect()
}

fn describe(error: &Error) -> Value {
    use spin_sdk::pg::QueryError;
    match error {
        Error::ConnectionFailed(text) => json!({ "connection-failed": text }),
        Error::BadParameter(text) => json!({ "bad-parameter": text }),
        Error::ValueConversionFailed(text) => json!({ "value-conversion-failed": text }),
        Error::Other(text) => json!({ "other": text }),
        Error::QueryFailed(QueryError::Text(text)) => json!({ "query-failed": text }),
        Error::QueryFailed(QueryError::DbError(error)) => json!({ "db-error": {
            "severity": error.severity,
            "code": error.code,
            "message": error.message,
            "detail": error.detail,
            "extras": error.extras,
            "as-text": error.as_text,
        } }),
    }
}

/// `{ "<type of the WIT>": value }`
fn parameter(json: &Value) -> ParameterValue {
    let Some((kind, value)) = json.as_object().and_then(|object| object.iter().next()) else {
        return ParameterValue::DbNull;
    };
    let integer = |value: &Value| value.as_i64().unwrap();
    let int32 = |value: &Value| i32::try_from(integer(value)).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let byte = |index: usize| u8::try_from(integer(&value[index])).unwrap();
    let nanos = |index: usize| u32::try_from(integer(&value[index])).unwrap();
    let items = || value.as_array().unwrap().iter();
    match kind.as_str() {
        "boolean" => ParameterValue::Boolean(value.as_bool().unwrap()),
        "int8" => ParameterValue::Int8(i8::try_from(integer(value)).unwrap()),
        "int16" => ParameterValue::Int16(i16::try_from(integer(value)).unwrap()),
        "int32" => ParameterValue::Int32(int32(value)),
        "int64" => ParameterValue::Int64(integer(value)),
        "floating32" => ParameterValue::Floating32(value.as_f64().unwrap() as f32),
        "floating64" => ParameterValue::Floating64(value.as_f64().unwrap()),
        "str" => ParameterValue::Str(text(value)),
        "binary" => ParameterValue::Binary(text(value).into_bytes()),
        "date" => ParameterValue::Date((int32(&value[0]), byte(1), byte(2))),
        "time" => ParameterValue::Time((byte(0), byte(1), byte(2), nanos(3))),
        "datetime" => ParameterValue::Datetime((
            int32(&value[0]),
            byte(1),
            byte(2),
            byte(3),
            byte(4),
            byte(5),
            nanos(6),
        )),
        "timestamp" => ParameterValue::Timestamp(integer(value)),
        "uuid" => ParameterValue::Uuid(text(value)),
        "jsonb" => ParameterValue::Jsonb(value.to_string().into_bytes()),
        "decimal" => ParameterValue::Decimal(text(value)),
        "range-int32" => ParameterValue::RangeInt32(range(value, int32)),
        "range-int64" => ParameterValue::RangeInt64(range(value, integer)),
        "range-decimal" => ParameterValue::RangeDecimal(range(value, text)),
        "array-int32" => ParameterValue::ArrayInt32(items().map(|v| optional(v, int32)).collect()),
        "array-int64" => {
            ParameterValue::ArrayInt64(items().map(|v| optional(v, integer)).collect())
        }
        "array-decimal" => {
            ParameterValue::ArrayDecimal(items().map(|v| optional(v, text)).collect())
        }
        "array-str" => ParameterValue::ArrayStr(items().map(|v| optional(v, text)).collect()),
        "interval" => ParameterValue::Interval(Interval {
            micros: integer(&value[0]),
            days: int32(&value[1]),
            months: int32(&value[2]),
        }),
        _ => ParameterValue::DbNull,
    }
}

fn optional<T>(value: &Value, convert: impl Fn(&Value) -> T) -> Option<T> {
    (!value.is_null()).then(|| convert(value))
}

type Bound<T> = Option<(T, RangeBoundKind)>;

/// `[lower, upper]`, each a value or null; the lower bound is inclusive, the upper one exclusive.
fn range<T>(value: &Value, convert: impl Fn(&Value) -> T) -> (Bound<T>, Bound<T>) {
    (
        optional(&value[0], &convert).map(|bound| (bound, RangeBoundKind::Inclusive)),
        optional(&value[1], &convert).map(|bound| (bound, RangeBoundKind::Exclusive)),
    )
}
