//! What a plan makes, in figures.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::plan::Plan;

/// A plan's figures.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Overview {
    pub lots: u64,
    pub links: u64,
    pub decisions: u64,
    pub by_type: BTreeMap<&'static str, u64>,
    pub by_decision: BTreeMap<&'static str, u64>,
    pub by_status: BTreeMap<&'static str, u64>,
    /// Two plans with the same one are the same.
    pub digest: String,
}

// === impl Overview ===

impl Overview {
    pub fn of(plan: &Plan) -> Self {
        let mut overview = Self {
            lots: 0,
            links: 0,
            decisions: 0,
            by_type: BTreeMap::new(),
            by_decision: BTreeMap::new(),
            by_status: BTreeMap::new(),
            digest: plan.digest(),
        };
        for lot in plan.lots() {
            overview.lots += 1;
            overview.links += lot.parents.len() as u64;
            overview.decisions += lot.decisions.len() as u64;
            *overview.by_type.entry(lot.lot_type.as_str()).or_default() += 1;
            *overview.by_status.entry(lot.status().as_str()).or_default() += 1;
            for decision in &lot.decisions {
                *overview
                    .by_decision
                    .entry(decision.verdict.as_str())
                    .or_default() += 1;
            }
        }
        overview
    }
}

impl fmt::Display for Overview {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |counts: &BTreeMap<&str, u64>| {
            let pairs = counts.iter().map(|(name, count)| format!("{name} {count}"));
            pairs.collect::<Vec<_>>().join(", ")
        };
        writeln!(f, "{} lots: {}", self.lots, list(&self.by_type))?;
        writeln!(f, "{} links", self.links)?;
        writeln!(
            f,
            "{} decisions: {}",
            self.decisions,
            list(&self.by_decision)
        )?;
        writeln!(f, "in the end {}", list(&self.by_status))?;
        write!(f, "sha256 {}", self.digest)
    }
}
