//! `GET /api/audit-events`: who wrote what and when, with the hashes of the chain.

use serde::{Deserialize, Serialize};
use spin_sdk::http::{IntoResponse, Method, Request};
use spin_sdk::pg::ParameterValue;
use uuid::Uuid;
use wms::cursor::Cursor;
use wms::database::maybe;
use wms::page::Listed;
use wms::scalar::{Object, Timestamp};
use wms::schemars::JsonSchema;
use wms::url::Query;
use wms::{Faults, List, Operation, Problem, Role, answer};

const LIST: List = List {
    roles: &[Role::Admin, Role::Auditor],
    statement: include_str!("list.sql"),
    column: "event",
};

/// An event, as it was written. Its hash is SHA-256 over the hash before it and the canonical JSON (RFC 8785) of all of this but the
/// two hashes.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(crate = "wms::schemars")]
struct AuditEvent {
    id: Uuid,
    at: Timestamp,
    /// `null`: somebody who wrote past the API.
    actor_id: Option<Uuid>,
    actor_role: Option<String>,
    /// Such as `lot.registered`.
    action: String,
    /// Such as `lot`.
    entity: String,
    entity_id: Uuid,
    before: Option<Object>,
    after: Option<Object>,
    request_id: Option<String>,
    /// SHA-256 in hexadecimal.
    prev_hash: Option<String>,
    /// SHA-256 in hexadecimal.
    hash: Option<String>,
}

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/api/audit-events",
            "listAuditEvents",
            "The audit trail, newest first",
        )
        .roles(LIST.roles)
        .query(filters)
        .page::<AuditEvent>("A page of events."),
    ]
}

#[cfg_attr(target_arch = "wasm32", spin_sdk::http_service)]
pub async fn handle(request: Request) -> impl IntoResponse {
    answer(match *request.method() {
        Method::GET | Method::HEAD => LIST.page::<AuditEvent>(request, filters).await,
        _ => Err(Problem::method_not_allowed("GET, HEAD")),
    })
}

impl Listed for AuditEvent {
    fn cursor(&self) -> Option<Cursor> {
        Cursor::new(self.at.as_str(), self.id)
    }
}

fn filters(query: &Query<'_>, faults: &mut Faults) -> Vec<ParameterValue> {
    vec![
        maybe(query.text("entity", faults)),
        maybe(query.uuid("entity_id", faults)),
        maybe(query.uuid("actor_id", faults)),
        maybe(query.time("from", faults)),
        maybe(query.time("to", faults)),
    ]
}
