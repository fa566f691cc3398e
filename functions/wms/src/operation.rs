//! What a function does, said once for everybody: the API's description is made from its functions' operations, and those name the
//! very types, readers, roles and problems that the functions use.

use crate::page::Page;
use crate::sketch::Sketch;
use crate::url::Query;
use crate::{Caller, Faults, Form, Kind, Role, stamp};
use http::{Method, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

/// One method of one path.
#[derive(Debug)]
pub struct Operation {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    /// For generated clients.
    pub(crate) id: &'static str,
    pub(crate) summary: &'static str,
    /// `None`: anybody, without a token.
    pub(crate) roles: Option<&'static [Role]>,
    pub(crate) parameters: Vec<Value>,
    pub(crate) body: Option<Value>,
    pub(crate) answers: Vec<Answer>,
    pub(crate) problems: Vec<Kind>,
}

/// An answer that is no problem.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub description: &'static str,
    pub schema: Option<fn(&mut SchemaGenerator) -> Schema>,
    pub headers: Vec<(&'static str, &'static str)>,
}

// === impl Operation ===

impl Operation {
    /// For every role, until [`roles`](Self::roles) or [`anybody`](Self::anybody) says otherwise.
    pub fn new(
        method: Method,
        path: &'static str,
        id: &'static str,
        summary: &'static str,
    ) -> Self {
        Self {
            method,
            path,
            id,
            summary,
            roles: Some(<Role as crate::Name>::ALL),
            parameters: Vec::new(),
            body: None,
            answers: Vec::new(),
            problems: Vec::new(),
        }
    }

    pub fn get(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new(Method::GET, path, id, summary)
    }

    pub fn post(path: &'static str, id: &'static str, summary: &'static str) -> Self {
        Self::new(Method::POST, path, id, summary)
    }

    pub fn roles(mut self, roles: &'static [Role]) -> Self {
        self.roles = Some(roles);
        self
    }

    /// Without a token.
    pub fn anybody(mut self) -> Self {
        self.roles = None;
        self
    }

    /// With the query parameters that `read` reads.
    pub fn query<T>(mut self, read: impl FnOnce(&Query<'_>, &mut Faults) -> T) -> Self {
        self.parameters
            .extend(Query::describe(read).into_parameters());
        self.problems.push(Kind::Invalid);
        self
    }

    /// With a body that `read` reads, for the caller who is given to it.
    pub fn body<T>(self, read: impl FnOnce(&mut Form<'_>, Caller) -> T) -> Self {
        let nobody = Caller {
            id: uuid::Uuid::nil(),
        };
        self.described_body(Form::describe(|form| read(form, nobody)))
    }

    fn described_body(mut self, sketch: Sketch) -> Self {
        self.body = Some(sketch.into_schema());
        self.problems.extend([
            Kind::BodyTooLarge,
            Kind::UnsupportedMediaType,
            Kind::Invalid,
        ]);
        self
    }

    /// A write, which may be repeated with the same `Idempotency-Key`.
    pub fn idempotent(mut self) -> Self {
        self.parameters.push(json!({
            "name": "Idempotency-Key",
            "in": "header",
            "schema": { "type": "string", "minLength": 1, "maxLength": stamp::KEY_MAX_CHARS, "pattern": "^[!-~]+$" },
            "description": "Your own name for this write. Repeat it with the same key, and it is done once: the answer is the first one's. Kept for 24 hours.",
        }));
        self.problems.extend([
            Kind::IdempotencyKeyInUse,
            Kind::IdempotencyKeyReused,
            Kind::Invalid,
        ]);
        self.header(
            "Idempotency-Replayed",
            "`true`: the answer to the first request with this key.",
        )
    }

    /// A header of the request.
    pub fn request_header(mut self, name: &'static str, description: &'static str) -> Self {
        self.parameters.push(json!({
            "name": name, "in": "header", "schema": { "type": "string" }, "description": description,
        }));
        self
    }

    /// Answered with a `T`.
    pub fn answers<T: JsonSchema>(mut self, status: StatusCode, description: &'static str) -> Self {
        self.answers.push(Answer {
            status,
            description,
            schema: Some(|generator| generator.subschema_for::<T>()),
            headers: Vec::new(),
        });
        self
    }

    /// Answered without a body.
    pub fn answers_nothing(mut self, status: StatusCode, description: &'static str) -> Self {
        self.answers.push(Answer {
            status,
            description,
            schema: None,
            headers: Vec::new(),
        });
        self
    }

    /// 200 with a `T`.
    pub fn ok<T: JsonSchema>(self, description: &'static str) -> Self {
        self.answers::<T>(StatusCode::OK, description)
    }

    /// 201 with a `T`.
    pub fn created<T: JsonSchema>(self, description: &'static str) -> Self {
        self.answers::<T>(StatusCode::CREATED, description)
    }

    /// A header of every answer so far.
    pub fn header(mut self, name: &'static str, description: &'static str) -> Self {
        for answer in &mut self.answers {
            answer.headers.push((name, description));
        }
        self
    }

    /// 200 with a page of `T`s.
    pub fn page<T: JsonSchema>(self, description: &'static str) -> Self {
        self.query(Page::of).ok::<Vec<T>>(description).header(
            "Link",
            "`<...>; rel=\"next\"`: the next page, while there is one.",
        )
    }

    pub fn problems(mut self, problems: &[Kind]) -> Self {
        self.problems.extend(problems);
        self
    }
}
