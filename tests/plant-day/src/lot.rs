//! A lot of the plan, with all that is decided about it.

use std::fmt;
use std::time::Duration;

use crate::kinds::{Gate, LotType, Status, Verdict};
use crate::units::{Celsius, Kilograms};

/// A lot. Times count from the beginning of the first day's shift.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lot {
    /// Its place in the plan: parents come before their children.
    pub number: u64,
    pub code: String,
    pub lot_type: LotType,
    pub weight: Kilograms,
    pub temperature: Celsius,
    /// What is scanned with it: supplier, recipe, SKU.
    pub metadata: Vec<(&'static str, String)>,
    pub at: Duration,
    pub parents: Vec<Parent>,
    /// In their order.
    pub decisions: Vec<Decision>,
}

/// What goes into a lot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parent {
    pub number: u64,
    pub code: String,
    pub quantity: Kilograms,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub gate: Gate,
    pub verdict: Verdict,
    /// Always there for HOLD and FAIL.
    pub notes: Option<&'static str>,
    pub temperature: Option<Celsius>,
    pub at: Duration,
}

// === impl Lot ===

impl Lot {
    /// What the server makes of its decisions: the newest of each gate counts.
    pub fn status(&self) -> Status {
        let newest = |gate: Gate| self.decisions.iter().rev().find(|d| d.gate == gate);
        let is_any = |verdict: Verdict| {
            self.decisions
                .iter()
                .filter_map(|decision| newest(decision.gate))
                .any(|decision| decision.verdict == verdict)
        };
        if is_any(Verdict::Fail) {
            Status::Rejected
        } else if is_any(Verdict::Hold) {
            Status::OnHold
        } else if is_any(Verdict::Pass) {
            Status::Released
        } else {
            Status::Pending
        }
    }

    /// When all is decided about it.
    pub fn settled_at(&self) -> Duration {
        self.decisions.last().map_or(self.at, |last| last.at)
    }

    /// The metadata as a JSON object.
    pub fn metadata_json(&self) -> serde_json::Value {
        let pairs = self.metadata.iter();
        pairs
            .map(|(name, value)| ((*name).to_owned(), value.as_str().into()))
            .collect::<serde_json::Map<_, _>>()
            .into()
    }
}

/// All that the plan says of it, in one line.
impl fmt::Display for Lot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            number,
            code,
            lot_type,
            weight,
            temperature,
            metadata,
            at,
            parents,
            decisions,
        } = self;
        write!(
            f,
            "{number} {code} {} {weight} {temperature} {}",
            lot_type.as_str(),
            at.as_secs()
        )?;
        for (name, value) in metadata {
            write!(f, " {name}={value}")?;
        }
        for Parent {
            number,
            code,
            quantity,
        } in parents
        {
            write!(f, " <{number} {code} {quantity}")?;
        }
        for Decision {
            gate,
            verdict,
            notes,
            temperature,
            at,
        } in decisions
        {
            let (verdict, notes) = (verdict.as_str(), notes.unwrap_or_default());
            write!(
                f,
                " {verdict}@{gate:?} {temperature:?} {} {notes}",
                at.as_secs()
            )?;
        }
        Ok(())
    }
}
