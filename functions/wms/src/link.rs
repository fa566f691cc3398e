//! A link of two lots: how much of the one went into the other.

use crate::cursor::Cursor;
use crate::page::Listed;
use crate::scalar::{Mass, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A link: `link_json` of migration 11.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Link {
    pub id: Uuid,
    pub parent_lot_id: Option<Uuid>,
    pub child_lot_id: Option<Uuid>,
    pub quantity_used_kg: Option<Mass>,
    pub linked_at: Timestamp,
}

impl Listed for Link {
    fn cursor(&self) -> Option<Cursor> {
        Cursor::new(self.linked_at.as_str(), self.id)
    }
}
