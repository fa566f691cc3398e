//! `GET /api/audit-events`: who wrote what and when, with the hashes of the chain.

use serde::{Deserialize, Serialize};
use spin_sdk::http::{IntoResponse, Method, Request};
use spin_sdk::pg::ParameterValue;
use uuid::Uuid;
use wms::cursor::Cursor;
use wms::database::{documents, maybe, text};
use wms::page::{Listed, Page};
use wms::scalar::{Object, Timestamp};
use wms::schemars::JsonSchema;
use wms::url::Query;
use wms::{Caller, Faults, Operation, Outcome, Problem, Role, answer};

const ROLES: &[Role] = &[Role::Admin, Role::Auditor];

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

/// What the list is narrowed by.
struct Filter {
    page: Page,
    parameters: Vec<ParameterValue>,
}

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get(
            "/api/audit-events",
            "listAuditEvents",
            "The audit trail, newest first",
        )
        .roles(ROLES)
        .query(Filter::read)
        .page::<AuditEvent>("A page of events."),
    ]
}

#[cfg_attr(target_arch = "wasm32", spin_sdk::http_service)]
pub async fn handle(request: Request) -> impl IntoResponse {
    answer(match *request.method() {
        Method::GET | Method::HEAD => list(request).await,
        _ => Err(Problem::method_not_allowed("GET, HEAD")),
    })
}

async fn list(request: Request) -> Outcome {
    let caller = Caller::of(request.headers()).await?;
    let query = Query::of(request.uri().query());
    let mut faults = Faults::default();
    let Filter { page, parameters } = Filter::read(&query, &mut faults);
    let rows = caller
        .read(ROLES, include_str!("list.sql"), parameters, faults)
        .await?;
    let events: Vec<AuditEvent> = documents(&rows, "event")?;
    Ok(page.reply(request.uri().path(), &query, events))
}

impl Listed for AuditEvent {
    fn cursor(&self) -> Option<Cursor> {
        Cursor::new(self.at.as_str(), self.id)
    }
}

// === impl Filter ===

impl Filter {
    fn read(query: &Query<'_>, faults: &mut Faults) -> Self {
        let page = Page::of(query, faults);
        let parameters = vec![
            maybe(query.text("entity", faults)),
            maybe(query.uuid("entity_id", faults)),
            maybe(query.uuid("actor_id", faults)),
            maybe(query.time("from", faults)),
            maybe(query.time("to", faults)),
            maybe(page.after.as_ref().map(Cursor::at)),
            maybe(page.after.as_ref().map(Cursor::id)),
            text(page.rows()),
        ];
        Self { page, parameters }
    }
}
