//! What the readers of a body and of a query say of themselves: asked to describe instead of to read, they note the rule of each field
//! here. So the API's description is made by the very code that checks a request, and can't say anything else.

#![expect(
    clippy::indexing_slicing,
    reason = "JSON made here, for `make openapi`: on no request's path"
)]

use serde_json::{Map, Value, json};

/// The fields of an object, each with its JSON Schema.
#[derive(Debug, Default)]
pub struct Sketch {
    fields: Vec<(&'static str, Value)>,
    required: Vec<&'static str>,
}

// === impl Sketch ===

impl Sketch {
    pub fn field(&mut self, name: &'static str, schema: Value) {
        self.fields.push((name, schema));
    }

    pub fn required(&mut self, name: &'static str) {
        self.required.push(name);
    }

    /// The object's schema. A field that isn't required may be `null`, which counts as absent.
    pub fn into_schema(self) -> Value {
        let properties: Map<String, Value> = self
            .fields
            .into_iter()
            .map(|(name, schema)| {
                let is_required = self.required.contains(&name);
                (
                    name.to_owned(),
                    if is_required {
                        schema
                    } else {
                        nullable(schema)
                    },
                )
            })
            .collect();
        let mut object = json!({ "type": "object", "properties": properties });
        if !self.required.is_empty() {
            object["required"] = json!(self.required);
        }
        object
    }

    /// The fields as the parameters of a query string.
    pub fn into_parameters(self) -> Vec<Value> {
        self.fields
            .into_iter()
            .map(|(name, schema)| json!({ "name": name, "in": "query", "schema": schema }))
            .collect()
    }
}

fn nullable(mut schema: Value) -> Value {
    match &mut schema["type"] {
        Value::Array(types) => types.push("null".into()),
        one => *one = json!([one.take(), "null"]),
    }
    if let Some(names) = schema.get_mut("enum").and_then(Value::as_array_mut) {
        names.push(Value::Null);
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_required_may_be_null() {
        let mut sketch = Sketch::default();
        sketch.field("code", json!({ "type": "string" }));
        sketch.required("code");
        sketch.field("kind", json!({ "type": "string", "enum": ["A"] }));
        sketch.field("kg", json!({ "type": ["number", "string"] }));
        assert_eq!(
            sketch.into_schema(),
            json!({
                "type": "object",
                "required": ["code"],
                "properties": {
                    "code": { "type": "string" },
                    "kind": { "type": ["string", "null"], "enum": ["A", null] },
                    "kg": { "type": ["number", "string", "null"] },
                },
            })
        );
    }
}
