//! The reads: GET lot and traceability, with the functions' own statements.

use http::StatusCode;
use http::header::{ETAG, HeaderMap, IF_NONE_MATCH};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use uuid::Uuid;
use wms::lot::{Lot, Named};
use wms::{Kind, Name as _, Outcome, Problem, Reply, Role, url};

use super::Native;

const LOT: &str = concat!(
    include_str!("../../../../functions/wms/src/caller.sql"),
    include_str!("../../../../functions/lot/src/get.sql"),
);
const TRACE: &str = concat!(
    include_str!("../../../../functions/wms/src/caller.sql"),
    include_str!("../../../../functions/traceability/src/trace.sql"),
);

#[derive(Serialize, Deserialize)]
struct Trace {
    central: Lot,
    parents: Vec<Lot>,
    children: Vec<Lot>,
}

impl Native {
    pub(super) async fn lot(&self, path: &str, headers: &HeaderMap) -> Outcome {
        let caller = self.caller(headers)?;
        let code = url::segment_after(path, "lots");
        let id = code.as_deref().and_then(|code| Uuid::try_parse(code).ok());
        let (caller_id, id) = (caller.id.to_string(), id.map(|id| id.to_string()));
        let parameters = [Some(&*caller_id), id.as_deref(), code.as_deref()];
        let rows = self.pool.query(LOT, &parameters).await?;
        let row = self.admit(caller, &rows, Role::ALL, None).await?;
        let lot: Lot = document(row, "lot")?.ok_or_else(Named::not_found)?;
        let etag = lot.etag();
        let reply = if is_known(headers, &etag) {
            Reply::nothing(StatusCode::NOT_MODIFIED)
        } else {
            Reply::ok(&lot)
        };
        Ok(reply.header(ETAG, &etag))
    }

    pub(super) async fn trace(&self, path: &str, headers: &HeaderMap) -> Outcome {
        let caller = self.caller(headers)?;
        let code = url::segment_after(path, "traceability");
        let caller_id = caller.id.to_string();
        let rows = self
            .pool
            .query(TRACE, &[Some(&caller_id), code.as_deref()])
            .await?;
        let row = self.admit(caller, &rows, Role::ALL, None).await?;
        let trace: Trace = document(row, "trace")?
            .ok_or_else(|| Kind::LotNotFound.because("No lot has this code."))?;
        Ok(Reply::ok(&trace))
    }
}

/// A JSON document out of a text column, or NULL.
pub(super) fn document<T: DeserializeOwned>(row: &Row, column: &str) -> Result<Option<T>, Problem> {
    let text: Option<&str> = row.try_get(column).map_err(|error| internal(&error))?;
    text.map(serde_json::from_str)
        .transpose()
        .map_err(|error| internal(&error))
}

pub(super) fn internal(error: &dyn std::error::Error) -> Problem {
    eprintln!("{error}");
    Kind::Internal.because("Something went wrong here; the log has the details.")
}

/// Whether the client has this lot already.
fn is_known(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|tag| tag.trim().trim_start_matches("W/"))
        .any(|tag| tag == "*" || tag == etag)
}
