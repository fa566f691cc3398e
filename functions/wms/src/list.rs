//! Lists: a statement that follows caller.sql and has one document per row, read page by page or as a whole.

use crate::cursor::Cursor;
use crate::database::{documents, maybe, text};
use crate::page::{Listed, Page};
use crate::url::Query;
use crate::{Caller, Faults, Outcome, Reply, Role};
use serde::Serialize;
use serde::de::DeserializeOwned;
use spin_sdk::http::Request;
use spin_sdk::pg::ParameterValue;

/// One list.
#[derive(Clone, Copy, Debug)]
pub struct List {
    /// Who may read it.
    pub roles: &'static [Role],
    pub statement: &'static str,
    /// Where the statement has the documents; NULL in a row that is there for the caller's role only.
    pub column: &'static str,
}

// === impl List ===

impl List {
    /// The page that is asked for. `filters` are the statement's parameters from $2 on; behind them come where the page before ended
    /// (its last row's time and id) and how many rows are wanted.
    pub async fn page<T: Listed + DeserializeOwned>(
        &self,
        request: Request,
        filters: impl FnOnce(&Query<'_>, &mut Faults) -> Vec<ParameterValue>,
    ) -> Outcome {
        let caller = Caller::of(request.headers()).await?;
        let query = Query::of(request.uri().query());
        let mut faults = Faults::default();
        let page = Page::of(&query, &mut faults);
        let mut parameters = filters(&query, &mut faults);
        parameters.extend(page.parameters());
        let rows = caller
            .read(self.roles, self.statement, parameters, faults)
            .await?;
        let items: Vec<T> = documents(&rows, self.column)?;
        Ok(page.reply(request.uri().path(), &query, items))
    }

    /// All of it, for what a plant has a few dozen of.
    pub async fn whole<T: Serialize + DeserializeOwned>(&self, request: Request) -> Outcome {
        let caller = Caller::of(request.headers()).await?;
        let rows = caller
            .read(self.roles, self.statement, [], Faults::default())
            .await?;
        let items: Vec<T> = documents(&rows, self.column)?;
        Ok(Reply::ok(&items))
    }
}

// === impl Page ===

impl Page {
    /// The last three parameters of a statement that lists.
    pub fn parameters(&self) -> [ParameterValue; 3] {
        [
            maybe(self.after.as_ref().map(Cursor::at)),
            maybe(self.after.as_ref().map(Cursor::id)),
            text(self.rows()),
        ]
    }
}
