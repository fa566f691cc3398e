//! Registers a lot and links its parents, in one statement: all of it or nothing.

use super::{Lot, LotType};
use crate::decimal::{Celsius, Kilograms};
use crate::scalar::Object;
use crate::write::{Facts, Write, Written};
use crate::{Caller, Database, Faults, Form, Kind, Name as _, Problem, Role, Submission, metrics};
use serde::{Deserialize, Serialize};
use std::ops::RangeInclusive;
use uuid::Uuid;

/// More inputs than any batch has; each costs a lookup and a lock.
const PARENTS_MAX: usize = 500;

/// What a lot may weigh.
pub const WEIGHT: RangeInclusive<Kilograms> = Kilograms::whole(0)..=Kilograms::whole(10_000);

/// What may be measured of a lot, in degC.
pub const TEMPERATURE: RangeInclusive<Celsius> = Celsius::whole(-50)..=Celsius::whole(100);

/// How much of a lot may go into another.
pub const QUANTITY: RangeInclusive<Kilograms> = Kilograms::STEP..=Kilograms::whole(10_000);

pub const REGISTER: Write = Write {
    route: "POST /api/lots",
    roles: &[Role::Admin, Role::Manager, Role::Operator],
    statement: include_str!("register.sql"),
};

/// A lot to be, as the statement reads it.
#[derive(Debug, Default, Serialize)]
pub struct Draft {
    id: Uuid,
    lot_code: Option<String>,
    lot_type: Option<&'static str>,
    production_run_id: Option<Uuid>,
    phase_id: Option<Uuid>,
    pub operator_id: Option<Uuid>,
    weight_kg: Option<Kilograms>,
    temperature_c: Option<Celsius>,
    metadata: Object,
    parents: Vec<Parent>,
    /// When it was made, if that was before now: a device had no network.
    pub recorded_at: Option<String>,
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

/// What the statement found.
#[derive(Debug, Deserialize)]
pub struct Found {
    operator_known: bool,
    run_known: bool,
    run_active: bool,
    phase_known: bool,
    metadata_fits: bool,
    parents_unknown: Vec<usize>,
    run_code: Option<String>,
}

/// Registers the lot of a submission, and counts it.
pub async fn register(
    database: &Database,
    caller: Caller,
    submission: Submission<Draft>,
) -> Result<Written<Lot, Found>, Problem> {
    let operator = submission.draft.operator_id;
    let written: Written<Lot, Found> = REGISTER
        .run_on(database, caller, submission, operator)
        .await?;
    if let Some(found) = &written.facts {
        count(&written.document, found);
    }
    Ok(written)
}

fn count(lot: &Lot, found: &Found) {
    let lot_type = lot.lot_type.map_or("none", LotType::as_str);
    let labels = [
        ("lot_type", lot_type),
        (
            "production_run",
            found.run_code.as_deref().unwrap_or("none"),
        ),
    ];
    metrics::count("flowviz_lots_registered_total", &labels, 1.0);
    let weight = lot
        .weight_kg
        .as_ref()
        .and_then(|weight| weight.as_str().parse().ok());
    if let Some(weight) = weight {
        metrics::count(
            "flowviz_lots_registered_kg_total",
            &[("lot_type", lot_type)],
            weight,
        );
    }
}

// === impl Found ===

impl Facts<Draft> for Found {
    fn find_faults(&self, draft: &Draft, faults: &mut Faults) {
        faults.reference(self.operator_known, "operator_id");
        faults.reference(self.run_known, "production_run_id");
        faults.reference(self.phase_known, "phase_id");
        faults.metadata(self.metadata_fits);
        for place in &self.parents_unknown {
            let by_id = draft
                .parents
                .iter()
                .any(|parent| parent.place == *place && parent.lot_id.is_some());
            faults.item_reference("parents", *place, if by_id { "lot_id" } else { "lot_code" });
        }
    }

    fn conflict(self, draft: Draft) -> Problem {
        if self.run_active {
            let lot_code = draft.lot_code.unwrap_or_default();
            Kind::LotCodeTaken.because(format!("Another lot has the code {lot_code}."))
        } else {
            Kind::RunNotActive.because("The production run is not active; it takes no more lots.")
        }
    }
}

// === impl Draft ===

impl Draft {
    pub fn read(form: &mut Form<'_>, caller: Caller) -> Self {
        let lot_code = form.text("lot_code", 1..=100);
        Self {
            id: Uuid::now_v7(),
            lot_code: form.required("lot_code", lot_code),
            lot_type: form.name::<LotType>("lot_type").map(LotType::as_str),
            production_run_id: form.uuid("production_run_id"),
            phase_id: form.uuid("phase_id"),
            operator_id: form.uuid("operator_id").or(Some(caller.id)),
            weight_kg: form.decimal("weight_kg", WEIGHT),
            temperature_c: form.decimal("temperature_c", TEMPERATURE),
            metadata: form.object("metadata").unwrap_or_default(),
            parents: form.list("parents", PARENTS_MAX, Parent::read),
            recorded_at: None,
        }
    }
}

// === impl Parent ===

impl Parent {
    /// A parent whose quantity is faulty is still looked up, so that a wrong reference is told with it.
    fn read(place: usize, form: &mut Form<'_>) -> Option<Self> {
        let quantity_used_kg = form.decimal("quantity_used_kg", QUANTITY);
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
