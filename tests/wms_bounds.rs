//! What a lot may be: every field has its bounds, a value just within them is stored as the contract writes it, and one just beyond is
//! told by its field.

use anyhow::{Context, Result};
use flowviz_tests::{User, Wms};
use serde_json::{Value, json};

const NOWHERE: &str = "00000000-0000-0000-0000-00000000dead";

#[tokio::test]
async fn just_within_is_stored_and_just_beyond_is_told() -> Result<()> {
    let wms = Wms::start().await?;
    let manager = User::login(&wms, "manager").await?;
    let mut n = 0;
    let mut lot = |field: &str, value: Value| {
        n += 1;
        let mut lot = json!({ "lot_code": format!("L-{n}") });
        lot[field] = value;
        lot
    };

    for (field, value, stored) in [
        ("lot_code", json!("x"), json!("x")),
        ("lot_code", json!("🥙".repeat(100)), json!("🥙".repeat(100))),
        ("weight_kg", json!(0), json!("0.00")),
        ("weight_kg", json!(-0.0), json!("0.00")),
        ("weight_kg", json!(-0.005), json!("0.00")),
        ("weight_kg", json!(10_000), json!("10000.00")),
        ("weight_kg", json!(10_000.005), json!("10000.00")),
        ("weight_kg", json!("1.5e2"), json!("150.00")),
        ("weight_kg", json!(" +.5 "), json!("0.50")),
        ("weight_kg", json!("2."), json!("2.00")),
        // Half to even, on the digits as they are written.
        ("weight_kg", json!("0.125"), json!("0.12")),
        ("weight_kg", json!("0.135"), json!("0.14")),
        ("weight_kg", json!(1.005), json!("1.00")),
        (
            "weight_kg",
            json!("1.0050000000000000000001"),
            json!("1.01"),
        ),
        ("weight_kg", Value::Null, Value::Null),
        ("temperature_c", json!(-50), json!("-50.0")),
        ("temperature_c", json!("-50.05"), json!("-50.0")),
        ("temperature_c", json!(100.05), json!("100.0")),
        ("temperature_c", json!("-0.04"), json!("0.0")),
        ("lot_type", json!("FG"), json!("FG")),
        ("lot_type", Value::Null, Value::Null),
        ("metadata", Value::Null, json!({})),
        (
            "metadata",
            json!({ "a": null, "": [true, { "b": [] }] }),
            json!({ "a": null, "": [true, { "b": [] }] }),
        ),
        ("parents", Value::Null, Value::Null),
        ("production_run_id", Value::Null, Value::Null),
        (
            "operator_id",
            Value::Null,
            json!("00000000-0000-0000-0000-000000000003"),
        ),
        (
            "operator_id",
            json!("00000000000000000000000000000001"),
            json!("00000000-0000-0000-0000-000000000001"),
        ),
        (
            "phase_id",
            json!("00000000-0000-4000-A003-000000000004"),
            json!("00000000-0000-4000-a003-000000000004"),
        ),
        // What a client can't set.
        ("status", json!("RELEASED"), json!("PENDING")),
        ("nonsense", json!([{}]), Value::Null),
    ] {
        let made = manager.post("/api/lots", lot(field, value.clone())).await?;
        assert_eq!(made.is(201).body[field], stored, "{field} {value}");
        let fields: Vec<&String> = made.body.as_object().context("a lot")?.keys().collect();
        assert_eq!(
            fields,
            [
                "created_at",
                "id",
                "lot_code",
                "lot_type",
                "metadata",
                "operator_id",
                "phase_id",
                "production_run_id",
                "status",
                "temperature_c",
                "updated_at",
                "weight_kg",
            ]
        );
        // Version 7: the keys of new rows are in the order of time.
        assert_eq!(
            made.body["id"].as_str().and_then(|id| id.chars().nth(14)),
            Some('7')
        );
        for time in ["created_at", "updated_at"] {
            assert!(
                made.body[time]
                    .as_str()
                    .is_some_and(|time| time.ends_with('Z'))
            );
        }
    }

    for (field, value, fault) in [
        ("lot_code", Value::Null, "missing"),
        ("lot_code", json!(""), "string_too_short"),
        ("lot_code", json!("🥙".repeat(101)), "string_too_long"),
        ("lot_code", json!(7), "string_type"),
        ("weight_kg", json!("-0.0051"), "greater_than_equal"),
        ("weight_kg", json!(-0.01), "greater_than_equal"),
        ("weight_kg", json!("10000.0051"), "less_than_equal"),
        ("weight_kg", json!("1e99"), "decimal_range"),
        ("weight_kg", json!("1e100"), "decimal_range"),
        ("weight_kg", json!("Infinity"), "decimal_parsing"),
        ("weight_kg", json!("NaN"), "decimal_parsing"),
        ("weight_kg", json!(""), "decimal_parsing"),
        ("weight_kg", json!("."), "decimal_parsing"),
        ("weight_kg", json!("1 000"), "decimal_parsing"),
        ("weight_kg", json!(true), "decimal_parsing"),
        ("temperature_c", json!(-50.06), "greater_than_equal"),
        ("temperature_c", json!("100.051"), "less_than_equal"),
        ("lot_type", json!("raw"), "enum"),
        ("lot_type", json!(""), "enum"),
        ("lot_type", json!(["RAW"]), "string_type"),
        ("metadata", json!("{}"), "dict_type"),
        ("metadata", json!([]), "dict_type"),
        ("parents", json!({}), "list_type"),
        ("production_run_id", json!(NOWHERE), "unknown_reference"),
        (
            "production_run_id",
            json!("PRD-20260115-0001"),
            "uuid_parsing",
        ),
        ("phase_id", json!(NOWHERE), "unknown_reference"),
        ("operator_id", json!(NOWHERE), "unknown_reference"),
        ("operator_id", json!("me"), "uuid_parsing"),
    ] {
        let refused = manager.post("/api/lots", lot(field, value.clone())).await?;
        refused.is_problem(422, "validation");
        assert_eq!(
            refused.faults(),
            [format!("body.{field} {fault}")],
            "{value}"
        );
        assert_eq!(refused.body["errors"][0]["loc"], json!(["body", field]));
    }
    let taken = manager
        .post("/api/lots", json!({ "lot_code": "x" }))
        .await?;
    taken.is_problem(409, "lot-code-taken");
    // Codes are case-sensitive.
    manager
        .post("/api/lots", json!({ "lot_code": "X" }))
        .await?
        .is(201);
    Ok(())
}
