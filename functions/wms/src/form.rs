//! The fields of a JSON body, each read by its rule. Every fault is noted, not only the first.
//!
//! A field that is `null` counts as absent, unknown fields are ignored, and of a repeated key the last one wins.

use crate::database::{self, list, text};
use crate::decimal::{Decimal, NotDecimal};
use crate::faults::Step;
use crate::json::{self, Unfit};
use crate::{Caller, Database, Faults, Kind, Name, Problem, Role, Row};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::Serialize;
use serde_json::value::RawValue;
use spin_sdk::http::Request;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use uuid::Uuid;

/// The largest body of a request.
pub const BODY_MAX_BYTES: usize = 256 * 1024;

/// An object of the body, and where it stands.
#[derive(Debug)]
pub struct Form<'a> {
    at: Vec<Step>,
    fields: BTreeMap<String, &'a RawValue>,
    faults: &'a mut Faults,
}

/// What a body came to. The draft may have holes where the body had faults: the statement that would write it is told so,
/// and looks up the rest. So a client hears of a wrong reference and of a wrong number in one answer, after its role was checked.
#[derive(Debug)]
pub struct Submission<T> {
    pub draft: T,
    pub faults: Faults,
    /// Why there was nothing to read.
    pub unreadable: Option<Problem>,
}

// === impl Submission ===

impl<T: Default> Submission<T> {
    /// Reads the request's body with `read`.
    pub async fn read(request: Request, read: impl FnOnce(&mut Form<'_>) -> T) -> Self {
        let mut faults = Faults::default();
        let parsed = body(request)
            .await
            .and_then(|body| Form::over(&body, &mut faults).map(|mut form| read(&mut form)));
        match parsed {
            Ok(draft) => Self {
                draft,
                faults,
                unreadable: None,
            },
            Err(problem) => Self {
                draft: T::default(),
                faults,
                unreadable: Some(problem),
            },
        }
    }
}

impl<T: Serialize> Submission<T> {
    /// Runs the statement that writes the draft, for a caller who has one of `roles` and may sign as `operator`. The row says
    /// what was written, or why nothing was. The statement's parameters: $1 the caller's id, $2 the roles, $3 the draft as JSON,
    /// $4 whether the body was sound.
    pub async fn write(
        &self,
        statement: &str,
        caller: Caller,
        roles: &[Role],
        operator: Option<Uuid>,
    ) -> Result<Row, Problem> {
        let parameters = vec![
            text(caller.id),
            list(roles),
            database::json(&self.draft)?,
            text(self.is_sound()),
        ];
        let rows = Database::connect()
            .await?
            .write(statement, parameters)
            .await?;
        caller.admit(rows.first(), roles, operator)?;
        rows.into_iter().next().ok_or_else(Problem::unauthenticated)
    }
}

impl<T> Submission<T> {
    /// Whether the body had no fault of its own.
    pub fn is_sound(&self) -> bool {
        self.unreadable.is_none() && self.faults.is_empty()
    }

    /// The draft, or all that is wrong with it.
    pub fn accept(self) -> Result<T, Problem> {
        match self.unreadable {
            Some(problem) => Err(problem),
            None if self.faults.is_empty() => Ok(self.draft),
            None => Err(Problem::invalid(self.faults)),
        }
    }
}

async fn body(request: Request) -> Result<Bytes, Problem> {
    let too_large =
        || Kind::BodyTooLarge.because(format!("A body may have {BODY_MAX_BYTES} bytes."));
    let header = |name| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };

    if header(CONTENT_LENGTH)
        .and_then(|length| length.parse::<usize>().ok())
        .is_some_and(|length| length > BODY_MAX_BYTES)
    {
        return Err(too_large());
    }
    let is_json = header(CONTENT_TYPE).is_some_and(is_json);
    let body = Limited::new(request.into_body(), BODY_MAX_BYTES)
        .collect()
        .await
        .map_err(|error| {
            if error.is::<LengthLimitError>() {
                too_large()
            } else {
                unparsable("The body ended early.")
            }
        })?;
    if is_json {
        Ok(body.to_bytes())
    } else {
        Err(Kind::UnsupportedMediaType.because("A body is application/json."))
    }
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type
        .split_once(';')
        .map_or(content_type, |(essence, _)| essence);
    essence.trim().eq_ignore_ascii_case("application/json")
}

fn unparsable(msg: &str) -> Problem {
    let mut faults = Faults::default();
    faults.add(vec![Step::Field("body")], "json_invalid", msg);
    Problem::invalid(faults)
}

// === impl Form ===

impl<'a> Form<'a> {
    /// The body as an object.
    pub fn over(body: &'a [u8], faults: &'a mut Faults) -> Result<Self, Problem> {
        json::check(body).map_err(|unfit| {
            unparsable(match unfit {
                Unfit::TooDeep => "is nested deeper than 64 levels",
                Unfit::Nul => "holds a NUL character",
            })
        })?;
        let fields =
            serde_json::from_slice(body).map_err(|_| unparsable("is not a JSON object"))?;
        Ok(Self {
            at: vec![Step::Field("body")],
            fields,
            faults,
        })
    }

    /// Notes a fault of a field.
    pub fn fault(&mut self, field: &'static str, kind: &'static str, msg: impl Into<String>) {
        let mut loc = self.at.clone();
        loc.push(Step::Field(field));
        self.faults.add(loc, kind, msg);
    }

    /// Notes that a field is missing, if `value` is.
    pub fn required<T>(&mut self, field: &'static str, value: Option<T>) -> Option<T> {
        if value.is_none() {
            self.fault(field, "missing", "is required");
        }
        value
    }

    /// A text of so many characters.
    pub fn text(&mut self, field: &'static str, length: RangeInclusive<usize>) -> Option<String> {
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
        let text = self.string(field)?;
        let uuid = Uuid::try_parse(&text).ok();
        if uuid.is_none() {
            self.fault(field, "uuid_parsing", "must be a UUID");
        }
        uuid
    }

    /// One of a closed set of names.
    pub fn name<N: Name>(&mut self, field: &'static str) -> Option<N> {
        let text = self.string(field)?;
        let name = N::parse(&text);
        if name.is_none() {
            self.fault(
                field,
                "enum",
                format!("must be one of {}", N::join(N::ALL, ", ")),
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

    /// An object, kept as it is written: its numbers lose nothing.
    pub fn object(&mut self, field: &'static str) -> Option<Box<RawValue>> {
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
        Some(raw.to_owned())
    }

    /// A list of at most `max` objects, each read with `read`. Absent means empty.
    pub fn list<T>(
        &mut self,
        field: &'static str,
        max: usize,
        mut read: impl FnMut(usize, &mut Form<'_>) -> Option<T>,
    ) -> Vec<T> {
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
        let mut list = Vec::with_capacity(items.len());
        for (place, item) in items.into_iter().enumerate() {
            let mut at = self.at.clone();
            at.extend([Step::Field(field), Step::Place(place)]);
            match serde_json::from_str(item.get()) {
                Ok(fields) => list.extend(read(
                    place,
                    &mut Form {
                        at,
                        fields,
                        faults: self.faults,
                    },
                )),
                Err(_) => self.faults.add(at, "dict_type", "must be an object"),
            }
        }
        list
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
            object.unwrap().get(),
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

    #[test]
    fn knows_json_by_its_media_type() {
        assert!(is_json("application/json") && is_json("Application/JSON ; charset=utf-8"));
        assert!(!is_json("text/plain") && !is_json("application/jsonp") && !is_json(""));
    }
}
