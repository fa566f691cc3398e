//! Path segments and query strings, percent-decoded.
//!
//! Taken from the URI itself, not from a host's headers: hosts differ in whether theirs are decoded.

use crate::Faults;
use crate::decimal::Decimal;
use crate::sketch::Sketch;
use chrono::{DateTime, Datelike as _, SecondsFormat, Utc};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::cell::RefCell;
use std::ops::RangeInclusive;
use uuid::Uuid;

/// RFC 3339 writes the years from 0 to 9999, and the database has no year 0.
const YEARS: RangeInclusive<i32> = 1..=9999;

/// What a time must be, for whoever gave another.
pub const TIME_RULE: &str =
    "must be an RFC 3339 time of the years 1 to 9999 in UTC, such as 2026-01-15T06:00:00Z";

/// An RFC 3339 time that the database knows under the same name.
pub fn parse_time(text: &str) -> Option<DateTime<Utc>> {
    DateTime::parse_from_rfc3339(text)
        .ok()
        // A leap second becomes the second after it, as the database would have it; with a fraction it would have none.
        .and_then(|time| DateTime::<Utc>::from_timestamp_micros(time.timestamp_micros()))
        .filter(|time| YEARS.contains(&time.year()))
}

/// A time as the database reads it.
pub fn write_time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// The segment of a path that follows `before`: of `/api/lots/X/parents`, X follows `lots`. `None` if it isn't there, or is no
/// text that a database could hold.
pub fn segment_after(path: &str, before: &str) -> Option<String> {
    let mut segments = path.split('/').skip_while(|segment| *segment != before);
    let text = String::from_utf8(decode(segments.nth(1)?.as_bytes())).ok()?;
    (!text.is_empty() && !text.contains('\0')).then_some(text)
}

/// The last segment of a path, if it is a text that a database could hold.
pub fn last_segment(path: &str) -> Option<String> {
    let segment = path.rsplit('/').next()?;
    let text = String::from_utf8(decode(segment.as_bytes())).ok()?;
    (!text.is_empty() && !text.contains('\0')).then_some(text)
}

/// The parameters of a query string.
#[derive(Debug)]
pub struct Query<'a> {
    pairs: Vec<(String, String)>,
    raw: &'a str,
    /// Where the rules of the parameters are noted, if that is what is asked.
    sketch: Option<RefCell<Sketch>>,
}

fn decode(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, tail) {
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    decoded.push(high << 4 | low);
                    rest = after;
                }
                _ => decoded.push(byte),
            },
            _ => decoded.push(byte),
        }
    }
    decoded
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

fn decode_parameter(text: &str) -> String {
    let spaced: Cow<'_, str> = if text.contains('+') {
        text.replace('+', " ").into()
    } else {
        text.into()
    };
    String::from_utf8_lossy(&decode(spaced.as_bytes())).into_owned()
}

fn split(raw: &str) -> impl Iterator<Item = (&str, &str)> {
    raw.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

// === impl Query ===

impl<'a> Query<'a> {
    pub fn of(raw: Option<&'a str>) -> Self {
        let raw = raw.unwrap_or_default();
        let pairs = split(raw)
            .map(|(name, value)| (decode_parameter(name), decode_parameter(value)))
            .collect();
        Self {
            pairs,
            raw,
            sketch: None,
        }
    }

    /// The rules that `read` reads a query by.
    pub fn describe<T>(read: impl FnOnce(&Query<'_>, &mut Faults) -> T) -> Sketch {
        let query = Query {
            sketch: Some(RefCell::default()),
            ..Query::of(None)
        };
        read(&query, &mut Faults::default());
        query.sketch.map(RefCell::into_inner).unwrap_or_default()
    }

    fn note(&self, name: &'static str, schema: impl FnOnce() -> Value) {
        if let Some(sketch) = &self.sketch {
            sketch.borrow_mut().field(name, schema());
        }
    }

    /// The parameter's value; of a repeated one the last. An empty value is a value: `?lot_id=` is a slip, and not a wish for all lots.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.pairs.iter().rev().find(|(given, _)| given == name)?;
        Some(value.as_str())
    }

    /// A text without NUL, which the database couldn't hold.
    pub fn text(&self, name: &'static str, faults: &mut Faults) -> Option<&str> {
        self.note(name, || json!({ "type": "string" }));
        let value = self.get(name)?;
        if value.contains('\0') {
            faults.query(name, "value_error", "holds a NUL character");
            return None;
        }
        Some(value)
    }

    pub fn uuid(&self, name: &'static str, faults: &mut Faults) -> Option<Uuid> {
        self.note(name, || json!({ "type": "string", "format": "uuid" }));
        let uuid = Uuid::try_parse(self.get(name)?).ok();
        if uuid.is_none() {
            faults.query(name, "uuid_parsing", "must be a UUID");
        }
        uuid
    }

    /// One of a closed set of names.
    pub fn name<N: crate::Name>(&self, name: &'static str, faults: &mut Faults) -> Option<N> {
        self.note(name, || json!({ "type": "string", "enum": N::texts() }));
        let parsed = N::parse(self.get(name)?);
        if parsed.is_none() {
            faults.query(
                name,
                "enum",
                format!("must be one of {}", N::join(N::ALL, ", ")),
            );
        }
        parsed
    }

    pub fn decimal<const SCALE: u32>(
        &self,
        name: &'static str,
        faults: &mut Faults,
    ) -> Option<Decimal<SCALE>> {
        self.note(name, || json!({ "type": "number" }));
        let number = Decimal::parse(self.get(name)?).ok();
        if number.is_none() {
            faults.query(name, "decimal_parsing", "must be a number");
        }
        number
    }

    /// A whole number within bounds.
    pub fn integer(
        &self,
        name: &'static str,
        bounds: RangeInclusive<usize>,
        faults: &mut Faults,
    ) -> Option<usize> {
        self.note(
            name,
            || json!({ "type": "integer", "minimum": bounds.start(), "maximum": bounds.end() }),
        );
        let number = self.get(name)?.parse().ok();
        let number = number.filter(|number| bounds.contains(number));
        if number.is_none() {
            let msg = format!(
                "must be a whole number from {} to {}",
                bounds.start(),
                bounds.end()
            );
            faults.query(name, "value_error", msg);
        }
        number
    }

    /// A point in time, RFC 3339, as text in UTC. Years that the database doesn't know under these names are faults.
    pub fn time(&self, name: &'static str, faults: &mut Faults) -> Option<String> {
        self.note(name, || json!({ "type": "string", "format": "date-time" }));
        let time = parse_time(self.get(name)?);
        if time.is_none() {
            faults.query(name, "datetime_parsing", TIME_RULE);
        }
        time.map(write_time)
    }

    /// The query string as it was sent, with another value of `name`, which needs no encoding.
    pub fn with(&self, name: &str, value: &str) -> String {
        let mut query = String::new();
        for pair in self.raw.split('&').filter(|pair| !pair.is_empty()) {
            if decode_parameter(pair.split_once('=').map_or(pair, |(given, _)| given)) != name {
                query.push_str(pair);
                query.push('&');
            }
        }
        query + name + "=" + value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_segment_may_hold_any_character() {
        assert_eq!(
            last_segment("/api/lots/RAW%2FBEEF%20%231").as_deref(),
            Some("RAW/BEEF #1")
        );
        assert_eq!(last_segment("/api/lots/h%C5%91").as_deref(), Some("hő"));
        assert_eq!(last_segment("/api/lots/100%").as_deref(), Some("100%"));
        assert_eq!(last_segment("/api/lots/a+b").as_deref(), Some("a+b"));
        assert_eq!(last_segment("/api/lots/%zz%4").as_deref(), Some("%zz%4"));
        assert_eq!(last_segment("/api/lots/a%00b"), None);
        assert_eq!(last_segment("/api/lots/%ff"), None);
        assert_eq!(last_segment("/api/lots/"), None);
    }

    #[test]
    fn finds_a_segment_by_the_one_before_it() {
        let path = "/api/lots/RAW%2F1/parents";
        assert_eq!(segment_after(path, "lots").as_deref(), Some("RAW/1"));
        assert_eq!(segment_after(path, "parents"), None);
        assert_eq!(segment_after("/api/lots//parents", "lots"), None);
        // A lot that is called as the segment before it.
        assert_eq!(
            segment_after("/api/lots/lots/parents", "lots").as_deref(),
            Some("lots")
        );
    }

    #[test]
    fn reads_parameters() {
        let query = Query::of(Some("a=1&b=x+y%26z&a=2&empty=&c"));
        assert_eq!(query.get("a"), Some("2"));
        assert_eq!(query.get("b"), Some("x y&z"));
        assert_eq!(
            (query.get("empty"), query.get("c"), query.get("d")),
            (Some(""), Some(""), None)
        );
    }

    #[test]
    fn replaces_one_parameter_and_keeps_the_others_as_sent() {
        let query = Query::of(Some(
            "cursor=old&lot_type=RAW&code_prefix=%2F&cur%73or=older",
        ));
        assert_eq!(
            query.with("cursor", "new"),
            "lot_type=RAW&code_prefix=%2F&cursor=new"
        );
        assert_eq!(Query::of(None).with("cursor", "new"), "cursor=new");
    }

    #[test]
    fn a_time_is_turned_into_utc() {
        let mut faults = Faults::default();
        let query = Query::of(Some("t=2026-01-15T06:00:00%2B01:00&bad=yesterday"));
        assert_eq!(
            query.time("t", &mut faults).as_deref(),
            Some("2026-01-15T05:00:00.000000Z")
        );
        assert!(faults.is_empty());
        assert_eq!(query.time("bad", &mut faults), None);
        assert!(!faults.is_empty());
    }

    #[test]
    fn a_time_that_the_database_would_refuse_is_a_fault() {
        let time = |text: &str| {
            let mut faults = Faults::default();
            let query = format!("t={text}");
            let time = Query::of(Some(&query)).time("t", &mut faults);
            assert_eq!(time.is_none(), !faults.is_empty(), "{text}");
            time
        };
        for text in [
            "0000-01-01T00:00:00Z",
            "0001-01-01T00:00:00%2B01:00",
            "9999-12-31T23:59:59-12:00",
        ] {
            assert_eq!(time(text), None, "{text}");
        }
        assert_eq!(time("9999-12-31T23:59:60Z"), None);
        for text in ["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"] {
            assert!(time(text).is_some(), "{text}");
        }
        assert_eq!(
            time("2026-06-30T23:59:60.5Z").as_deref(),
            Some("2026-07-01T00:00:00.500000Z")
        );
    }

    proptest! {
        #[test]
        fn what_is_encoded_comes_back(text in "[^\0]{1,40}") {
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02X}")).collect();
            prop_assert_eq!(last_segment(&format!("/api/lots/{encoded}")), Some(text));
        }
    }
}
