//! A plan as steps that clients take: each says after which others it may be taken.

use std::sync::Arc;
use std::time::Duration;

use crate::lot::{Decision, Lot};

/// Names a step: a lot, and which of its steps it is. 0 registers the lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StepId {
    pub lot: u64,
    pub nth: u32,
}

/// Something that an operator does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub id: StepId,
    /// These must have been done. They come earlier in the list.
    pub after: Vec<StepId>,
    /// From the beginning of the first shift.
    pub at: Duration,
    pub lot: Arc<Lot>,
    pub action: Action,
}

/// What is done with the step's lot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Its parents are registered with it.
    Register,
    Decide(Decision),
    /// Its inputs and outputs are looked up.
    Trace,
}

// === impl Step ===

impl Step {
    /// A day's steps in the order of time. A lot comes after the last decision about each of its parents, so that none is used
    /// while it is held or failed; a decision comes after the one before, since the newest counts.
    pub(crate) fn of_day(lots: Vec<Lot>) -> Vec<Self> {
        let mut decided = std::collections::BTreeMap::new();
        let mut steps = Vec::new();
        for lot in lots {
            let lot = Arc::new(lot);
            decided.insert(lot.number, lot.decisions.len() as u32);
            let last = |number: u64| StepId {
                lot: number,
                nth: decided.get(&number).copied().unwrap_or_default(),
            };
            let mut id = StepId {
                lot: lot.number,
                nth: 0,
            };
            steps.push(Self {
                id,
                after: lot
                    .parents
                    .iter()
                    .map(|parent| last(parent.number))
                    .collect(),
                at: lot.at,
                lot: Arc::clone(&lot),
                action: Action::Register,
            });
            for decision in &lot.decisions {
                let after = vec![id];
                id.nth += 1;
                steps.push(Self {
                    id,
                    after,
                    at: decision.at,
                    lot: Arc::clone(&lot),
                    action: Action::Decide(decision.clone()),
                });
            }
        }
        // Stable, and what depends on another step is later than it or as late and behind it.
        steps.sort_by_key(|step| step.at);
        steps
    }
}
