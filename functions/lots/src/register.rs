//! Registers a lot and links its parents, in one statement: all of it or nothing.

use http::StatusCode;
use http::header::LOCATION;
use serde::Serialize;
use serde_json::value::RawValue;
use spin_sdk::http::Request;
use uuid::Uuid;
use wms::decimal::{Celsius, Kilograms};
use wms::form::Submission;
use wms::lot::{Lot, LotType};
use wms::{Caller, Form, Kind, Name as _, Outcome, Problem, Reply, Role, Row, metrics};

const ROLES: &[Role] = &[Role::Admin, Role::Manager, Role::Operator];

/// More inputs than any batch has; each costs a lookup and a lock.
const PARENTS_MAX: usize = 500;

/// What the database's `metadata_fits` allows (migration 3): with it a page of lots fits into a function's memory.
const METADATA_MAX: &str = "16 KiB";

/// A lot to be, as the statement reads it.
#[derive(Debug, Default, Serialize)]
struct Draft {
    id: Uuid,
    lot_code: Option<String>,
    lot_type: Option<&'static str>,
    production_run_id: Option<Uuid>,
    phase_id: Option<Uuid>,
    operator_id: Option<Uuid>,
    weight_kg: Option<Kilograms>,
    temperature_c: Option<Celsius>,
    metadata: Option<Box<RawValue>>,
    parents: Vec<Parent>,
}

/// A lot that goes into the new one, by id or by code.
#[derive(Debug, Serialize)]
struct Parent {
    place: usize,
    link_id: Uuid,
    lot_id: Option<Uuid>,
    lot_code: Option<String>,
    quantity_used_kg: Option<Kilograms>,
}

pub async fn register(request: Request) -> Outcome {
    let caller = Caller::of(request.headers()).await?;
    let submission = Submission::read(request, |form| Draft::read(form, caller)).await;

    let operator = submission.draft.operator_id;
    let row = submission
        .write(include_str!("register.sql"), caller, ROLES, operator)
        .await?;
    let lot = settle(submission, &row)?;

    count(&lot, row.maybe("run_code")?.as_deref());
    Ok(Reply::json(StatusCode::CREATED, &lot).header(LOCATION, &format!("/api/lots/{}", lot.id)))
}

/// The lot that was written, or why none was.
fn settle(mut submission: Submission<Draft>, row: &Row) -> Result<Lot, Problem> {
    if let Some(lot) = Lot::of(row)? {
        return Ok(lot);
    }
    let faults = &mut submission.faults;
    faults.reference(row.flag("operator_known")?, "operator_id");
    faults.reference(row.flag("run_known")?, "production_run_id");
    faults.reference(row.flag("phase_known")?, "phase_id");
    // Only the database knows: `1e308` is five bytes here and 309 there.
    if !row.flag("metadata_fits")? {
        faults.body(
            "metadata",
            "too_long",
            format!("must have at most {METADATA_MAX} as it is stored, its numbers written out"),
        );
    }
    let unknown = row.maybe("parents_unknown")?.unwrap_or_default();
    for place in unknown.split(',').filter_map(|place| place.parse().ok()) {
        let by_id = submission
            .draft
            .parents
            .iter()
            .any(|parent| parent.place == place && parent.lot_id.is_some());
        faults.item_reference("parents", place, if by_id { "lot_id" } else { "lot_code" });
    }

    let draft = submission.accept()?;
    Err(if row.flag("run_active")? {
        let lot_code = draft.lot_code.unwrap_or_default();
        Kind::LotCodeTaken.because(format!("Another lot has the code {lot_code}."))
    } else {
        Kind::RunNotActive.because("The production run is not active; it takes no more lots.")
    })
}

fn count(lot: &Lot, run_code: Option<&str>) {
    let lot_type = lot.lot_type.as_deref().unwrap_or("none");
    let labels = [
        ("lot_type", lot_type),
        ("production_run", run_code.unwrap_or("none")),
    ];
    metrics::count("flowviz_lots_registered_total", &labels, 1.0);
    if let Some(weight) = lot
        .weight_kg
        .as_ref()
        .and_then(|weight| weight.parse().ok())
    {
        metrics::count(
            "flowviz_lots_registered_kg_total",
            &[("lot_type", lot_type)],
            weight,
        );
    }
}

// === impl Draft ===

impl Draft {
    fn read(form: &mut Form<'_>, caller: Caller) -> Self {
        let lot_code = form.text("lot_code", 1..=100);
        Self {
            id: Uuid::now_v7(),
            lot_code: form.required("lot_code", lot_code),
            lot_type: form.name::<LotType>("lot_type").map(LotType::as_str),
            production_run_id: form.uuid("production_run_id"),
            phase_id: form.uuid("phase_id"),
            operator_id: form.uuid("operator_id").or(Some(caller.id)),
            weight_kg: form.decimal("weight_kg", Kilograms::whole(0)..=Kilograms::whole(10_000)),
            temperature_c: form.decimal("temperature_c", Celsius::whole(-50)..=Celsius::whole(100)),
            metadata: form
                .object("metadata")
                .or_else(|| RawValue::from_string("{}".to_owned()).ok()),
            parents: form.list("parents", PARENTS_MAX, Parent::read),
        }
    }
}

// === impl Parent ===

impl Parent {
    /// A parent whose quantity is faulty is still looked up, so that a wrong reference is told with it.
    fn read(place: usize, form: &mut Form<'_>) -> Option<Self> {
        let quantity_used_kg = form.decimal(
            "quantity_used_kg",
            Kilograms::STEP..=Kilograms::whole(10_000),
        );
        form.required("quantity_used_kg", quantity_used_kg);
        let (lot_id, lot_code) = (form.uuid("lot_id"), form.text("lot_code", 1..=100));
        match (&lot_id, &lot_code) {
            (None, None) => form.fault("lot_id", "missing", "or `lot_code` is required"),
            (Some(_), Some(_)) => form.fault(
                "lot_code",
                "value_error",
                "is given besides `lot_id`: one of them is enough",
            ),
            _ => {
                return Some(Self {
                    place,
                    link_id: Uuid::now_v7(),
                    lot_id,
                    lot_code,
                    quantity_used_kg,
                });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wms::Faults;

    const CALLER: Caller = Caller { id: Uuid::nil() };

    fn read(body: &str) -> (Draft, bool) {
        let mut faults = Faults::default();
        let draft = Draft::read(
            &mut Form::over(body.as_bytes(), &mut faults).unwrap(),
            CALLER,
        );
        (draft, faults.is_empty())
    }

    #[test]
    fn only_a_code_is_required_and_the_caller_signs() {
        let (draft, sound) = read(r#"{"lot_code":"RAW-1","unknown":1}"#);
        assert!(sound);
        assert_eq!(draft.operator_id, Some(CALLER.id));
        let sent = serde_json::to_value(&draft).unwrap();
        assert_eq!(
            (&sent["metadata"], &sent["weight_kg"]),
            (&serde_json::json!({}), &serde_json::Value::Null)
        );
    }

    #[test]
    fn numbers_go_to_the_statement_as_texts() {
        let (draft, _) =
            read(r#"{"lot_code":"RAW-1","weight_kg":100.5,"temperature_c":"4","lot_type":"RAW"}"#);
        let sent = serde_json::to_value(&draft).unwrap();
        assert_eq!(
            (&sent["weight_kg"], &sent["temperature_c"]),
            (&"100.50".into(), &"4.0".into())
        );
    }

    #[test]
    fn a_parent_is_named_once_and_used_up_a_little_at_least() {
        let parents =
            |parents: &str| read(&format!(r#"{{"lot_code":"MIX-1","parents":{parents}}}"#));
        assert!(parents(r#"[{"lot_code":"RAW-1","quantity_used_kg":0.01}]"#).1);
        assert!(parents("null").1);
        for faulty in [
            r#"[{"lot_code":"RAW-1"}]"#,
            r#"[{"lot_code":"RAW-1","quantity_used_kg":0.001}]"#,
            r#"[{"quantity_used_kg":1}]"#,
            r#"[{"lot_code":"RAW-1","lot_id":"00000000-0000-0000-0000-000000000000","quantity_used_kg":1}]"#,
            r#"{"lot_code":"RAW-1","quantity_used_kg":1}"#,
        ] {
            assert!(!parents(faulty).1, "{faulty}");
        }
    }
}
