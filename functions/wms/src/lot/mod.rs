//! A lot, as it leaves the API.

pub mod register;

use crate::cursor::Cursor;
use crate::database::maybe;
use crate::page::Listed;
use crate::scalar::{Mass, Object, Temperature, Timestamp};
use crate::{Kind, Problem, names, url};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use spin_sdk::pg::ParameterValue;
use uuid::Uuid;

/// What the database's `metadata_fits` allows (migration 3): with it a page of lots fits into a function's memory.
pub const METADATA_MAX: &str = "16 KiB";

names! {
    /// What a lot is, in the order of production.
    pub enum LotType {
        Raw = "RAW",
        Deb = "DEB",
        Bulk = "BULK",
        Mix = "MIX",
        Skw = "SKW",
        Frz = "FRZ",
        Fg = "FG",
    }
}

names! {
    /// Where a lot stands, by the newest decision of each gate.
    pub enum LotStatus {
        Pending = "PENDING",
        Released = "RELEASED",
        OnHold = "ON_HOLD",
        Rejected = "REJECTED",
    }
}

/// A lot: `lot_json` of migration 11.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Lot {
    pub id: Uuid,
    pub lot_code: String,
    pub lot_type: Option<LotType>,
    pub production_run_id: Option<Uuid>,
    pub phase_id: Option<Uuid>,
    pub operator_id: Option<Uuid>,
    pub weight_kg: Option<Mass>,
    pub temperature_c: Option<Temperature>,
    pub metadata: Object,
    pub created_at: Timestamp,
    pub status: LotStatus,
    pub updated_at: Timestamp,
}

/// A lot as a path names it: by its id or by its code. A segment that can be an id may be a code as well.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Named {
    id: Option<Uuid>,
    code: Option<String>,
}

// === impl Named ===

impl Named {
    /// The lot of `/api/lots/:id`, and of what is below it. A segment that no lot could be called by names none: who asks is found
    /// out first, 401 comes before 404.
    pub fn of(path: &str) -> Self {
        let code = url::segment_after(path, "lots");
        Self {
            id: code.as_deref().and_then(|code| Uuid::try_parse(code).ok()),
            code,
        }
    }

    /// The id and the code, for a statement that looks for both.
    pub fn parameters(&self) -> [ParameterValue; 2] {
        [maybe(self.id), maybe(self.code.as_deref())]
    }

    pub fn not_found() -> Problem {
        Kind::LotNotFound.because("No lot has this id or code.")
    }
}

// === impl Lot ===

impl Lot {
    /// Changes whenever the lot does.
    pub fn etag(&self) -> String {
        format!("\"{}\"", self.updated_at.as_str())
    }
}

impl Listed for Lot {
    fn cursor(&self) -> Option<Cursor> {
        Cursor::new(self.created_at.as_str(), self.id)
    }
}
