//! A page of runs, newest first.

use spin_sdk::http::Request;
use spin_sdk::pg::ParameterValue;
use wms::cursor::Cursor;
use wms::database::{documents, maybe, text};
use wms::page::Page;
use wms::run::{Run, RunStatus};
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
    let runs: Vec<Run> = documents(&rows, "run")?;
    Ok(page.reply(request.uri().path(), &query, runs))
}

// === impl Filter ===

impl Filter {
    pub fn read(query: &Query<'_>, faults: &mut Faults) -> Self {
        let page = Page::of(query, faults);
        let parameters = vec![
            maybe(
                query
                    .name::<RunStatus>("status", faults)
                    .map(RunStatus::as_str),
            ),
            maybe(page.after.as_ref().map(Cursor::at)),
            maybe(page.after.as_ref().map(Cursor::id)),
            text(page.rows()),
        ];
        Self { page, parameters }
    }
}
