//! Canonical JSON, RFC 8785: one text for each document, whoever writes it. What the audit chain hashes.
//!
//! Migration 12 has the same rules in SQL, and a test holds the two against each other: neither is made from the other. Works on JSON
//! as text, since a number that went through a float could lose digits.

mod number;

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// Far beyond the 64 levels of the API; it keeps a document from exhausting our stack.
const DEPTH_MAX: usize = 512;

/// The text is no JSON, or more than we read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotCanonical;

/// The canonical text of a document.
pub fn canonical(document: &str) -> Result<String, NotCanonical> {
    let mut text = String::with_capacity(document.len());
    write(parsed(document)?, DEPTH_MAX, &mut text)?;
    Ok(text)
}

fn write(value: &RawValue, depth: usize, text: &mut String) -> Result<(), NotCanonical> {
    let depth = depth.checked_sub(1).ok_or(NotCanonical)?;
    let raw = value.get();
    match raw.as_bytes().first() {
        Some(b'{') => {
            let members: BTreeMap<String, &RawValue> = parsed(raw)?;
            let mut members = Vec::from_iter(members);
            // Not by code points: beyond U+FFFF the two orders differ.
            members.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
            text.push('{');
            for (place, (key, value)) in members.into_iter().enumerate() {
                separate(place, text);
                string(&key, text)?;
                text.push(':');
                write(value, depth, text)?;
            }
            text.push('}');
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = parsed(raw)?;
            text.push('[');
            for (place, item) in items.into_iter().enumerate() {
                separate(place, text);
                write(item, depth, text)?;
            }
            text.push(']');
        }
        Some(b'"') => string(&parsed::<String>(raw)?, text)?,
        Some(b't' | b'f' | b'n') => text.push_str(raw),
        _ => text.push_str(&number::canonical(raw).ok_or(NotCanonical)?),
    }
    Ok(())
}

fn separate(place: usize, text: &mut String) {
    if place > 0 {
        text.push(',');
    }
}

/// serde_json escapes what RFC 8785 does, in the same way: quotation marks, backslashes, and what lies below U+0020.
fn string(value: &str, text: &mut String) -> Result<(), NotCanonical> {
    text.push_str(&serde_json::to_string(value).map_err(|_| NotCanonical)?);
    Ok(())
}

fn parsed<'a, T: serde::Deserialize<'a>>(text: &'a str) -> Result<T, NotCanonical> {
    serde_json::from_str(text).map_err(|_| NotCanonical)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::Value;

    /// JSON with numbers that a double holds, which `Value` keeps.
    fn documents() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(|number| Value::from(number >> 11)),
            prop::num::f64::NORMAL.prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 64, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map(".{0,4}", inner, 0..6).prop_map(Value::from_iter),
            ]
        })
    }

    /// As JSON sees it: 1.0 is 1. serde_json reads a double to its last but one bit; that each is kept is `number`'s test.
    fn equal(one: &Value, other: &Value) -> bool {
        match (one, other) {
            (Value::Number(one), Value::Number(other)) => {
                let (one, other) = (one.as_f64().unwrap(), other.as_f64().unwrap());
                (one - other).abs() <= one.abs() * 1e-15
            }
            (Value::Array(one), Value::Array(other)) => {
                one.len() == other.len()
                    && one.iter().zip(other).all(|(one, other)| equal(one, other))
            }
            (Value::Object(one), Value::Object(other)) => {
                one.len() == other.len()
                    && one
                        .iter()
                        .all(|(key, value)| other.get(key).is_some_and(|other| equal(value, other)))
            }
            _ => one == other,
        }
    }

    fn keys(document: &str) -> Vec<String> {
        let members: Vec<String> = document
            .trim_matches(['{', '}'])
            .split(',')
            .map(|member| member.split(':').next().unwrap().to_owned())
            .collect();
        members
            .iter()
            .map(|key| serde_json::from_str(key).unwrap())
            .collect()
    }

    #[test]
    fn writes_the_examples_of_the_rfc() {
        let document = "{\n  \"numbers\": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001],\n  \
            \"string\": \"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\",\n  \"literals\": [null, true, false]\n}";
        // 333333333.33333329 is not what a double's text comes to, so it stays: our extension.
        assert_eq!(
            canonical(document).unwrap(),
            "{\"literals\":[null,true,false],\"numbers\":[333333333.33333329,1e+30,4.5,0.002,1e-27],\
             \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}"
        );
        let sorting =
            r#"{"\u20ac":1,"\r":2,"\ufb33":3,"1":4,"\ud83d\ude00":5,"\u0080":6,"\u00f6":7}"#;
        assert_eq!(
            canonical(sorting).unwrap(),
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}"
        );
    }

    #[test]
    fn what_is_no_json_has_no_canonical_text() {
        for text in ["", "{", "[1,]", "{\"a\":01}", "nul", "1 2", "+1", "NaN"] {
            assert_eq!(canonical(text), Err(NotCanonical), "{text}");
        }
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(
            canonical(&nested(DEPTH_MAX)).as_deref(),
            Ok(&*nested(DEPTH_MAX))
        );
        assert_eq!(canonical(&nested(DEPTH_MAX + 1)), Err(NotCanonical));
    }

    proptest! {
        #[test]
        fn says_the_same_and_says_it_once(document in documents()) {
            let once = canonical(&document.to_string()).unwrap();
            let spread = canonical(&serde_json::to_string_pretty(&document).unwrap()).unwrap();
            prop_assert_eq!(&canonical(&once).unwrap(), &once);
            prop_assert_eq!(&spread, &once);
            prop_assert!(equal(&serde_json::from_str(&once).unwrap(), &document), "{once}");
        }

        #[test]
        fn keys_are_in_the_order_of_utf_16(names in prop::collection::btree_set("[a-c\u{7f}é\u{d7ff}-\u{e001}\u{fffd}-\u{10001}]{0,3}", 1..8)) {
            let members = names.iter().map(|name| (name.clone(), Value::from(1)));
            let document = Value::from_iter(members).to_string();
            let mut sorted = Vec::from_iter(names);
            sorted.sort_by_key(|name| name.encode_utf16().collect::<Vec<_>>());
            prop_assert_eq!(keys(&canonical(&document).unwrap()), sorted);
        }
    }
}
