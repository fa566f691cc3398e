//! Decisions, newest first, by any of the filters together.

use spin_sdk::pg::ParameterValue;
use wms::database::maybe;
use wms::decision::Verdict;
use wms::url::Query;
use wms::{Faults, List, Name as _, Role};

/// Gates are numbered with at most one decimal today (6.5); two more don't hurt.
const GATE_NUMBER_SCALE: u32 = 3;

pub const LIST: List = List {
    roles: Role::ALL,
    statement: include_str!("list.sql"),
    column: "decision",
};

pub fn filters(query: &Query<'_>, faults: &mut Faults) -> Vec<ParameterValue> {
    let lot_id = query.uuid("lot_id", faults);
    let decision = query.name::<Verdict>("decision", faults);
    vec![
        maybe(lot_id),
        maybe(decision.map(Verdict::as_str)),
        maybe(query.decimal::<GATE_NUMBER_SCALE>("gate_number", faults)),
    ]
}
