//! Promise: through `spin:postgres@4.2.0`, over the host's pool and PgBouncer in transaction mode, every value reaches the database
//! and comes back as it was, errors come with all that PostgreSQL says, and nobody connects to what its manifest doesn't allow.

use anyhow::{Context as _, Result, ensure};
use flowviz_tests::Database;
use serde_json::{Value, json};

/// The parameter, the type that it has in SQL, and how the component prints what comes back.
fn parameters() -> Vec<(Value, &'static str, &'static str)> {
    vec![
        (json!({ "boolean": true }), "bool", "DbValue::Boolean(true)"),
        (json!({ "int8": -128 }), "\"char\"", "DbValue::Int8(-128)"),
        (json!({ "int16": -32768 }), "int2", "DbValue::Int16(-32768)"),
        (
            json!({ "int32": 2147483647 }),
            "int4",
            "DbValue::Int32(2147483647)",
        ),
        (
            json!({ "int64": i64::MIN }),
            "int8",
            "DbValue::Int64(-9223372036854775808)",
        ),
        (
            json!({ "floating32": 1.5 }),
            "float4",
            "DbValue::Floating32(1.5)",
        ),
        (
            json!({ "floating64": -0.1 }),
            "float8",
            "DbValue::Floating64(-0.1)",
        ),
        (
            json!({ "str": "Grüße, \u{1F953}'--" }),
            "text",
            "DbValue::Str(\"Grüße, \u{1F953}'--\")",
        ),
        (
            json!({ "binary": "\u{0}\u{1}x" }),
            "bytea",
            "DbValue::Binary([0, 1, 120])",
        ),
        (
            json!({ "date": [2024, 2, 29] }),
            "date",
            "DbValue::Date((2024, 2, 29))",
        ),
        (
            json!({ "time": [23, 59, 59, 123456000] }),
            "time",
            "DbValue::Time((23, 59, 59, 123456000))",
        ),
        (
            json!({ "datetime": [1999, 12, 31, 23, 59, 59, 999999000] }),
            "timestamp",
            "DbValue::Datetime((1999, 12, 31, 23, 59, 59, 999999000))",
        ),
        (
            json!({ "datetime": [2026, 1, 2, 3, 4, 5, 0] }),
            "timestamptz",
            "DbValue::Datetime((2026, 1, 2, 3, 4, 5, 0))",
        ),
        (
            json!({ "timestamp": 86_400 }),
            "timestamptz",
            "DbValue::Datetime((1970, 1, 2, 0, 0, 0, 0))",
        ),
        (
            json!({ "uuid": "00000000-0000-4000-8000-0000000000ff" }),
            "uuid",
            "DbValue::Uuid(\"00000000-0000-4000-8000-0000000000ff\")",
        ),
        (
            json!({ "jsonb": { "a": [1, null] } }),
            "jsonb->'a'->0",
            "DbValue::Jsonb([49])",
        ),
        (
            json!({ "decimal": "-12345678901234567890.000100" }),
            "numeric",
            "DbValue::Decimal(\"-12345678901234567890.000100\")",
        ),
        (
            json!({ "range-int32": [1, 5] }),
            "int4range",
            "DbValue::RangeInt32((Some((1, RangeBoundKind::Inclusive)), Some((5, RangeBoundKind::Exclusive))))",
        ),
        (
            json!({ "range-int64": [null, 7] }),
            "int8range",
            "DbValue::RangeInt64((None, Some((7, RangeBoundKind::Exclusive))))",
        ),
        (
            json!({ "range-decimal": ["0.5", null] }),
            "numrange",
            "DbValue::RangeDecimal((Some((\"0.5\", RangeBoundKind::Inclusive)), None))",
        ),
        (
            json!({ "array-int32": [1, null, -3] }),
            "int4[]",
            "DbValue::ArrayInt32([Some(1), None, Some(-3)])",
        ),
        (
            json!({ "array-int64": [] }),
            "int8[]",
            "DbValue::ArrayInt64([])",
        ),
        (
            json!({ "array-decimal": ["1.10", null] }),
            "numeric[]",
            "DbValue::ArrayDecimal([Some(\"1.10\"), None])",
        ),
        (
            json!({ "array-str": ["a,b", "\"{}\\", null] }),
            "text[]",
            "DbValue::ArrayStr([Some(\"a,b\"), Some(\"\\\"{}\\\\\"), None])",
        ),
        (
            json!({ "interval": [1_500_000, 3, 14] }),
            "interval",
            "DbValue::Interval(Interval { micros: 1500000, days: 3, months: 14 })",
        ),
    ]
}

#[tokio::test]
async fn every_parameter_comes_back_as_it_was() -> Result<()> {
    let database = Database::shared().await?;
    for call in ["query", "query-async"] {
        for (parameter, sql, expected) in parameters() {
            let asked =
                json!({ "statement": format!("SELECT $1::{sql}"), "parameters": [parameter] });
            let got = database.ask(call, asked).await?;
            ensure!(
                got["ok"]["rows"] == json!([[expected]]),
                "{call} {parameter} as {sql}: {got}"
            );

            let null = json!({ "statement": format!("SELECT ($1::{sql}) IS NULL, $1::{sql}"), "parameters": [{ "db-null": null }] });
            let got = database.ask(call, null).await?;
            ensure!(
                got["ok"]["rows"] == json!([["DbValue::Boolean(true)", "DbValue::DbNull"]]),
                "{call} NULL as {sql}: {got}"
            );
        }
        // All of them at once, in their order.
        let list: Vec<_> = parameters()
            .iter()
            .enumerate()
            .map(|(at, (_, sql, _))| format!("${}::{sql}", at + 1))
            .collect();
        let all: Vec<_> = parameters()
            .into_iter()
            .map(|(parameter, ..)| parameter)
            .collect();
        let got = database
            .ask(
                call,
                json!({ "statement": format!("SELECT {}", list.join(", ")), "parameters": all }),
            )
            .await?;
        let expected: Vec<_> = parameters()
            .into_iter()
            .map(|(.., expected)| expected)
            .collect();
        ensure!(got["ok"]["rows"] == json!([expected]), "{call}: {got}");
    }
    Ok(())
}

#[tokio::test]
async fn a_parameter_without_a_cast_fits_its_column() -> Result<()> {
    let database = Database::shared().await?;
    database
        .table("fitting", "id uuid PRIMARY KEY, kg numeric(10,2), at timestamptz, day date, tags text[], note varchar(40), extra jsonb")
        .await?;
    let statement = "INSERT INTO fitting VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let parameters = json!([
        { "uuid": "00000000-0000-4000-8000-000000000001" }, { "decimal": "12.50" }, { "datetime": [2026, 5, 6, 7, 8, 9, 0] },
        { "date": [2026, 5, 6] }, { "array-str": ["a"] }, { "str": "a note" }, { "jsonb": { "a": 1 } },
    ]);
    for call in ["execute", "execute-async"] {
        let got = database
            .ask(
                call,
                json!({ "statement": statement, "parameters": parameters }),
            )
            .await?;
        ensure!(got == json!({ "ok": 1 }), "{call}: {got}");
        let got = database
            .ask(call, json!({ "statement": "DELETE FROM fitting" }))
            .await?;
        ensure!(got == json!({ "ok": 1 }), "{call}: {got}");
        let got = database
            .ask(call, json!({ "statement": "DELETE FROM fitting" }))
            .await?;
        ensure!(got == json!({ "ok": 0 }), "{call}: {got}");
    }
    // Also as text, which is how older functions give them.
    let texts = json!([{ "str": "00000000-0000-4000-8000-000000000001" }]);
    let got = database.ask("query", json!({ "statement": "SELECT id FROM fitting WHERE id = $1::text::uuid", "parameters": texts })).await?;
    ensure!(got["ok"]["rows"] == json!([]), "{got}");
    Ok(())
}

#[tokio::test]
async fn types_that_the_interface_does_not_know_still_come() -> Result<()> {
    let database = Database::shared().await?;
    let owner = database.owner().await?;
    owner
        .batch_execute("CREATE TYPE mood AS ENUM ('sad', 'happy')")
        .await?;
    let statement = "SELECT 'happy'::mood, ARRAY['sad', NULL]::mood[], 'inet'::name, 'x'::varchar, 'y'::char(2), '10.0.0.1'::inet, '{\"a\":1}'::json";
    for call in ["query", "query-async"] {
        let got = database
            .ask(call, json!({ "statement": statement }))
            .await?;
        let row = &got["ok"]["rows"][0];
        for (at, expected) in [
            "DbValue::Str(\"happy\")",
            "DbValue::ArrayStr([Some(\"sad\"), None])",
            "DbValue::Str(\"inet\")",
            "DbValue::Str(\"x\")",
            "DbValue::Str(\"y \")",
        ]
        .into_iter()
        .enumerate()
        {
            ensure!(row[at] == expected, "{call}: {got}");
        }
        ensure!(
            row[5]
                .as_str()
                .is_some_and(|value| value.starts_with("DbValue::Unsupported(")),
            "{call}: {got}"
        );
        ensure!(
            got["ok"]["columns"][5][1] == "DbDataType::Other(\"inet\")",
            "{call}: {got}"
        );
        ensure!(
            row[6]
                .as_str()
                .is_some_and(|value| value.starts_with("DbValue::Jsonb(")),
            "{call}: {got}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn an_empty_result_has_its_columns() -> Result<()> {
    let database = Database::shared().await?;
    for call in ["query", "query-async"] {
        let got = database
            .ask(
                call,
                json!({ "statement": "SELECT 1 AS one, 'x'::text AS two WHERE false" }),
            )
            .await?;
        let expected = json!({ "columns": [["one", "DbDataType::Int32"], ["two", "DbDataType::Str"]], "rows": [] });
        ensure!(got["ok"] == expected, "{call}: {got}");
    }
    Ok(())
}

#[tokio::test]
async fn a_large_result_streams() -> Result<()> {
    let database = Database::shared().await?;
    let statement = "SELECT i, repeat('x', 100) FROM generate_series(1, 100000) i";
    let got = database
        .ask("stream", json!({ "statement": statement }))
        .await?;
    ensure!(
        got["ok"]["rows"] == 100_000 && got["ok"]["last"][0] == "DbValue::Int32(100000)",
        "{got}"
    );
    // An error in the middle comes after the rows before it.
    let got = database
        .ask(
            "stream",
            json!({ "statement": "SELECT 1 / (50000 - i) FROM generate_series(1, 100000) i" }),
        )
        .await?;
    ensure!(got["error"]["db-error"]["code"] == "22012", "{got}");
    Ok(())
}

/// More often than the pool has connections: each of them must have come back, and the statement must have ended.
#[tokio::test]
async fn a_stream_that_is_dropped_frees_its_connection() -> Result<()> {
    let database = Database::shared().await?;
    // In the list of columns, so that the server makes the rows one by one.
    let statement = "SELECT generate_series(1, 100000000), 'dropped'";
    for _ in 0..40 {
        let got = database
            .ask("query-one", json!({ "statement": statement }))
            .await?;
        ensure!(got["ok"][0] == "DbValue::Int32(1)", "{got}");
    }
    let (monitor, connection) =
        tokio_postgres::connect(&database.stack.monitor_url(), tokio_postgres::NoTls).await?;
    tokio::spawn(connection);
    let running = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%, ''dropped'''";
    let deadline = std::time::Instant::now() + flowviz_tests::PATIENCE;
    while monitor.query_one(running, &[]).await?.get::<_, i64>(0) > 0 {
        ensure!(std::time::Instant::now() < deadline, "the statements go on");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    Ok(())
}

#[tokio::test]
async fn an_error_comes_with_all_that_postgresql_says() -> Result<()> {
    let database = Database::shared().await?;
    database
        .table("strict", "id int PRIMARY KEY, kg numeric CONSTRAINT positive CHECK (kg > 0), of int REFERENCES strict, name text NOT NULL")
        .await?;
    database
        .ask(
            "execute",
            json!({ "statement": "INSERT INTO strict VALUES (1, 1, NULL, 'a')" }),
        )
        .await?;
    for (statement, code, severity, part) in [
        (
            "INSERT INTO strict VALUES (1, 1, NULL, 'b')",
            "23505",
            "ERROR",
            &["constraint", "strict_pkey"],
        ),
        (
            "INSERT INTO strict VALUES (2, -1, NULL, 'b')",
            "23514",
            "ERROR",
            &["constraint", "positive"],
        ),
        (
            "INSERT INTO strict VALUES (2, 1, 7, 'b')",
            "23503",
            "ERROR",
            &["constraint", "strict_of_fkey"],
        ),
        (
            "INSERT INTO strict VALUES (2, 1, NULL, NULL)",
            "23502",
            "ERROR",
            &["column", "name"],
        ),
        ("SELEKT 1", "42601", "ERROR", &["position", "1"]),
        (
            "SELECT * FROM not_there",
            "42P01",
            "ERROR",
            &["position", "15"],
        ),
        ("SELECT 1 / 0", "22012", "ERROR", &["routine", "int4div"]),
    ] {
        for call in ["query", "query-async", "execute", "execute-async"] {
            let got = database
                .ask(call, json!({ "statement": statement }))
                .await?;
            let error = &got["error"]["db-error"];
            ensure!(
                error["code"] == code && error["severity"] == severity,
                "{call} {statement}: {got}"
            );
            let extras = error["extras"].as_array().context("no extras")?;
            ensure!(
                extras.contains(&json!(part)),
                "{call} {statement}: {part:?} isn't in {got}"
            );
            ensure!(
                error["as-text"]
                    .as_str()
                    .is_some_and(|text| text.contains(code)),
                "{got}"
            );
        }
    }
    let got = database
        .ask(
            "execute",
            json!({ "statement": "INSERT INTO strict VALUES (1, 1, NULL, 'b')" }),
        )
        .await?;
    let error = &got["error"]["db-error"];
    ensure!(
        error["message"] == "duplicate key value violates unique constraint \"strict_pkey\"",
        "{got}"
    );
    ensure!(error["detail"] == "Key (id)=(1) already exists.", "{got}");
    let hinting = "DO $$ BEGIN RAISE EXCEPTION 'no' USING ERRCODE = 'FV001', DETAIL = 'the detail', HINT = 'the hint'; END $$";
    let got = database
        .ask("execute", json!({ "statement": hinting }))
        .await?;
    let error = &got["error"]["db-error"];
    ensure!(
        error["code"] == "FV001" && error["detail"] == "the detail",
        "{got}"
    );
    ensure!(
        error["extras"]
            .as_array()
            .is_some_and(|extras| extras.contains(&json!(["hint", "the hint"]))),
        "{got}"
    );

    // What never reaches the database.
    for (parameter, kind) in [
        (json!({ "uuid": "none" }), "bad-parameter"),
        (json!({ "decimal": "1,5" }), "bad-parameter"),
        (json!({ "date": [2026, 2, 30] }), "bad-parameter"),
    ] {
        let got = database
            .ask(
                "query",
                json!({ "statement": "SELECT $1", "parameters": [parameter] }),
            )
            .await?;
        ensure!(got["error"][kind].is_string(), "{parameter}: {got}");
    }
    for statement in ["SET search_path = x", "LISTEN x", "PREPARE x AS SELECT 1"] {
        let got = database
            .ask("execute", json!({ "statement": statement }))
            .await?;
        ensure!(got["error"].is_object(), "{statement}: {got}");
    }
    Ok(())
}

const WAYS: [&str; 4] = ["open", "open-async", "build", "build-async"];

#[tokio::test]
async fn only_what_is_allowed_can_be_opened() -> Result<()> {
    let database = Database::shared().await?;
    let allowed = database.stack.app_url().to_string();
    let direct = database.stack.app_direct_url().to_string();
    let hosts = format!(
        "host=127.0.0.1,db.example port={},5432 user=u",
        database
            .stack
            .pgbouncer_host()
            .rsplit(':')
            .next()
            .unwrap_or_default()
    );
    for way in WAYS {
        let got = database.ask(way, json!({ "address": allowed })).await?;
        ensure!(got == json!({ "ok": "opened" }), "{way}: {got}");
        for (function, address) in [("denied", &allowed), ("probe", &direct), ("probe", &hosts)] {
            let answer = database
                .call(function, way, json!({ "address": address }))
                .await?;
            let got = answer.json()?;
            let text = got["error"]["connection-failed"]
                .as_str()
                .with_context(|| format!("{way}: {got}"))?;
            ensure!(
                text.contains("is not in the component's `allowed_outbound_hosts`"),
                "{way}: {text}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_bad_address_is_refused_without_being_repeated() -> Result<()> {
    let database = Database::shared().await?;
    for way in WAYS {
        for address in [
            "",
            "nonsense",
            "postgres://",
            "postgres://u:s3cret@127.0.0.1:port/x",
            "mysql://u:s3cret@127.0.0.1/x",
            "host=/tmp user=s3cret",
        ] {
            let got = database.ask(way, json!({ "address": address })).await?;
            let text = got["error"]["connection-failed"]
                .as_str()
                .with_context(|| format!("{way} {address}: {got}"))?;
            ensure!(
                !text.contains("s3cret") && !text.is_empty(),
                "{way} {address}: {text}"
            );
        }
    }
    // A wrong password is known at the first statement.
    let wrong = database.stack.app_url().to_string().replacen(
        "://flowviz_app:",
        "://flowviz_app:wrong-",
        1,
    );
    let got = database.ask("query", json!({ "address": wrong })).await?;
    ensure!(
        got["error"]["connection-failed"].is_string()
            || got["error"]["db-error"]["code"] == "28P01",
        "{got}"
    );
    let log = database.host.log().join("\n");
    ensure!(!log.contains("s3cret") && !log.contains("wrong-"), "{log}");
    Ok(())
}
