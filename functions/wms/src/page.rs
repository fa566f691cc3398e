//! Pages of a list: `limit` and `cursor` in, `Link: <...>; rel="next"` out while there is more.

use crate::cursor::Cursor;
use crate::url::Query;
use crate::{Faults, Reply};
use http::header::LINK;
use serde::Serialize;

const LIMIT_DEFAULT: usize = 100;
const LIMIT_MAX: usize = 200;

/// Which page is asked for.
#[derive(Clone, Copy, Debug)]
pub struct Page {
    limit: usize,
    pub after: Option<Cursor>,
}

/// What has a place in a list.
pub trait Listed: Serialize {
    fn cursor(&self) -> Option<Cursor>;
}

// === impl Page ===

impl Page {
    pub fn of(query: &Query<'_>, faults: &mut Faults) -> Self {
        let limit = query
            .integer("limit", 1..=LIMIT_MAX, faults)
            .unwrap_or(LIMIT_DEFAULT);
        let given = query.text("cursor", faults);
        let after = given.and_then(Cursor::decode);
        if given.is_some() && after.is_none() {
            faults.query("cursor", "value_error", "is not a cursor of this list");
        }
        Self { limit, after }
    }

    /// How many rows to ask for: one more than are shown tells whether there is a next page.
    pub fn rows(&self) -> usize {
        self.limit + 1
    }

    /// The page, and the way to the next one.
    pub fn reply<T: Listed>(&self, path: &str, query: &Query<'_>, mut items: Vec<T>) -> Reply {
        let more = items.len() > self.limit;
        items.truncate(self.limit);
        let reply = Reply::ok(&items);
        match items.last().filter(|_| more).and_then(T::cursor) {
            Some(last) => reply.header(
                LINK,
                &format!(
                    "<{path}?{}>; rel=\"next\"",
                    query.with("cursor", &last.encode())
                ),
            ),
            None => reply,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Serialize)]
    struct Item(u8);

    impl Listed for Item {
        fn cursor(&self) -> Option<Cursor> {
            Cursor::new("2026-01-15T06:00:00Z", uuid::Uuid::from_u128(self.0.into()))
        }
    }

    #[test]
    fn links_to_the_next_page_while_there_is_one() {
        let query = Query::of(Some("limit=2&lot_type=RAW"));
        let page = Page::of(&query, &mut Faults::default());
        assert_eq!(page.rows(), 3);

        let (parts, body) = page
            .reply("/api/lots", &query, vec![Item(1), Item(2), Item(3)])
            .into_parts();
        assert_eq!(body, b"[1,2]");
        let cursor = Item(2).cursor().unwrap().encode();
        assert_eq!(
            parts.headers["link"],
            format!("</api/lots?limit=2&lot_type=RAW&cursor={cursor}>; rel=\"next\"").as_str()
        );

        let (parts, _) = page
            .reply("/api/lots", &query, vec![Item(1), Item(2)])
            .into_parts();
        assert!(parts.headers.get("link").is_none());
    }

    #[test]
    fn refuses_other_limits_and_cursors() {
        for query in [
            "limit=0",
            "limit=201",
            "limit=-1",
            "limit=ten",
            "limit=1.0",
            "cursor=x",
        ] {
            let mut faults = Faults::default();
            Page::of(&Query::of(Some(query)), &mut faults);
            assert!(!faults.is_empty(), "{query}");
        }
    }
}
