//! Lots, newest first, by any of the filters together.

use spin_sdk::pg::ParameterValue;
use wms::database::maybe;
use wms::lot::{LotStatus, LotType};
use wms::url::Query;
use wms::{Faults, List, Name as _, Role};

pub const LIST: List = List {
    roles: Role::ALL,
    statement: include_str!("list.sql"),
    column: "lot",
};

pub fn filters(query: &Query<'_>, faults: &mut Faults) -> Vec<ParameterValue> {
    let lot_type = query.name::<LotType>("lot_type", faults);
    let production_run_id = query.uuid("production_run_id", faults);
    let status = query.name::<LotStatus>("status", faults);
    vec![
        maybe(lot_type.map(LotType::as_str)),
        maybe(production_run_id),
        maybe(status.map(LotStatus::as_str)),
        maybe(query.text("code_prefix", faults)),
        maybe(query.time("created_from", faults)),
        maybe(query.time("created_to", faults)),
    ]
}
