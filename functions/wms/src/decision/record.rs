//! Records a decision, if the gate's rules allow it.

use super::{Decision, Verdict};
use crate::decimal::Celsius;
use crate::lot::register::TEMPERATURE;
use crate::write::{Facts, Write, Written};
use crate::{Caller, Database, Faults, Form, Kind, Name as _, Problem, Role, Submission, metrics};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

const NOTES_MAX_CHARS: usize = 1000;

/// Room for any signature; a page of decisions has to fit into a function's memory.
const SIGNATURE_MAX_CHARS: usize = 4096;

/// What a HOLD or a FAIL must say for itself.
const REASON_MIN_CHARS: usize = 10;

pub const RECORD: Write = Write {
    route: "POST /api/qc-decisions",
    roles: &[Role::Admin, Role::Manager, Role::Auditor, Role::Operator],
    statement: include_str!("record.sql"),
};

/// A decision to be, as the statement reads it.
#[derive(Debug, Default, Serialize)]
pub struct Draft {
    id: Uuid,
    lot_id: Option<Uuid>,
    /// The lot's `client_id`, for a lot that a device registered.
    lot_client_id: Option<Uuid>,
    qc_gate_id: Option<Uuid>,
    pub operator_id: Option<Uuid>,
    decision: Option<&'static str>,
    notes: Option<String>,
    temperature_c: Option<Celsius>,
    digital_signature: Option<String>,
    /// When it was taken, if that was before now: a device had no network.
    pub recorded_at: Option<String>,
}

/// What the statement found.
#[derive(Debug, Deserialize)]
pub struct Found {
    operator_known: bool,
    lot_known: bool,
    gate_known: bool,
    temperature_missing: bool,
    gate_number: Option<String>,
    overridden: bool,
    min_c: Option<String>,
    max_c: Option<String>,
}

/// Records the decision of a submission, and counts it.
pub async fn record(
    database: &Database,
    caller: Caller,
    submission: Submission<Draft>,
) -> Result<Written<Decision, Found>, Problem> {
    let operator = submission.draft.operator_id;
    let written: Written<Decision, Found> = RECORD
        .run_on(database, caller, submission, operator)
        .await?;
    if let Some(found) = &written.facts {
        let gate = (
            "gate_number",
            found.gate_number.as_deref().unwrap_or("none"),
        );
        let decision = ("decision", written.document.decision.as_str());
        metrics::count("flowviz_qc_decisions_total", &[decision, gate], 1.0);
        if found.overridden {
            metrics::count("flowviz_ccp_overrides_total", &[gate], 1.0);
        }
    }
    Ok(written)
}

// === impl Found ===

impl Facts<Draft> for Found {
    fn find_faults(&self, draft: &Draft, faults: &mut Faults) {
        faults.reference(self.operator_known, "operator_id");
        let by_client_id = draft.lot_client_id.is_some();
        faults.reference(
            self.lot_known,
            if by_client_id {
                "lot_client_id"
            } else {
                "lot_id"
            },
        );
        faults.reference(self.gate_known, "qc_gate_id");
        if self.temperature_missing {
            faults.body("temperature_c", "missing", "is required at a CCP gate");
        }
    }

    fn conflict(self, _: Draft) -> Problem {
        let limits = match (self.min_c, self.max_c) {
            (Some(min), Some(max)) => format!("{min} to {max}"),
            (Some(min), None) => format!("at least {min}"),
            (None, max) => format!("at most {}", max.unwrap_or_default()),
        };
        Kind::CcpLimitExceeded.because(format!(
            "The gate's limits are {limits} degrees Celsius. Only a manager can let the lot pass, with notes."
        ))
    }
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
    pub fn read(form: &mut Form<'_>, caller: Caller) -> Self {
        let lot_id = form.uuid("lot_id");
        let lot_id = form.required("lot_id", lot_id);
        Self {
            lot_id,
            ..Self::read_rest(form, caller)
        }
    }

    /// Of a device, which may know the lot by an id of its own only.
    pub fn read_offline(form: &mut Form<'_>, caller: Caller) -> Self {
        let lot_client_id = form.uuid("lot_client_id");
        let lot_id = form.uuid("lot_id");
        match (lot_id, lot_client_id) {
            (None, None) => form.fault("lot_id", "missing", "or `lot_client_id` is required"),
            (Some(_), Some(_)) => form.fault(
                "lot_client_id",
                "value_error",
                "is given besides `lot_id`: one of them is enough",
            ),
            _ => {}
        }
        Self {
            lot_id,
            lot_client_id,
            ..Self::read_rest(form, caller)
        }
    }

    fn read_rest(form: &mut Form<'_>, caller: Caller) -> Self {
        let verdict = form.name::<Verdict>("decision");
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
            lot_id: None,
            lot_client_id: None,
            qc_gate_id: form.uuid("qc_gate_id"),
            operator_id: form.uuid("operator_id").or(Some(caller.id)),
            decision: form.required("decision", verdict).map(Verdict::as_str),
            notes,
            temperature_c: form.decimal("temperature_c", TEMPERATURE),
            digital_signature: form.text("digital_signature", 0..=SIGNATURE_MAX_CHARS),
            recorded_at: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
