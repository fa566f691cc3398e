//! A page of decisions, newest first, by any of the filters together.

use crate::decision::{Decision, Verdict};
use spin_sdk::http::Request;
use wms::cursor::Cursor;
use wms::database::{maybe, text};
use wms::page::Page;
use wms::url::Query;
use wms::{Caller, Faults, Name as _, Outcome};

/// Gates are numbered with at most one decimal today (6.5); two more don't hurt.
const GATE_NUMBER_SCALE: u32 = 3;

pub async fn list(request: Request) -> Outcome {
    let caller = Caller::of(request.headers()).await?;
    let query = Query::of(request.uri().query());
    let mut faults = Faults::default();
    let page = Page::of(&query, &mut faults);
    let parameters = vec![
        text(caller.id),
        maybe(query.uuid("lot_id", &mut faults)),
        maybe(
            query
                .name::<Verdict>("decision", &mut faults)
                .map(Verdict::as_str),
        ),
        maybe(query.decimal::<GATE_NUMBER_SCALE>("gate_number", &mut faults)),
        maybe(page.after.as_ref().map(Cursor::at)),
        maybe(page.after.as_ref().map(Cursor::id)),
        text(page.rows()),
    ];

    let rows = caller
        .list(include_str!("list.sql"), parameters, faults)
        .await?;
    let decisions = rows
        .iter()
        .filter_map(|row| Decision::of(row).transpose())
        .collect::<Result<Vec<_>, _>>()?;
    Ok(page.reply(request.uri().path(), &query, decisions))
}
