//! A plant's day out of a seed number: lots in a tree from raw material to finished goods, the decisions about them, and the reads
//! of operators. The same numbers give the same day on every machine.
//!
//! [`Plan`] says what happens, without doing it:
//! - [`Plan::lots`]: the lots, parents before their children, each with its decisions;
//! - [`Plan::steps`]: all of it as a list of [`Step`]s, each with the steps that it has to wait for;
//! - [`Plan::mix`]: the operators' mix of requests, 10 : 5 : 1, for load.
//!
//! [`drive::drive`] takes steps with many hands, [`http::run`] takes them over HTTP, and [`bulk::load`] loads the same lots
//! straight into PostgreSQL.

pub mod bulk;
mod chain;
mod charge;
pub mod cli;
mod codes;
mod dice;
pub mod drive;
pub mod http;
mod kinds;
mod lot;
mod mix;
mod overview;
mod plan;
pub mod progress;
mod quality;
pub mod shapes;
mod step;
#[cfg(test)]
mod tests;
mod units;

pub use kinds::{FREEZE_MAX, Gate, LotType, SCENARIO, Status, Verdict};
pub use lot::{Decision, Lot, Parent};
pub use overview::Overview;
pub use plan::{Day, LOTS_PER_DAY, Plan, SHIFT, SHIFT_BEGINS_AT};
pub use step::{Action, Step, StepId};
pub use units::{Celsius, Kilograms};
