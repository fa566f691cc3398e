//! Records a decision, if the gate's rules allow it.

use crate::decision::{Decision, Verdict};
use http::StatusCode;
use serde::Serialize;
use spin_sdk::http::Request;
use uuid::Uuid;
use wms::decimal::Celsius;
use wms::form::Submission;
use wms::{Caller, Form, Kind, Name as _, Outcome, Problem, Reply, Role, Row, metrics};

const ROLES: &[Role] = &[Role::Admin, Role::Manager, Role::Auditor, Role::Operator];

const NOTES_MAX_CHARS: usize = 1000;

/// Room for any signature; a page of decisions has to fit into a function's memory.
const SIGNATURE_MAX_CHARS: usize = 4096;

/// What a HOLD or a FAIL must say for itself.
const REASON_MIN_CHARS: usize = 10;

/// A decision to be, as the statement reads it.
#[derive(Debug, Default, Serialize)]
struct Draft {
    id: Uuid,
    lot_id: Option<Uuid>,
    qc_gate_id: Option<Uuid>,
    operator_id: Option<Uuid>,
    decision: Option<&'static str>,
    notes: Option<String>,
    temperature_c: Option<Celsius>,
    digital_signature: Option<String>,
}

pub async fn record(request: Request) -> Outcome {
    let caller = Caller::of(request.headers()).await?;
    let submission = Submission::read(request, |form| Draft::read(form, caller)).await;

    let operator = submission.draft.operator_id;
    let row = submission
        .write(include_str!("record.sql"), caller, ROLES, operator)
        .await?;
    let decision = settle(submission, &row)?;

    let gate_number = row.maybe("gate_number")?;
    let labels = [
        ("decision", &*decision.decision),
        ("gate_number", gate_number.as_deref().unwrap_or("none")),
    ];
    metrics::count("flowviz_qc_decisions_total", &labels, 1.0);
    Ok(Reply::json(StatusCode::CREATED, &decision))
}

/// The decision that was written, or why none was.
fn settle(mut submission: Submission<Draft>, row: &Row) -> Result<Decision, Problem> {
    if let Some(decision) = Decision::of(row)? {
        return Ok(decision);
    }
    let faults = &mut submission.faults;
    faults.reference(row.flag("operator_known")?, "operator_id");
    faults.reference(row.flag("lot_known")?, "lot_id");
    faults.reference(row.flag("gate_known")?, "qc_gate_id");
    if row.flag("temperature_missing")? {
        faults.body("temperature_c", "missing", "is required at a CCP gate");
    }
    submission.accept()?;

    let limits = match (row.maybe("min_c")?, row.maybe("max_c")?) {
        (Some(min), Some(max)) => format!("{min} to {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, max) => format!("at most {}", max.unwrap_or_default()),
    };
    Err(Kind::CcpLimitExceeded.because(format!(
        "The gate's limits are {limits} degrees Celsius. Only a manager can let the lot pass, with notes."
    )))
}

/// What notes say, without the blanks around it; `None` where they say nothing.
fn said(notes: &str) -> Option<String> {
    let blank = |c: char| {
        // The zero-width ones are no white space to Unicode, and yet nobody sees them.
        c.is_whitespace()
            || c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2060}' | '\u{feff}')
    };
    let said = notes.trim_matches(blank);
    (!said.is_empty()).then(|| said.to_owned())
}

// === impl Draft ===

impl Draft {
    fn read(form: &mut Form<'_>, caller: Caller) -> Self {
        let (lot_id, verdict) = (form.uuid("lot_id"), form.name::<Verdict>("decision"));
        let notes = form
            .text("notes", 0..=NOTES_MAX_CHARS)
            .and_then(|notes| said(&notes));
        let reason = notes.as_deref().unwrap_or_default();
        if matches!(verdict, Some(Verdict::Hold | Verdict::Fail))
            && reason.chars().count() < REASON_MIN_CHARS
        {
            let msg = format!(
                "must say why, in at least {REASON_MIN_CHARS} characters, for HOLD and FAIL"
            );
            form.fault("notes", "value_error", msg);
        }
        Self {
            id: Uuid::now_v7(),
            lot_id: form.required("lot_id", lot_id),
            qc_gate_id: form.uuid("qc_gate_id"),
            operator_id: form.uuid("operator_id").or(Some(caller.id)),
            decision: form.required("decision", verdict).map(Verdict::as_str),
            notes,
            temperature_c: form.decimal("temperature_c", Celsius::whole(-50)..=Celsius::whole(100)),
            digital_signature: form.text("digital_signature", 0..=SIGNATURE_MAX_CHARS),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wms::Faults;

    fn is_sound(rest: &str) -> bool {
        let body = format!(r#"{{"lot_id":"00000000-0000-0000-0000-000000000000",{rest}}}"#);
        let mut faults = Faults::default();
        Draft::read(
            &mut Form::over(body.as_bytes(), &mut faults).unwrap(),
            Caller { id: Uuid::nil() },
        );
        faults.is_empty()
    }

    #[test]
    fn a_hold_or_a_fail_gives_its_reason() {
        assert!(is_sound(r#""decision":"PASS""#));
        for decision in ["HOLD", "FAIL"] {
            assert!(!is_sound(&format!(r#""decision":"{decision}""#)));
            assert!(!is_sound(&format!(
                r#""decision":"{decision}","notes":"  123456789  ""#
            )));
            assert!(is_sound(&format!(
                r#""decision":"{decision}","notes":" 1234567890 ""#
            )));
            assert!(is_sound(&format!(
                r#""decision":"{decision}","notes":"túl meleg!""#
            )));
        }
    }

    #[test]
    fn blanks_of_all_kinds_say_nothing() {
        for blank in [
            "",
            " ",
            "\t\n",
            "\u{a0}",
            "\u{3000}\u{2003}",
            "\u{200b}\u{feff}",
        ] {
            assert_eq!(said(blank), None, "{blank:?}");
        }
        assert_eq!(
            said("\u{a0}door was open\n").as_deref(),
            Some("door was open")
        );
        assert!(!is_sound(
            r#""decision":"HOLD","notes":"123456789\u00a0\u00a0\u2003""#
        ));
    }

    #[test]
    fn a_signature_has_an_end() {
        let signed = |length| {
            is_sound(&format!(
                r#""decision":"PASS","digital_signature":"{}""#,
                "s".repeat(length)
            ))
        };
        assert!(signed(SIGNATURE_MAX_CHARS) && !signed(SIGNATURE_MAX_CHARS + 1));
    }

    #[test]
    fn notes_have_an_end() {
        assert!(is_sound(&format!(
            r#""decision":"PASS","notes":"{}""#,
            "ő".repeat(1000)
        )));
        assert!(!is_sound(&format!(
            r#""decision":"PASS","notes":"{}""#,
            "ő".repeat(1001)
        )));
    }

    #[test]
    fn decisions_are_case_sensitive() {
        assert!(!is_sound(r#""decision":"pass""#));
        assert!(!is_sound(r#""decision":null"#));
    }
}
