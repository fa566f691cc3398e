//! Values that are texts in JSON and have a form of their own, as the database writes them.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

macro_rules! scalars {
    ($($(#[doc = $doc:literal])+ $type:ident { $($schema:tt)+ })+) => {$(
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $type(String);

        impl $type {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<String> for $type {
            fn from(text: String) -> Self {
                Self(text)
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", $($schema)+ })
            }
        }
    )+};
}

scalars! {
    /// A point in time, RFC 3339 in UTC.
    Timestamp { "format": "date-time", "examples": ["2026-01-15T06:00:00.000000Z"] }
    /// A mass in kg with two decimals.
    Mass { "pattern": "^-?[0-9]+\\.[0-9]{2}$", "description": "kg", "examples": ["100.50"] }
    /// A temperature in degrees Celsius with one decimal.
    Temperature { "pattern": "^-?[0-9]+\\.[0-9]$", "description": "degrees Celsius", "examples": ["4.0"] }
}

/// An object that we keep as it is, down to the last digit of its numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Object(Box<RawValue>);

/// A text in Hungarian and in English. Other languages may be there too.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LocalText {
    pub hu: Option<String>,
    pub en: Option<String>,
}

// === impl Object ===

impl Default for Object {
    fn default() -> Self {
        // `null` is a constant of the crate; an empty object has to be parsed, which can't fail.
        Self(RawValue::from_string("{}".to_owned()).unwrap_or_else(|_| RawValue::NULL.to_owned()))
    }
}

impl From<Box<RawValue>> for Object {
    fn from(raw: Box<RawValue>) -> Self {
        Self(raw)
    }
}

impl JsonSchema for Object {
    fn schema_name() -> Cow<'static, str> {
        "Object".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "object" })
    }
}
