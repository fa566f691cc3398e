//! What can be wrong with the trail, and where.

use std::fmt;

use serde::Serialize;

use super::chain::Link;
use super::event::Event;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "fault")]
pub enum Fault {
    /// The link of this number is missing.
    Gap,
    /// The link's number was there already, or comes before 1.
    Order,
    /// The link doesn't follow the one before.
    PrevHash,
    /// The event is not what was hashed.
    Hash,
    /// The link's event is gone.
    NoEvent,
    /// The event has no link.
    NoLink,
    /// There are more links or events than the chain has.
    Strays { links: i64, events: i64 },
    /// The chain is shorter than it was.
    Short { at_least: i64 },
    /// The noted head is not in the chain.
    NotedGone,
}

/// A fault, and the event that it was found at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Broken {
    #[serde(flatten)]
    pub fault: Fault,
    pub seq: Option<i64>,
    pub event: Option<Box<Event>>,
    /// In words.
    pub detail: String,
}

// === impl Broken ===

impl Broken {
    pub fn link(fault: Fault, seq: i64, link: Link) -> Self {
        // Of an event that is gone, its link knows the id.
        let event = link.event.unwrap_or(Event {
            id: link.event_id,
            ..Event::default()
        });
        Self::event(fault, Some(seq), event)
    }

    pub fn event(fault: Fault, seq: Option<i64>, event: Event) -> Self {
        Self {
            fault,
            seq,
            event: Some(Box::new(event)),
            detail: fault.to_string(),
        }
    }

    /// No event has it.
    pub fn nothing(fault: Fault) -> Self {
        Self {
            fault,
            seq: None,
            event: None,
            detail: fault.to_string(),
        }
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            fault,
            seq,
            event,
            detail,
        } = self;
        match seq {
            Some(seq) => write!(f, "broken at seq {seq}")?,
            None => f.write_str("broken")?,
        }
        match event {
            // The one behind the gap.
            Some(event) if *fault == Fault::Gap => write!(f, " (next is {event})")?,
            Some(event) => write!(f, " ({event})")?,
            None => {}
        }
        write!(f, ": {detail}")
    }
}

// === impl Fault ===

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gap => f.write_str("this link and its event are missing: they were removed"),
            Self::Order => f.write_str("a link with a number that is taken: it was slipped in"),
            Self::PrevHash => f.write_str(
                "its prev_hash is not the hash of the event before: this link was changed, or the event before with its hash, or what \
                 lay between them was removed",
            ),
            Self::Hash => f.write_str(
                "the event is not what was hashed: it was changed, or its hash was, or the link is another event's",
            ),
            Self::NoEvent => f.write_str("the link's event is missing: it was removed"),
            Self::NoLink => f.write_str(
                "the event has no link: it was slipped in past the chain, or its link was removed",
            ),
            Self::Strays { links, events } => write!(
                f,
                "besides the chain there is more: {links} links and {events} events in all"
            ),
            Self::Short { at_least } => write!(
                f,
                "the chain had {at_least} events at least: its end was cut off"
            ),
            Self::NotedGone => f.write_str(
                "the expected head is not in the chain: its end was cut off, or it was made anew",
            ),
        }
    }
}
