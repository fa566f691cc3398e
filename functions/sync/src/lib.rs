//! `POST /api/sync`: what a device recorded without a network, each item on its own.

mod item;

use chrono::Utc;
use http::HeaderMap;
use item::{ItemResult, Received};
use serde::Serialize;
use spin_sdk::http::{IntoResponse, Method, Request};
use wms::database::text;
use wms::schemars::JsonSchema;
use wms::{
    Caller, Database, Faults, Form, Kind, Operation, Outcome, Problem, Reply, Role, answer, body,
};

const ROLES: &[Role] = &[Role::Admin, Role::Manager, Role::Auditor, Role::Operator];

/// Octets of a body: 500 items with all their metadata.
const BODY_MAX_BYTES: usize = 4 * 1024 * 1024;

const ITEMS_MAX: usize = 500;

/// More than any device holds.
const PENDING_MAX: i32 = 1_000_000;

/// In the order of the items.
#[derive(Serialize, JsonSchema)]
#[schemars(crate = "wms::schemars")]
struct Results {
    results: Vec<ItemResult>,
}

/// A batch, as it came.
struct Batch {
    items: Vec<(Received, Faults)>,
    /// What the device still has to send after this.
    pending_after: Option<i32>,
}

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::post(
            "/api/sync",
            "sync",
            "Takes what a device recorded without a network: one result per item, in order; an item that was sent before is a duplicate",
        )
        .roles(ROLES)
        .body(|form, _| Batch::read(form))
        .ok::<Results>("One result per item.")
        .problems(&[Kind::DatabaseUnavailable]),
    ]
}

#[cfg_attr(target_arch = "wasm32", spin_sdk::http_service)]
pub async fn handle(request: Request) -> impl IntoResponse {
    answer(match *request.method() {
        Method::POST => sync(request).await,
        _ => Err(Problem::method_not_allowed("POST")),
    })
}

async fn sync(request: Request) -> Outcome {
    let caller = Caller::of(request.headers()).await?;
    let headers = request.headers().clone();
    let body = body::read(request, BODY_MAX_BYTES).await;

    let mut faults = Faults::default();
    let batch = body
        .as_ref()
        .map_err(Clone::clone)
        .and_then(|body| Form::over(body, &mut faults).map(|mut form| Batch::read(&mut form)));
    // Who may not do this at all hears of that first.
    let database = Database::connect().await?;
    let rows = caller.role(&database).await?;
    caller.admit(&database, &rows, ROLES, None).await?;
    let batch = batch?;
    if !faults.is_empty() {
        return Err(Problem::invalid(faults));
    }
    let results = batch.take(&database, caller, &headers).await?;
    Ok(Reply::ok(&Results { results }))
}

// === impl Batch ===

impl Batch {
    fn read(form: &mut Form<'_>) -> Self {
        let latest = item::latest(Utc::now());
        let items = form.list_apart("items", ITEMS_MAX, |form| Received::read(form, latest));
        let has_items = form.is_given("items").then_some(());
        form.required("items", has_items);
        Self {
            items,
            pending_after: form.integer("pending_after", 0..=PENDING_MAX),
        }
    }

    /// Takes the items in their order. Should the database go away in their midst, the device sends all of it again, and what was taken
    /// is a duplicate then.
    async fn take(
        self,
        database: &Database,
        caller: Caller,
        headers: &HeaderMap,
    ) -> Result<Vec<ItemResult>, Problem> {
        let mut results = Vec::with_capacity(self.items.len());
        for (item, faults) in self.items {
            results.push(item.take(faults, database, caller, headers).await?);
        }
        if let Some(pending) = self.pending_after {
            let parameters = vec![text(caller.id), text(pending)];
            database
                .query(include_str!("backlog.sql"), parameters)
                .await?;
        }
        Ok(results)
    }
}
