//! A lot, as it leaves the API.

use crate::cursor::Cursor;
use crate::page::Listed;
use crate::{Problem, Row, names};
use serde::Serialize;
use serde_json::value::RawValue;

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

/// A lot. Mass in kg with two decimals, temperature in degC with one, times in RFC 3339 UTC.
#[derive(Debug, Serialize)]
pub struct Lot {
    pub id: String,
    pub lot_code: String,
    pub lot_type: Option<String>,
    pub production_run_id: Option<String>,
    pub phase_id: Option<String>,
    pub operator_id: Option<String>,
    pub weight_kg: Option<String>,
    pub temperature_c: Option<String>,
    pub metadata: Option<Box<RawValue>>,
    pub created_at: Option<String>,
    pub status: String,
    pub updated_at: Option<String>,
}

// === impl Lot ===

impl Lot {
    /// The lot of a row, if the row has one.
    pub fn of(row: &Row) -> Result<Option<Self>, Problem> {
        let Some(id) = row.maybe("id")? else {
            return Ok(None);
        };
        Ok(Some(Self {
            id,
            lot_code: row.text("lot_code")?,
            lot_type: row.maybe("lot_type")?,
            production_run_id: row.maybe("production_run_id")?,
            phase_id: row.maybe("phase_id")?,
            operator_id: row.maybe("operator_id")?,
            weight_kg: row.maybe("weight_kg")?,
            temperature_c: row.maybe("temperature_c")?,
            metadata: row
                .maybe("metadata")?
                .and_then(|metadata| RawValue::from_string(metadata).ok()),
            created_at: row.maybe("created_at")?,
            status: row.text("status")?,
            updated_at: row.maybe("updated_at")?,
        }))
    }
}

impl Listed for Lot {
    fn cursor(&self) -> Option<Cursor> {
        Cursor::new(self.created_at.as_deref()?, &self.id)
    }
}
