//! Which statements a connection knows by a name, so that the server needn't parse and plan them again.
//!
//! A named statement belongs to one session of the server's. That is what a connection straight to PostgreSQL is, and what PgBouncer
//! makes a connection through it look like from 1.21 on, if its `max_prepared_statements` isn't 0. Through any other pooler a name
//! would be unknown, or somebody else's, as soon as the pooler lends another session.

use std::collections::HashMap;

use super::message::Parameter;

/// Names that one connection keeps. Functions have a statement or two each; one that writes values into its texts gains nothing, and
/// must not fill the server's memory.
const MAX_NAMES: usize = 128;

/// A process' number is never larger on Linux. PgBouncer's stand-in for it is any number of 32 bits.
const MAX_PROCESS: i32 = 1 << 22;

/// How statements are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StatementMode {
    /// With a name where the server is known to keep it.
    #[default]
    Auto,
    /// Without a name: works through everything.
    Unnamed,
    /// With a name: PgBouncer from 1.21 on, with `max_prepared_statements` above 0, or no pooler.
    Named,
}

/// The names of one connection.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// By the statement's text.
    known: HashMap<Box<str>, Vec<Name>>,
    count: usize,
    /// Counts up: a name is never used for a second statement.
    last: u64,
    uses: u64,
}

#[derive(Debug)]
struct Name {
    /// The types that the parameters were given: with others it is another statement.
    types: Box<[u32]>,
    number: u64,
    used: u64,
}

/// How to send a statement.
#[derive(Debug, Default)]
pub(super) struct Plan {
    /// Empty: it has none.
    pub name: String,
    /// It has to be parsed; with a name, it is known by it from then on.
    pub parse: bool,
    /// Another's name, to be closed first.
    pub close: Option<String>,
    new: Option<Name>,
}

// === impl StatementMode ===

impl StatementMode {
    /// Whether to ask the server about its process, given what it calls itself for cancellations.
    pub fn may_be_direct(self, process: i32) -> bool {
        self == Self::Auto && (1..=MAX_PROCESS).contains(&process)
    }
}

// === impl Names ===

impl Names {
    pub fn plan(&mut self, text: &str, parameters: &[Parameter]) -> Plan {
        self.uses += 1;
        let types = || parameters.iter().map(|parameter| parameter.type_oid);
        let names = self.known.get_mut(text).into_iter().flatten();
        let known = names
            .into_iter()
            .find(|name| types().eq(name.types.iter().copied()));
        if let Some(name) = known {
            name.used = self.uses;
            return Plan {
                name: shown(name.number),
                ..Plan::default()
            };
        }
        self.last += 1;
        Plan {
            name: shown(self.last),
            parse: true,
            close: self.make_room(),
            new: Some(Name {
                types: types().collect(),
                number: self.last,
                used: self.uses,
            }),
        }
    }

    /// The server has parsed it.
    pub fn parsed(&mut self, text: &str, plan: &mut Plan) {
        if let Some(name) = plan.new.take() {
            self.known.entry(text.into()).or_default().push(name);
            self.count += 1;
        }
    }

    /// The server doesn't know it, or can't use it any more.
    pub fn forget(&mut self, text: &str) {
        let forgotten = self.known.remove(text);
        self.count -= forgotten.map_or(0, |names| names.len());
    }

    /// The name that was unused for longest, if it has to go.
    fn make_room(&mut self) -> Option<String> {
        if self.count < MAX_NAMES {
            return None;
        }
        let oldest = self
            .known
            .values()
            .flatten()
            .min_by_key(|name| name.used)?
            .number;
        self.known.retain(|_, names| {
            names.retain(|name| name.number != oldest);
            !names.is_empty()
        });
        self.count -= 1;
        Some(shown(oldest))
    }
}

// === impl Plan ===

impl Plan {
    /// Parsed, and forgotten at once.
    pub fn unnamed() -> Self {
        Self {
            parse: true,
            ..Self::default()
        }
    }
}

fn shown(number: u64) -> String {
    format!("flowviz{number}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::database::Format;

    fn typed(type_oid: u32) -> [Parameter; 1] {
        [Parameter {
            type_oid,
            format: Format::Binary,
            value: None,
        }]
    }

    #[test]
    fn a_statement_is_parsed_once_for_each_set_of_types() {
        let mut names = Names::default();
        let mut first = names.plan("SELECT $1", &typed(23));
        assert!(first.parse);
        // Nothing says yet that the server has it.
        assert!(names.plan("SELECT $1", &typed(23)).parse);
        names.parsed("SELECT $1", &mut first);
        let second = names.plan("SELECT $1", &typed(23));
        assert_eq!((second.name, second.parse), (first.name, false));
        assert!(names.plan("SELECT $1", &typed(25)).parse);
        names.forget("SELECT $1");
        assert!(names.plan("SELECT $1", &typed(23)).parse);
    }

    #[test]
    fn the_one_unused_for_longest_makes_room() {
        let mut names = Names::default();
        for number in 0..MAX_NAMES {
            let text = number.to_string();
            let mut plan = names.plan(&text, &[]);
            assert_eq!(plan.close, None);
            names.parsed(&text, &mut plan);
        }
        let oldest = names.plan("1", &[]).name;
        let second = names.plan("0", &[]).name;
        assert_ne!(oldest, second);
        let mut plan = names.plan("new", &[]);
        assert_eq!(plan.close, Some("flowviz3".to_owned()));
        names.parsed("new", &mut plan);
        assert!(names.plan("2", &[]).parse);
        assert!(!names.plan("0", &[]).parse);
    }

    #[test]
    fn a_poolers_number_is_hardly_ever_a_process() {
        assert!(StatementMode::Auto.may_be_direct(1234));
        for process in [-5, 0, MAX_PROCESS + 1, i32::MAX] {
            assert!(!StatementMode::Auto.may_be_direct(process));
        }
        assert!(!StatementMode::Unnamed.may_be_direct(1234));
    }
}
