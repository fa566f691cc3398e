//! A page of users, newest first.

use crate::create::CREATE;
use spin_sdk::http::Request;
use wms::cursor::Cursor;
use wms::database::{documents, maybe, text};
use wms::page::Page;
use wms::url::Query;
use wms::user::User;
use wms::{Caller, Faults, Outcome};

pub async fn list(request: Request) -> Outcome {
    let caller = Caller::of(request.headers()).await?;
    let query = Query::of(request.uri().query());
    let mut faults = Faults::default();
    let page = Page::of(&query, &mut faults);
    let parameters = [
        maybe(page.after.as_ref().map(Cursor::at)),
        maybe(page.after.as_ref().map(Cursor::id)),
        text(page.rows()),
    ];
    let rows = caller
        .read(CREATE.roles, include_str!("list.sql"), parameters, faults)
        .await?;
    let users: Vec<User> = documents(&rows, "person")?;
    Ok(page.reply(request.uri().path(), &query, users))
}
