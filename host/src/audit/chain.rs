//! The chain itself: which hash may follow which.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use super::event::Event;
use super::fault::{Broken, Fault};

/// SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hash([u8; 32]);

/// Not 64 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a hash has 64 hexadecimal digits")]
pub struct NotAHash;

/// A row of `audit_chain` and its event.
#[derive(Clone, Debug)]
pub struct Link {
    pub seq: i64,
    pub event_id: String,
    pub prev_hash: Vec<u8>,
    pub hash: Vec<u8>,
    pub event: Option<Event>,
}

/// The chain up to a link that holds.
#[derive(Clone, Debug)]
pub struct Chain {
    events: i64,
    head: Hash,
    /// A hash that was noted, until it is met.
    missed: Option<Hash>,
}

// === impl Hash ===

impl Hash {
    /// What the first event follows.
    pub const ZERO: Self = Self([0; 32]);

    /// The hash of an event, by its canonical JSON.
    pub fn follow(self, content: &str) -> Self {
        let hash = Sha256::new()
            .chain_update(self.0)
            .chain_update(content)
            .finalize();
        Self(hash.into())
    }

    fn is(self, bytes: &[u8]) -> bool {
        self.0 == bytes
    }
}

impl FromStr for Hash {
    type Err = NotAHash;

    fn from_str(text: &str) -> Result<Self, NotAHash> {
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NotAHash);
        }
        let mut hash = [0; 32];
        for (place, byte) in hash.iter_mut().enumerate() {
            let digits = text.get(place * 2..place * 2 + 2).ok_or(NotAHash)?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| NotAHash)?;
        }
        Ok(Self(hash))
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

// === impl Chain ===

impl Chain {
    /// Before the first event. A `noted` hash has to come sooner or later.
    pub fn new(noted: Option<Hash>) -> Self {
        Self {
            events: 0,
            head: Hash::ZERO,
            missed: noted.filter(|noted| *noted != Hash::ZERO),
        }
    }

    /// How many events hold, which is also the last one's number.
    pub fn events(&self) -> i64 {
        self.events
    }

    /// The last hash that holds.
    pub fn head(&self) -> Hash {
        self.head
    }

    /// Whether the noted hash has come, or none was noted.
    pub fn has_noted(&self) -> bool {
        self.missed.is_none()
    }

    /// Takes the next link, if it holds.
    pub fn follow(&mut self, link: Link) -> Result<(), Broken> {
        let next = self.events + 1;
        if link.seq != next {
            let (fault, seq) = if link.seq > next {
                (Fault::Gap, next)
            } else {
                (Fault::Order, link.seq)
            };
            return Err(Broken::link(fault, seq, link));
        }
        if !self.head.is(&link.prev_hash) {
            return Err(Broken::link(Fault::PrevHash, next, link));
        }
        let Some(event) = &link.event else {
            return Err(Broken::link(Fault::NoEvent, next, link));
        };
        // What has no canonical text can't have been hashed.
        let hash = event.canonical().map(|content| self.head.follow(&content));
        match hash {
            Ok(hash) if hash.is(&link.hash) => {
                self.events = next;
                self.head = hash;
                self.missed = self.missed.filter(|noted| *noted != hash);
                Ok(())
            }
            _ => Err(Broken::link(Fault::Hash, next, link)),
        }
    }
}
