//! A decision, as it leaves the API.

use serde::Serialize;
use wms::cursor::Cursor;
use wms::page::Listed;
use wms::{Problem, Row, names};

names! {
    /// What was decided.
    pub enum Verdict {
        Pass = "PASS",
        Hold = "HOLD",
        Fail = "FAIL",
    }
}

/// A decision. Temperature in degC with one decimal, time in RFC 3339 UTC.
#[derive(Debug, Serialize)]
pub struct Decision {
    pub id: String,
    pub lot_id: Option<String>,
    pub qc_gate_id: Option<String>,
    pub operator_id: Option<String>,
    pub decision: String,
    pub notes: Option<String>,
    pub temperature_c: Option<String>,
    pub digital_signature: Option<String>,
    pub decided_at: Option<String>,
}

// === impl Decision ===

impl Decision {
    /// The decision of a row, if the row has one.
    pub fn of(row: &Row) -> Result<Option<Self>, Problem> {
        let Some(id) = row.maybe("id")? else {
            return Ok(None);
        };
        Ok(Some(Self {
            id,
            lot_id: row.maybe("lot_id")?,
            qc_gate_id: row.maybe("qc_gate_id")?,
            operator_id: row.maybe("operator_id")?,
            decision: row.text("decision")?,
            notes: row.maybe("notes")?,
            temperature_c: row.maybe("temperature_c")?,
            digital_signature: row.maybe("digital_signature")?,
            decided_at: row.maybe("decided_at")?,
        }))
    }
}

impl Listed for Decision {
    fn cursor(&self) -> Option<Cursor> {
        Cursor::new(self.decided_at.as_deref()?, &self.id)
    }
}
