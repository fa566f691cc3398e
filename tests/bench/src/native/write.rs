//! The writes: a lot, a decision. Bodies are read by the functions' own rules, and written by their own statements.

use bytes::Bytes;
use http::header::{CONTENT_TYPE, LOCATION};
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;
use wms::decision::Decision;
use wms::decision::record::{self, RECORD};
use wms::lot::Lot;
use wms::lot::register::{self, REGISTER};
use wms::stamp::Stamp;
use wms::write::Claim;
use wms::{
    Caller, Facts, Faults, Form, Kind, Name as _, Outcome, Problem, Role, Submission, Write,
    Written, body,
};

use super::Native;
use super::read::{document, internal};

const LOT: &str = concat!(
    include_str!("../../../../functions/wms/src/write_head.sql"),
    include_str!("../../../../functions/wms/src/lot/register.sql"),
    include_str!("../../../../functions/wms/src/write_tail.sql"),
);
const DECISION: &str = concat!(
    include_str!("../../../../functions/wms/src/write_head.sql"),
    include_str!("../../../../functions/wms/src/decision/record.sql"),
    include_str!("../../../../functions/wms/src/write_tail.sql"),
);

impl Native {
    pub(super) async fn register_lot(&self, parts: &Parts, body: Incoming) -> Outcome {
        let caller = self.caller(&parts.headers)?;
        let submission = self
            .submission(parts, body, caller, REGISTER.route, |form| {
                register::Draft::read(form, caller)
            })
            .await;
        let operator = submission.draft.operator_id;
        let written: Written<Lot, register::Found> = self
            .write(LOT, &REGISTER, caller, submission, operator)
            .await?;
        let location = format!("/api/lots/{}", written.document.id);
        Ok(written
            .reply(StatusCode::CREATED)
            .header(LOCATION, &location))
    }

    pub(super) async fn record_decision(&self, parts: &Parts, body: Incoming) -> Outcome {
        let caller = self.caller(&parts.headers)?;
        let submission = self
            .submission(parts, body, caller, RECORD.route, |form| {
                record::Draft::read(form, caller)
            })
            .await;
        let operator = submission.draft.operator_id;
        let written: Written<Decision, record::Found> = self
            .write(DECISION, &RECORD, caller, submission, operator)
            .await?;
        Ok(written.reply(StatusCode::CREATED))
    }

    async fn submission<T: Default>(
        &self,
        parts: &Parts,
        body: Incoming,
        caller: Caller,
        route: &'static str,
        read: impl FnOnce(&mut Form<'_>) -> T,
    ) -> Submission<T> {
        let mut faults = Faults::default();
        let stamp = Stamp::of(&parts.headers, caller.id, route, &mut faults);
        match json(&parts.headers, body).await {
            Ok(body) => {
                let stamp = stamp.with_content(&self.jwt_secret, parts.uri.path(), &body);
                Submission::over(&body, faults, stamp, read)
            }
            Err(problem) => Submission {
                draft: T::default(),
                faults,
                unreadable: Some(problem),
                stamp,
            },
        }
    }

    /// As `wms::Write::run`, on another driver.
    async fn write<T, D, F>(
        &self,
        statement: &str,
        write: &Write,
        caller: Caller,
        submission: Submission<T>,
        operator: Option<Uuid>,
    ) -> Result<Written<D, F>, Problem>
    where
        T: Serialize,
        D: DeserializeOwned,
        F: Facts<T>,
    {
        let parameters = [
            caller.id.to_string(),
            Role::join(write.roles, ","),
            text(&submission.draft)?,
            submission.is_sound().to_string(),
            text(&submission.stamp)?,
        ];
        let parameters = parameters.each_ref().map(|text| Some(text.as_str()));
        let rows = self.pool.query(statement, &parameters).await?;
        let row = self.admit(caller, &rows, write.roles, operator).await?;

        let facts: Option<F> = document(row, "facts")?;
        let written: Option<D> = document(row, "written")?;
        let state: &str = row.try_get("state").map_err(|error| internal(&error))?;
        let claim = Claim::parse(state)
            .ok_or_else(|| wms::database::internal("the key is in no known state"))?;
        Written::of(claim, written, facts, submission)
    }
}

fn text(value: &impl Serialize) -> Result<String, Problem> {
    serde_json::to_string(value).map_err(|error| internal(&error))
}

async fn json(headers: &HeaderMap, body: Incoming) -> Result<Bytes, Problem> {
    let body = Limited::new(body, body::MAX_BYTES)
        .collect()
        .await
        .map_err(|_| {
            Kind::BodyTooLarge.because(format!("A body may have {} bytes.", body::MAX_BYTES))
        })?;
    let is_json = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"));
    if is_json {
        Ok(body.to_bytes())
    } else {
        Err(Kind::UnsupportedMediaType.because("A body is application/json."))
    }
}
