//! An event of the trail, and the text that its hash is made of.

use std::fmt;

use chrono::DateTime;
use serde::Serialize;
use serde_json::value::RawValue;

use super::canonical::{NotCanonical, canonical};

/// A row of `audit_events`. Nothing is taken for granted: whoever changed it may have dropped a NOT NULL as well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Event {
    pub id: String,
    /// RFC 3339 in UTC, to the microsecond.
    pub at: Option<String>,
    pub actor_id: Option<String>,
    pub actor_role: Option<String>,
    pub action: Option<String>,
    pub entity: Option<String>,
    pub entity_id: Option<String>,
    /// JSON, as text: no digit of a number is lost. Not for a report: it may be long, and private.
    #[serde(skip)]
    pub before: Option<String>,
    #[serde(skip)]
    pub after: Option<String>,
    pub request_id: Option<String>,
}

/// What is hashed: the event with all its fields.
#[derive(Serialize)]
struct Hashed<'a> {
    #[serde(flatten)]
    event: &'a Event,
    before: Option<&'a RawValue>,
    after: Option<&'a RawValue>,
}

/// A time as the events have it, from PostgreSQL's seconds since 1970. What is no such time stays as it is, and won't fit its hash.
pub fn rfc3339(epoch: &str) -> String {
    let time = microseconds(epoch).and_then(DateTime::from_timestamp_micros);
    match time {
        Some(time) => time.format("%Y-%m-%dT%H:%M:%S%.6fZ").to_string(),
        None => epoch.to_owned(),
    }
}

fn microseconds(epoch: &str) -> Option<i64> {
    let (negative, magnitude) = match epoch.strip_prefix('-') {
        Some(magnitude) => (true, magnitude),
        None => (false, epoch),
    };
    let (seconds, fraction) = magnitude.split_once('.').unwrap_or((magnitude, ""));
    if fraction.len() > 6 {
        return None;
    }
    let digits = format!("{seconds}{fraction:0<6}");
    let microseconds: i64 = digits.parse().ok()?;
    Some(if negative {
        -microseconds
    } else {
        microseconds
    })
}

// === impl Event ===

impl Event {
    /// The canonical JSON of the event.
    pub fn canonical(&self) -> Result<String, NotCanonical> {
        let hashed = Hashed {
            event: self,
            before: document(self.before.as_deref())?,
            after: document(self.after.as_deref())?,
        };
        canonical(&serde_json::to_string(&hashed).map_err(|_| NotCanonical)?)
    }
}

fn document(text: Option<&str>) -> Result<Option<&RawValue>, NotCanonical> {
    text.map(serde_json::from_str)
        .transpose()
        .map_err(|_| NotCanonical)
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let told = |field: &Option<String>| field.clone().unwrap_or_else(|| "?".to_owned());
        write!(
            f,
            "event {}, at {}, {} of {} {}",
            self.id,
            told(&self.at),
            told(&self.action),
            told(&self.entity),
            told(&self.entity_id)
        )
    }
}
