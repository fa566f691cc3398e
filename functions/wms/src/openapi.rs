//! The API's description, OpenAPI 3.1, put together from the functions' operations.

#![expect(
    clippy::indexing_slicing,
    reason = "JSON made here, for `make openapi`: on no request's path"
)]

use crate::operation::{Answer, Operation};
use crate::problem::Document;
use crate::{Kind, Name as _, Role};
use http::StatusCode;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

const DESCRIPTION: &str = "\
The warehouse management system of a food plant: lots, QC decisions, traceability, production runs.

- Mass (kg, two decimals) and temperature (degrees Celsius, one decimal) leave as texts and come in as numbers or texts.
- Times are RFC 3339 in UTC. Ids are UUIDs. Localised texts are objects with `hu` and `en`.
- Every field of an answer is there, `null` when unset. Unknown fields of a request are ignored; `null` counts as absent.
- Errors are `application/problem+json` (RFC 9457); `type` is stable. A 422 lists all the faults at once.
- A 2xx means committed. A write may be repeated with the same `Idempotency-Key`.
- Lists are newest first; `Link` leads to the next page.";

/// What the host answers in place of any function.
const OF_THE_HOST: &[(StatusCode, &str)] = &[
    (
        StatusCode::BAD_REQUEST,
        "No HTTP request that can be understood: `bad-request`",
    ),
    (
        StatusCode::TOO_MANY_REQUESTS,
        "More requests than allowed: `rate-limited`. `Retry-After` says when to come again.",
    ),
    (
        StatusCode::INTERNAL_SERVER_ERROR,
        "Our fault: `internal`, `function-failed`, `memory-limit`, `misconfigured`",
    ),
    (
        StatusCode::SERVICE_UNAVAILABLE,
        "Busy, or without its database: `overloaded`, `database-unavailable`. `Retry-After` says when to come again.",
    ),
    (
        StatusCode::GATEWAY_TIMEOUT,
        "Not done in time: `timeout`, `cpu-limit`. Whether a write was done is not known; its `Idempotency-Key` tells.",
    ),
];

/// The description of an API with these operations.
pub fn describe(operations: Vec<Operation>, version: &str) -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .for_serialize()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.meta_schema = None;
        })
        .into_generator();
    let problem = generator.subschema_for::<Document<'_>>().to_value();

    let mut paths: Map<String, Value> = Map::new();
    for operation in operations {
        let path = operation
            .path
            .split('/')
            .map(|segment| match segment.strip_prefix(':') {
                Some(name) => format!("{{{name}}}"),
                None => segment.to_owned(),
            })
            .collect::<Vec<_>>()
            .join("/");
        let method = operation.method.as_str().to_ascii_lowercase();
        let described = operation.describe(&mut generator, &problem);
        let methods = paths.entry(path).or_insert_with(|| json!({}));
        methods[method] = described;
    }

    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "FlowViz",
            "version": version,
            "description": DESCRIPTION,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "bearerFormat": "JWT",
                    "description": "From `POST /api/login`; good for 30 minutes.",
                },
            },
        },
    })
}

// === impl Operation ===

impl Operation {
    fn describe(self, generator: &mut SchemaGenerator, problem: &Value) -> Value {
        let mut parameters: Vec<Value> = self
            .path
            .split('/')
            .filter_map(|segment| segment.strip_prefix(':'))
            .map(|name| {
                json!({
                    "name": name, "in": "path", "required": true,
                    "schema": { "type": "string", "minLength": 1 },
                })
            })
            .collect();
        parameters.extend(self.parameters.iter().cloned());

        let mut responses: BTreeMap<String, Value> = BTreeMap::new();
        for answer in &self.answers {
            responses.insert(
                answer.status.as_str().to_owned(),
                answer.describe(generator),
            );
        }
        for (status, description) in self.refusals() {
            responses
                .entry(status.as_str().to_owned())
                .or_insert_with(|| {
                    json!({
                        "description": description,
                        "content": { "application/problem+json": { "schema": problem } },
                    })
                });
        }

        let mut described = json!({
            "operationId": self.id,
            "summary": self.summary,
            "responses": responses,
        });
        if !parameters.is_empty() {
            described["parameters"] = parameters.into();
        }
        if let Some(schema) = self.body {
            described["requestBody"] = json!({
                "required": true,
                "content": { "application/json": { "schema": schema } },
            });
        }
        match self.roles {
            Some(roles) => {
                described["security"] = json!([{ "token": [] }]);
                if roles.len() < Role::ALL.len() {
                    let roles = Role::join(roles, ", ");
                    described["description"] = format!("Roles: {roles}.").into();
                }
            }
            None => described["security"] = json!([]),
        }
        described
    }

    /// The statuses of problems, and what they mean.
    fn refusals(&self) -> BTreeMap<StatusCode, String> {
        let mut kinds: BTreeMap<StatusCode, Vec<&str>> = BTreeMap::new();
        let mut add = |kind: Kind| {
            let (status, slug, _) = kind.describe();
            let slugs = kinds.entry(status).or_default();
            if !slugs.contains(&slug) {
                slugs.push(slug);
            }
        };
        if let Some(roles) = self.roles {
            add(Kind::Unauthenticated);
            if roles.len() < Role::ALL.len() || self.body.is_some() {
                add(Kind::Forbidden);
            }
        }
        self.problems.iter().copied().for_each(add);

        let mut refusals: BTreeMap<StatusCode, String> = kinds
            .into_iter()
            .map(|(status, slugs)| {
                let slugs: Vec<String> = slugs.iter().map(|slug| format!("`{slug}`")).collect();
                (status, slugs.join(", "))
            })
            .collect();
        for (status, description) in OF_THE_HOST {
            refusals
                .entry(*status)
                .or_insert_with(|| (*description).to_owned());
        }
        refusals
    }
}

// === impl Answer ===

impl Answer {
    fn describe(&self, generator: &mut SchemaGenerator) -> Value {
        let mut described = json!({ "description": self.description });
        if let Some(schema) = self.schema {
            let schema = schema(generator).to_value();
            described["content"] = json!({ "application/json": { "schema": schema } });
        }
        let headers: Map<String, Value> = self
            .headers
            .iter()
            .map(|(name, description)| {
                let header = json!({ "schema": { "type": "string" }, "description": description });
                ((*name).to_owned(), header)
            })
            .collect();
        if !headers.is_empty() {
            described["headers"] = headers.into();
        }
        described
    }
}
