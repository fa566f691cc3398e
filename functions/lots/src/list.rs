//! A page of lots, newest first, by any of the filters together.

use spin_sdk::http::Request;
use spin_sdk::pg::ParameterValue;
use wms::cursor::Cursor;
use wms::database::{documents, maybe, text};
use wms::lot::{Lot, LotStatus, LotType};
use wms::page::Page;
use wms::url::Query;
use wms::{Caller, Faults, Name as _, Outcome, Role};

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
    let lots: Vec<Lot> = documents(&rows, "lot")?;
    Ok(page.reply(request.uri().path(), &query, lots))
}

// === impl Filter ===

impl Filter {
    pub fn read(query: &Query<'_>, faults: &mut Faults) -> Self {
        let page = Page::of(query, faults);
        let parameters = vec![
            maybe(
                query
                    .name::<LotType>("lot_type", faults)
                    .map(LotType::as_str),
            ),
            maybe(query.uuid("production_run_id", faults)),
            maybe(
                query
                    .name::<LotStatus>("status", faults)
                    .map(LotStatus::as_str),
            ),
            maybe(query.text("code_prefix", faults)),
            maybe(query.time("created_from", faults)),
            maybe(query.time("created_to", faults)),
            maybe(page.after.as_ref().map(Cursor::at)),
            maybe(page.after.as_ref().map(Cursor::id)),
            text(page.rows()),
        ];
        Self { page, parameters }
    }
}
