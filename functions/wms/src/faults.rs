//! What is wrong with a request's fields: where, why, and by which rule.

use crate::lot::METADATA_MAX;
use schemars::JsonSchema;
use serde::Serialize;
use std::fmt;

/// One step of the way to a faulty value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Step {
    Field(&'static str),
    Place(usize),
}

/// One fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Fault {
    loc: Vec<Step>,
    msg: String,
    r#type: &'static str,
}

const UNKNOWN_REFERENCE: &str = "unknown_reference";

/// The faults of a request, one for each place: the first one found there.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

// === impl Faults ===

impl Faults {
    /// Notes a fault at `loc`, unless one is known there already.
    pub fn add(&mut self, loc: Vec<Step>, kind: &'static str, msg: impl Into<String>) {
        if !self.0.iter().any(|fault| fault.loc == loc) {
            self.0.push(Fault {
                loc,
                msg: msg.into(),
                r#type: kind,
            });
        }
    }

    /// Notes a fault of a field of the body.
    pub fn body(&mut self, field: &'static str, kind: &'static str, msg: impl Into<String>) {
        self.add(vec![Step::Field("body"), Step::Field(field)], kind, msg);
    }

    /// Notes that a field of the body names something that doesn't exist, unless it does.
    pub fn reference(&mut self, known: bool, field: &'static str) {
        if !known {
            self.body(field, UNKNOWN_REFERENCE, "names nothing that exists");
        }
    }

    /// Notes that a field of a list's item names something that doesn't exist.
    pub fn item_reference(&mut self, list: &'static str, place: usize, field: &'static str) {
        let loc = vec![
            Step::Field("body"),
            Step::Field(list),
            Step::Place(place),
            Step::Field(field),
        ];
        self.add(loc, UNKNOWN_REFERENCE, "names nothing that exists");
    }

    /// Notes that a lot's metadata is too long, unless it fits. Only the database knows: `1e308` is five bytes here and 309 there.
    pub fn metadata(&mut self, fits: bool) {
        if !fits {
            let msg = format!(
                "must have at most {METADATA_MAX} as it is stored, its numbers written out"
            );
            self.body("metadata", "too_long", msg);
        }
    }

    /// Notes a fault of a query parameter.
    pub fn query(&mut self, name: &'static str, kind: &'static str, msg: impl Into<String>) {
        self.add(vec![Step::Field("query"), Step::Field(name)], kind, msg);
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_vec(self) -> Vec<Fault> {
        self.0
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.loc.iter().enumerate() {
            match step {
                Step::Field(name) if place == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Place(index) => write!(f, "[{index}]")?,
            }
        }
        write!(f, " {}", self.msg)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_first_fault_of_a_place() {
        let mut faults = Faults::default();
        faults.body("notes", "string_too_long", "first");
        faults.body("notes", "value_error", "second");
        faults.query("notes", "value_error", "elsewhere");
        let faults = faults.into_vec();
        assert_eq!(faults.len(), 2);
        assert_eq!(faults[0].to_string(), "body.notes first");
    }
}
