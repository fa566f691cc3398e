//! The fields of a JSON body, each read by its rule. Every fault is noted, not only the first.
//!
//! A field that is `null` counts as absent, unknown fields are ignored, and of a repeated key the last one wins.
//!
//! A form can also be asked to describe: then it has no fields, and notes the rules that it is read by.

use crate::decimal::{Decimal, NotDecimal};
use crate::faults::Step;
use crate::json::{self, Unfit};
use crate::scalar::Object;
use crate::sketch::Sketch;
use crate::{Faults, Name, Problem};
use chrono::{DateTime, Utc};
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use uuid::Uuid;

/// An object of the body, and where it stands.
#[derive(Debug)]
pub struct Form<'a> {
    at: Vec<Step>,
    fields: Fields<'a>,
    faults: &'a mut Faults,
    /// Where the rules of the fields are noted, if that is what is asked.
    sketch: Option<&'a mut Sketch>,
}

type Fields<'a> = BTreeMap<String, &'a RawValue>;

const NO_OBJECT: &str = "must be an object";

/// How a number is written in a text, for the description.
const DECIMAL_PATTERN: &str = r"^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,2})?$";

// === impl Form ===

impl<'a> Form<'a> {
    /// The body as an object.
    pub fn over(body: &'a [u8], faults: &'a mut Faults) -> Result<Self, Problem> {
        json::check(body).map_err(|unfit| {
            Problem::unparsable(match unfit {
                Unfit::TooDeep => "is nested deeper than 64 levels",
                Unfit::Nul => "holds a NUL character",
            })
        })?;
        let fields = serde_json::from_slice(body)
            .map_err(|_| Problem::unparsable("is not a JSON object"))?;
        Ok(Self {
            at: vec![Step::Field("body")],
            fields,
            faults,
            sketch: None,
        })
    }

    /// The rules that `read` reads a form by.
    pub fn describe<T>(read: impl FnOnce(&mut Form<'_>) -> T) -> Sketch {
        let mut sketch = Sketch::default();
        read(&mut Form {
            at: Vec::new(),
            fields: BTreeMap::new(),
            faults: &mut Faults::default(),
            sketch: Some(&mut sketch),
        });
        sketch
    }

    /// Whether the body has the field, be it `null`: for a PATCH, which changes no other.
    pub fn has(&self, field: &str) -> bool {
        self.fields.contains_key(field)
    }

    /// Whether the body has the field, and a value in it.
    pub fn is_given(&self, field: &str) -> bool {
        self.raw(field).is_some()
    }

    fn note(&mut self, field: &'static str, schema: impl FnOnce() -> serde_json::Value) {
        if let Some(sketch) = &mut self.sketch {
            sketch.field(field, schema());
        }
    }

    /// Whether nothing is wrong so far.
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }

    /// Notes a fault of a field.
    pub fn fault(&mut self, field: &'static str, kind: &'static str, msg: impl Into<String>) {
        let mut loc = self.at.clone();
        loc.push(Step::Field(field));
        self.faults.add(loc, kind, msg);
    }

    /// Notes that a field is missing, if `value` is.
    pub fn required<T>(&mut self, field: &'static str, value: Option<T>) -> Option<T> {
        if let Some(sketch) = &mut self.sketch {
            sketch.required(field);
        }
        if value.is_none() {
            self.fault(field, "missing", "is required");
        }
        value
    }

    /// A text of so many characters.
    pub fn text(&mut self, field: &'static str, length: RangeInclusive<usize>) -> Option<String> {
        self.note(
            field,
            || json!({ "type": "string", "minLength": length.start(), "maxLength": length.end() }),
        );
        let text = self.string(field)?;
        let count = text.chars().count();
        if count < *length.start() {
            self.fault(
                field,
                "string_too_short",
                format!("must have at least {} characters", length.start()),
            );
        } else if count > *length.end() {
            self.fault(
                field,
                "string_too_long",
                format!("must have at most {} characters", length.end()),
            );
        } else {
            return Some(text);
        }
        None
    }

    pub fn uuid(&mut self, field: &'static str) -> Option<Uuid> {
        self.note(field, || json!({ "type": "string", "format": "uuid" }));
        let text = self.string(field)?;
        let uuid = Uuid::try_parse(&text).ok();
        if uuid.is_none() {
            self.fault(field, "uuid_parsing", "must be a UUID");
        }
        uuid
    }

    /// One of a closed set of names.
    pub fn name<N: Name>(&mut self, field: &'static str) -> Option<N> {
        self.note(field, || json!({ "type": "string", "enum": N::texts() }));
        self.name_among(field, N::ALL)
    }

    /// One of some names of a set.
    pub fn name_of<N: Name>(&mut self, field: &'static str, names: &[N]) -> Option<N> {
        let texts: Vec<&str> = names.iter().map(|name| name.as_str()).collect();
        self.note(field, || json!({ "type": "string", "enum": texts }));
        self.name_among(field, names)
    }

    fn name_among<N: Name>(&mut self, field: &'static str, names: &[N]) -> Option<N> {
        let text = self.string(field)?;
        let name = names.iter().copied().find(|name| name.as_str() == text);
        if name.is_none() {
            self.fault(
                field,
                "enum",
                format!("must be one of {}", N::join(names, ", ")),
            );
        }
        name
    }

    /// A number, or a text that holds one, within bounds once it is rounded.
    pub fn decimal<const SCALE: u32>(
        &mut self,
        field: &'static str,
        bounds: RangeInclusive<Decimal<SCALE>>,
    ) -> Option<Decimal<SCALE>> {
        self.note(field, || {
            json!({
                "type": ["number", "string"],
                "minimum": bounds.start().to_f64(),
                "maximum": bounds.end().to_f64(),
                "pattern": DECIMAL_PATTERN,
                "description": format!("A number, or a text that holds one; rounded half to even to {SCALE} decimals."),
            })
        });
        let raw = self.raw(field)?.get();
        let parsed = match raw.as_bytes().first() {
            Some(b'"') => self
                .string(field)
                .ok_or(NotDecimal::Malformed)
                .and_then(|text| Decimal::parse(text.trim())),
            _ => Decimal::parse(raw),
        };
        match parsed {
            Ok(number) if number < *bounds.start() => {
                self.fault(
                    field,
                    "greater_than_equal",
                    format!("must be at least {}", bounds.start()),
                );
            }
            Ok(number) if number > *bounds.end() => {
                self.fault(
                    field,
                    "less_than_equal",
                    format!("must be at most {}", bounds.end()),
                );
            }
            Ok(number) => return Some(number),
            Err(NotDecimal::Malformed) => self.fault(field, "decimal_parsing", "must be a number"),
            Err(NotDecimal::OutOfRange) => self.fault(field, "decimal_range", "is out of range"),
        }
        None
    }

    /// A whole number within bounds.
    pub fn integer(&mut self, field: &'static str, bounds: RangeInclusive<i32>) -> Option<i32> {
        self.note(
            field,
            || json!({ "type": "integer", "minimum": bounds.start(), "maximum": bounds.end() }),
        );
        let number = self.raw(field)?.get().parse::<i32>();
        match number.ok().filter(|number| bounds.contains(number)) {
            Some(number) => Some(number),
            None => {
                let msg = format!(
                    "must be a whole number from {} to {}",
                    bounds.start(),
                    bounds.end()
                );
                self.fault(field, "int_parsing", msg);
                None
            }
        }
    }

    /// A point in time, RFC 3339, that is not later than `latest`.
    pub fn time(&mut self, field: &'static str, latest: DateTime<Utc>) -> Option<String> {
        self.note(field, || json!({ "type": "string", "format": "date-time" }));
        let text = self.string(field)?;
        match crate::url::parse_time(&text) {
            Some(time) if time > latest => self.fault(field, "value_error", "lies in the future"),
            Some(time) => return Some(crate::url::write_time(time)),
            None => self.fault(field, "datetime_parsing", crate::url::TIME_RULE),
        }
        None
    }

    /// An object, kept as it is written: its numbers lose nothing.
    pub fn object(&mut self, field: &'static str) -> Option<Object> {
        self.note(field, || json!({ "type": "object" }));
        let raw = self.raw(field)?;
        // Parsed whole for what a raw value lets pass and the database does not: lone surrogates, numbers beyond all bounds.
        if serde_json::from_str::<serde_json::Map<_, _>>(raw.get()).is_err() {
            self.fault(
                field,
                "dict_type",
                "must be an object of texts, numbers, booleans, lists and objects",
            );
            return None;
        }
        Some(raw.to_owned().into())
    }

    /// An object as it is written, for somebody else to read.
    pub fn raw_object(
        &mut self,
        field: &'static str,
        description: &'static str,
    ) -> Option<Box<RawValue>> {
        self.note(
            field,
            || json!({ "type": "object", "description": description }),
        );
        let raw = self.raw(field)?;
        if !raw.get().starts_with('{') {
            self.fault(field, "dict_type", NO_OBJECT);
            return None;
        }
        Some(raw.to_owned())
    }

    /// A list of at most `max` objects, each read with `read`. Absent means empty.
    pub fn list<T>(
        &mut self,
        field: &'static str,
        max: usize,
        mut read: impl FnMut(usize, &mut Form<'_>) -> Option<T>,
    ) -> Vec<T> {
        if self.sketch.is_some() {
            let items = Form::describe(|form| read(0, form)).into_schema();
            self.note_list(field, max, &items);
        }
        let mut list = Vec::new();
        for (place, (at, fields)) in self.items(field, max).into_iter().enumerate() {
            match fields {
                Some(fields) => list.extend(read(
                    place,
                    &mut Form {
                        at,
                        fields,
                        faults: self.faults,
                        sketch: None,
                    },
                )),
                None => self.faults.add(at, "dict_type", NO_OBJECT),
            }
        }
        list
    }

    /// As [`Form::list`], but each item keeps its faults to itself: one that is wrong spoils no other.
    pub fn list_apart<T: Default>(
        &mut self,
        field: &'static str,
        max: usize,
        mut read: impl FnMut(&mut Form<'_>) -> T,
    ) -> Vec<(T, Faults)> {
        if self.sketch.is_some() {
            let item = Form::describe(&mut read).into_schema();
            let other =
                json!({ "description": "Anything else is an item that is rejected on its own." });
            self.note_list(field, max, &json!({ "anyOf": [item, other] }));
        }
        let items = self.items(field, max).into_iter();
        items
            .map(|(at, fields)| {
                let mut faults = Faults::default();
                let Some(fields) = fields else {
                    faults.add(at, "dict_type", NO_OBJECT);
                    return (T::default(), faults);
                };
                let item = read(&mut Form {
                    at,
                    fields,
                    faults: &mut faults,
                    sketch: None,
                });
                (item, faults)
            })
            .collect()
    }

    fn note_list(&mut self, field: &'static str, max: usize, items: &serde_json::Value) {
        self.note(
            field,
            || json!({ "type": "array", "maxItems": max, "items": items }),
        );
    }

    /// A list's items, each with its place and its fields, if it has any.
    fn items(&mut self, field: &'static str, max: usize) -> Vec<(Vec<Step>, Option<Fields<'a>>)> {
        let Some(raw) = self.raw(field) else {
            return Vec::new();
        };
        let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(raw.get()) else {
            self.fault(field, "list_type", "must be a list");
            return Vec::new();
        };
        if items.len() > max {
            self.fault(field, "too_long", format!("must have at most {max} items"));
            return Vec::new();
        }
        let items = items.into_iter().enumerate();
        items
            .map(|(place, item)| {
                let mut at = self.at.clone();
                at.extend([Step::Field(field), Step::Place(place)]);
                (at, serde_json::from_str(item.get()).ok())
            })
            .collect()
    }

    fn raw(&self, field: &str) -> Option<&'a RawValue> {
        self.fields
            .get(field)
            .copied()
            .filter(|raw| raw.get() != "null")
    }

    fn string(&mut self, field: &'static str) -> Option<String> {
        let text = serde_json::from_str(self.raw(field)?.get()).ok();
        if text.is_none() {
            self.fault(field, "string_type", "must be a text");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use crate::decimal::Kilograms;

    const WEIGHT: RangeInclusive<Kilograms> = Kilograms::whole(0)..=Kilograms::whole(10_000);

    fn over<T>(body: &str, read: impl FnOnce(&mut Form<'_>) -> T) -> (T, Vec<String>) {
        let mut faults = Faults::default();
        let value = read(&mut Form::over(body.as_bytes(), &mut faults).unwrap());
        (
            value,
            faults.into_vec().iter().map(ToString::to_string).collect(),
        )
    }

    #[test]
    fn reads_a_number_as_it_is_written() {
        for (body, expected) in [
            (r#"{"w":12.345}"#, "12.34"),
            (r#"{"w":12.34500000000000000000001}"#, "12.35"),
            (r#"{"w":"0100.5"}"#, "100.50"),
            (r#"{"w":1e4}"#, "10000.00"),
        ] {
            let (weight, faults) = over(body, |form| form.decimal("w", WEIGHT));
            assert_eq!(
                weight.map(|weight| weight.to_string()).as_deref(),
                Some(expected),
                "{faults:?}"
            );
        }
        for body in [
            r#"{"w":"NaN"}"#,
            r#"{"w":1e400}"#,
            r#"{"w":-0.01}"#,
            r#"{"w":10000.01}"#,
            r#"{"w":[1]}"#,
            r#"{"w":true}"#,
        ] {
            let (weight, faults) = over(body, |form| form.decimal("w", WEIGHT));
            assert_eq!((weight, faults.len()), (None, 1), "{body}");
        }
    }

    #[test]
    fn notes_every_fault_with_its_place() {
        let body = r#"{"code":"","id":"x","items":[{"w":1},{"w":"a"},3]}"#;
        let ((), faults) = over(body, |form| {
            form.text("code", 1..=100);
            form.uuid("id");
            form.list("items", 9, |_, item| item.decimal("w", WEIGHT));
            let nothing = form.text("nothing", 0..=9);
            form.required("nothing", nothing);
        });
        assert_eq!(
            faults,
            [
                "body.code must have at least 1 characters",
                "body.id must be a UUID",
                "body.items[1].w must be a number",
                "body.items[2] must be an object",
                "body.nothing is required",
            ]
        );
    }

    #[test]
    fn null_is_absent_and_the_last_of_a_key_counts() {
        let ((first, second), faults) = over(r#"{"a":null,"b":"1","b":"2"}"#, |form| {
            (form.text("a", 1..=9), form.text("b", 1..=9))
        });
        assert_eq!(
            (first, second.as_deref(), faults.len()),
            (None, Some("2"), 0)
        );
    }

    #[test]
    fn counts_characters_not_bytes() {
        let (text, _) = over(&format!(r#"{{"a":"{}"}}"#, "ő".repeat(100)), |form| {
            form.text("a", 1..=100)
        });
        assert!(text.is_some());
    }

    #[test]
    fn an_object_keeps_its_digits_and_refuses_what_jsonb_refuses() {
        let (object, _) = over(r#"{"m":{"n":0.10000000000000000000000001}}"#, |form| {
            form.object("m")
        });
        assert_eq!(
            serde_json::to_string(&object.unwrap()).unwrap(),
            r#"{"n":0.10000000000000000000000001}"#
        );
        for body in [
            r#"{"m":{"n":"\ud800"}}"#,
            r#"{"m":{"n":1e999999}}"#,
            r#"{"m":[]}"#,
            r#"{"m":"{}"}"#,
        ] {
            let (object, faults) = over(body, |form| form.object("m"));
            assert_eq!((object.is_none(), faults.len()), (true, 1), "{body}");
        }
    }

    #[test]
    fn a_body_that_is_no_object_is_invalid() {
        for body in [
            "",
            "[]",
            "null",
            "{",
            r#"{"a":"\u0000"}"#,
            "{\"a\":\"\u{0}\"}",
            "\u{feff}{}",
        ] {
            let mut faults = Faults::default();
            let problem = Form::over(body.as_bytes(), &mut faults).unwrap_err();
            assert_eq!(problem.kind(), Kind::Invalid, "{body}");
        }
    }
}
