//! A QC gate: where in production a lot is judged.

use crate::names;
use crate::scalar::{LocalText, Temperature};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Number, Value};
use uuid::Uuid;

names! {
    /// BLOCKING: production doesn't go on without a PASS.
    pub enum GateType {
        Checkpoint = "CHECKPOINT",
        Blocking = "BLOCKING",
        Info = "INFO",
    }
}

/// What a temperature at the gate may be. A side without a limit is `null`.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    pub min_c: Option<Temperature>,
    pub max_c: Option<Temperature>,
}

/// A gate: `gate_json` of migration 11.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Gate {
    pub id: Uuid,
    pub scenario_id: Option<Uuid>,
    /// Not always whole: there is a gate 6.5.
    pub gate_number: Number,
    pub name: LocalText,
    pub gate_type: Option<GateType>,
    /// A critical control point: a decision here needs a temperature.
    pub is_ccp: bool,
    pub limits: Option<Limits>,
    pub checklist: Vec<Value>,
}
