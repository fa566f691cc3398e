//! A production run.

use crate::cursor::Cursor;
use crate::names;
use crate::page::Listed;
use crate::scalar::{Mass, Object, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use uuid::Uuid;

names! {
    /// There is no way back from COMPLETED or CANCELLED.
    pub enum RunStatus {
        Active = "ACTIVE",
        Completed = "COMPLETED",
        Cancelled = "CANCELLED",
    }
}

/// What a run came to, written at its end.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Summary {
    pub duration_minutes: i64,
    pub total_lots: i64,
    /// The weight of all the run's lots, of every type.
    pub total_kg: Mass,
    /// Every type is there, at 0 where the run made none.
    pub lots_by_type: BTreeMap<String, i64>,
    pub qc_pass: i64,
    pub qc_hold: i64,
    pub qc_fail: i64,
    /// `null` if the run took no time.
    pub kg_per_hour: Option<Mass>,
}

/// A run: `run_json` of migration 11.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Run {
    pub id: Uuid,
    pub run_code: String,
    pub scenario_id: Option<Uuid>,
    pub operator_id: Option<Uuid>,
    pub status: RunStatus,
    pub daily_target_kg: Option<Mass>,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// Of a completed run. As it was written: an older backend may have left something else here, which is still to be shown.
    #[schemars(with = "Option<Summary>")]
    pub summary: Option<Object>,
}

impl Listed for Run {
    fn cursor(&self) -> Option<Cursor> {
        Cursor::new(self.started_at.as_str(), self.id)
    }
}
