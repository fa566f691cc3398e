//! Where a page of a list ended: the time and the id of its last row. Opaque to clients.

use base64ct::{Base64UrlUnpadded as Base64, Encoding as _};
use chrono::{DateTime, SecondsFormat, Utc};
use uuid::Uuid;

/// A place in a list that is ordered by time and id, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    at: DateTime<Utc>,
    id: Uuid,
}

const TIME_BYTES: usize = 8;
const CURSOR_BYTES: usize = TIME_BYTES + 16;

// === impl Cursor ===

impl Cursor {
    /// The place of a row, by its time in RFC 3339 and its id.
    pub fn new(at: &str, id: Uuid) -> Option<Self> {
        let at = DateTime::parse_from_rfc3339(at).ok()?.with_timezone(&Utc);
        Some(Self { at, id })
    }

    pub fn encode(&self) -> String {
        let mut bytes = [0_u8; CURSOR_BYTES];
        let (time, id) = bytes.split_at_mut(TIME_BYTES);
        time.copy_from_slice(&self.at.timestamp_micros().to_be_bytes());
        id.copy_from_slice(self.id.as_bytes());
        Base64::encode_string(&bytes)
    }

    /// `None` for a text that is no cursor of ours.
    pub fn decode(text: &str) -> Option<Self> {
        let mut bytes = [0_u8; CURSOR_BYTES];
        if Base64::decode(text, &mut bytes).ok()?.len() != CURSOR_BYTES {
            return None;
        }
        let (time, id) = bytes.split_first_chunk()?;
        let at = DateTime::from_timestamp_micros(i64::from_be_bytes(*time))?;
        // What RFC 3339 can write, and so the database can read.
        let writable = DateTime::UNIX_EPOCH..DateTime::from_timestamp(253_402_300_800, 0)?;
        writable.contains(&at).then_some(Self {
            at,
            id: Uuid::from_slice(id).ok()?,
        })
    }

    /// The time, as the database reads it.
    pub fn at(&self) -> String {
        self.at.to_rfc3339_opts(SecondsFormat::Micros, true)
    }

    pub fn id(&self) -> Uuid {
        self.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keeps_microseconds() {
        let cursor = Cursor::new("2026-01-15T06:00:00.123456Z", Uuid::from_u128(1)).unwrap();
        let decoded = Cursor::decode(&cursor.encode()).unwrap();
        assert_eq!(decoded, cursor);
        assert_eq!(decoded.at(), "2026-01-15T06:00:00.123456Z");
    }

    #[test]
    fn refuses_what_it_did_not_write() {
        let far = Base64::encode_string(&[0x7f; CURSOR_BYTES]);
        let before_1970 = Base64::encode_string(&[0xff; CURSOR_BYTES]);
        for text in [
            "",
            "AAAA",
            "not a cursor",
            &"A".repeat(33),
            &"A".repeat(40),
            &far,
            &before_1970,
        ] {
            assert_eq!(Cursor::decode(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_it_encodes_it_decodes(micros in 0_i64..253_402_300_800_000_000, id: u128) {
            let cursor = Cursor { at: DateTime::from_timestamp_micros(micros).unwrap(), id: Uuid::from_u128(id) };
            prop_assert_eq!(Cursor::decode(&cursor.encode()), Some(cursor));
        }

        #[test]
        fn never_panics(text in ".{0,48}") {
            let _ = Cursor::decode(&text);
        }
    }
}
