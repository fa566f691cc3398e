//! A page of decisions, newest first, by any of the filters together.

use spin_sdk::http::Request;
use spin_sdk::pg::ParameterValue;
use wms::cursor::Cursor;
use wms::database::{documents, maybe, text};
use wms::decision::{Decision, Verdict};
use wms::page::Page;
use wms::url::Query;
use wms::{Caller, Faults, Name as _, Outcome, Role};

/// Gates are numbered with at most one decimal today (6.5); two more don't hurt.
const GATE_NUMBER_SCALE: u32 = 3;

/// What the list is narrowed by.
pub struct Filter {
    page: Page,
    parameters: Vec<ParameterValue>,
}

pub async fn list(request: Request) -> Outcome {
    let caller = Caller::of(request.headers()).await?;
    let query = Query::of(request.uri().query());
    let mut faults = Faults::default();
    let Filter { page, parameters } = Filter::read(&query, &mut faults);
    let rows = caller
        .read(Role::ALL, include_str!("list.sql"), parameters, faults)
        .await?;
    let decisions: Vec<Decision> = documents(&rows, "decision")?;
    Ok(page.reply(request.uri().path(), &query, decisions))
}

// === impl Filter ===

impl Filter {
    pub fn read(query: &Query<'_>, faults: &mut Faults) -> Self {
        let page = Page::of(query, faults);
        let parameters = vec![
            maybe(query.uuid("lot_id", faults)),
            maybe(
                query
                    .name::<Verdict>("decision", faults)
                    .map(Verdict::as_str),
            ),
            maybe(query.decimal::<GATE_NUMBER_SCALE>("gate_number", faults)),
            maybe(page.after.as_ref().map(Cursor::at)),
            maybe(page.after.as_ref().map(Cursor::id)),
            text(page.rows()),
        ];
        Self { page, parameters }
    }
}
