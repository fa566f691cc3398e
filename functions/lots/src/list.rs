//! A page of lots, newest first, by any of the filters together.

use spin_sdk::http::Request;
use wms::cursor::Cursor;
use wms::database::{maybe, text};
use wms::lot::{Lot, LotStatus, LotType};
use wms::page::Page;
use wms::url::Query;
use wms::{Caller, Faults, Name as _, Outcome};

pub async fn list(request: Request) -> Outcome {
    let caller = Caller::of(request.headers()).await?;
    let query = Query::of(request.uri().query());
    let mut faults = Faults::default();
    let page = Page::of(&query, &mut faults);
    let parameters = vec![
        text(caller.id),
        maybe(
            query
                .name::<LotType>("lot_type", &mut faults)
                .map(LotType::as_str),
        ),
        maybe(query.uuid("production_run_id", &mut faults)),
        maybe(
            query
                .name::<LotStatus>("status", &mut faults)
                .map(LotStatus::as_str),
        ),
        maybe(query.text("code_prefix", &mut faults)),
        maybe(query.time("created_from", &mut faults)),
        maybe(query.time("created_to", &mut faults)),
        maybe(page.after.as_ref().map(Cursor::at)),
        maybe(page.after.as_ref().map(Cursor::id)),
        text(page.rows()),
    ];

    let rows = caller
        .list(include_str!("list.sql"), parameters, faults)
        .await?;
    let lots = rows
        .iter()
        .filter_map(|row| Lot::of(row).transpose())
        .collect::<Result<Vec<_>, _>>()?;
    Ok(page.reply(request.uri().path(), &query, lots))
}
