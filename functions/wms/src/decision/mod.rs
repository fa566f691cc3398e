//! A decision, as it leaves the API.

pub mod record;

use crate::cursor::Cursor;
use crate::names;
use crate::page::Listed;
use crate::scalar::{Temperature, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

names! {
    /// What was decided.
    pub enum Verdict {
        Pass = "PASS",
        Hold = "HOLD",
        Fail = "FAIL",
    }
}

/// A decision: `decision_json` of migration 11.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Decision {
    pub id: Uuid,
    pub lot_id: Option<Uuid>,
    pub qc_gate_id: Option<Uuid>,
    pub operator_id: Option<Uuid>,
    pub decision: Verdict,
    pub notes: Option<String>,
    pub temperature_c: Option<Temperature>,
    pub digital_signature: Option<String>,
    pub decided_at: Timestamp,
}

impl Listed for Decision {
    fn cursor(&self) -> Option<Cursor> {
        Cursor::new(self.decided_at.as_str(), self.id)
    }
}
