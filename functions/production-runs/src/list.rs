//! Runs, newest first.

use spin_sdk::pg::ParameterValue;
use wms::database::maybe;
use wms::run::RunStatus;
use wms::url::Query;
use wms::{Faults, List, Name as _, Role};

pub const LIST: List = List {
    roles: Role::ALL,
    statement: include_str!("list.sql"),
    column: "run",
};

pub fn filters(query: &Query<'_>, faults: &mut Faults) -> Vec<ParameterValue> {
    let status = query.name::<RunStatus>("status", faults);
    vec![maybe(status.map(RunStatus::as_str))]
}
