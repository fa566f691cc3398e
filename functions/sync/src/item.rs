//! One item: a lot or a decision, written as if it came alone, under the device's own id of it.

use chrono::{DateTime, TimeDelta, Utc};
use http::{HeaderMap, StatusCode};
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;
use wms::decision::record::{self, record};
use wms::lot::register::{self, register};
use wms::schemars::JsonSchema;
use wms::stamp::Stamp;
use wms::{Caller, Database, Faults, Form, Kind, Problem, Submission, names};

/// How far a device's clock may be ahead, in seconds.
const CLOCK_SKEW_SECONDS: i64 = 300;

/// What the items' ids are kept for; record.sql knows the lots' by it.
const LOT_ROUTE: &str = "sync lot";
const DECISION_ROUTE: &str = "sync qc_decision";

/// Not a schema: a payload that is wrong is a rejected item, and no bad request.
const PAYLOAD: &str = "The body of `POST /api/lots` or of `POST /api/qc-decisions`. A decision may name its lot by `lot_client_id`, \
the `client_id` of the item that registered it, in place of `lot_id`. An item whose payload is wrong is rejected on its own.";

names! {
    /// What an item is.
    pub enum ItemKind {
        Lot = "lot",
        Decision = "qc_decision",
    }
}

names! {
    /// What came of an item.
    pub enum ItemStatus {
        Created = "created",
        Duplicate = "duplicate",
        Rejected = "rejected",
    }
}

/// An item, as it came: it has holes where it had faults.
#[derive(Debug, Default)]
pub struct Received {
    client_id: Option<Uuid>,
    kind: Option<ItemKind>,
    payload: Option<Box<RawValue>>,
    recorded_at: Option<String>,
}

/// A whole item.
#[derive(Debug)]
pub struct SyncItem {
    client_id: Uuid,
    kind: ItemKind,
    payload: Box<RawValue>,
    recorded_at: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(crate = "wms::schemars")]
pub struct ItemResult {
    /// `null` if the item had none that can be read.
    client_id: Option<Uuid>,
    status: ItemStatus,
    /// What the answer would have been, had the item come alone.
    http_status: u16,
    /// Of the lot or the decision; `null` if it was rejected.
    id: Option<Uuid>,
    /// Why it was rejected: a problem, as a request would get it.
    #[schemars(with = "Option<wms::problem::Document<'static>>")]
    problem: Option<Box<RawValue>>,
}

/// When an item may have been recorded, at the latest.
pub fn latest(now: DateTime<Utc>) -> DateTime<Utc> {
    now + TimeDelta::seconds(CLOCK_SKEW_SECONDS)
}

// === impl Received ===

impl Received {
    pub fn read(form: &mut Form<'_>, latest: DateTime<Utc>) -> Self {
        let client_id = form.uuid("client_id");
        let client_id = form.required("client_id", client_id);
        let kind = form.name("kind");
        let kind = form.required("kind", kind);
        let payload = form.raw_object("payload", PAYLOAD);
        let payload = form.required("payload", payload);
        let recorded_at = form.time("recorded_at", latest);
        let recorded_at = form.required("recorded_at", recorded_at);
        Self {
            client_id,
            kind,
            payload,
            recorded_at,
        }
    }

    /// Writes the item, if it had no faults. An error is one of the whole batch: there is no database any more.
    pub async fn take(
        self,
        faults: Faults,
        database: &Database,
        caller: Caller,
        headers: &HeaderMap,
    ) -> Result<ItemResult, Problem> {
        let client_id = self.client_id;
        match self.whole() {
            Some(item) if faults.is_empty() => item.take(database, caller, headers).await,
            _ => Ok(ItemResult::rejected(client_id, &Problem::invalid(faults))),
        }
    }

    fn whole(self) -> Option<SyncItem> {
        Some(SyncItem {
            client_id: self.client_id?,
            kind: self.kind?,
            payload: self.payload?,
            recorded_at: self.recorded_at?,
        })
    }
}

// === impl SyncItem ===

impl SyncItem {
    async fn take(
        self,
        database: &Database,
        caller: Caller,
        headers: &HeaderMap,
    ) -> Result<ItemResult, Problem> {
        let taken = match self.kind {
            ItemKind::Lot => {
                let mut submission = self.submission(headers, LOT_ROUTE, |form| {
                    register::Draft::read(form, caller)
                });
                submission.draft.recorded_at = Some(self.recorded_at.clone());
                let written = register(database, caller, submission).await;
                written.map(|written| (written.document.id, written.facts.is_some()))
            }
            ItemKind::Decision => {
                let mut submission = self.submission(headers, DECISION_ROUTE, |form| {
                    record::Draft::read_offline(form, caller)
                });
                submission.draft.recorded_at = Some(self.recorded_at.clone());
                let written = record(database, caller, submission).await;
                written.map(|written| (written.document.id, written.facts.is_some()))
            }
        };
        match taken {
            Ok((id, is_new)) => Ok(ItemResult {
                client_id: Some(self.client_id),
                status: if is_new {
                    ItemStatus::Created
                } else {
                    ItemStatus::Duplicate
                },
                http_status: if is_new {
                    StatusCode::CREATED
                } else {
                    StatusCode::OK
                }
                .as_u16(),
                id: Some(id),
                problem: None,
            }),
            Err(problem) if is_of_the_batch(&problem) => Err(problem),
            Err(problem) => Ok(ItemResult::rejected(Some(self.client_id), &problem)),
        }
    }

    fn submission<T: Default>(
        &self,
        headers: &HeaderMap,
        route: &'static str,
        read: impl FnOnce(&mut Form<'_>) -> T,
    ) -> Submission<T> {
        let stamp = Stamp::item(headers, route, self.client_id);
        Submission::over(
            self.payload.get().as_bytes(),
            Faults::default(),
            stamp,
            read,
        )
    }
}

// === impl ItemResult ===

impl ItemResult {
    fn rejected(client_id: Option<Uuid>, problem: &Problem) -> Self {
        Self {
            client_id,
            status: ItemStatus::Rejected,
            http_status: problem.status().as_u16(),
            id: None,
            problem: serde_json::value::to_raw_value(&problem.document()).ok(),
        }
    }
}

/// Whether it says nothing of the item: the next one would fare the same, and this one may do better when it comes again.
fn is_of_the_batch(problem: &Problem) -> bool {
    matches!(
        problem.kind(),
        Kind::DatabaseUnavailable | Kind::Unauthenticated | Kind::Misconfigured
    )
}
