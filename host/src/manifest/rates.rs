//! `rate_limits` of a function: how often one user, one address or one text in the body may ask.

use std::fmt;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::time::Duration;

use http::Method;

use super::document::{Item, Section};
use super::methods;
use super::settings::{duration, within};
use super::suggest::nearest;

const MAX_RULES: usize = 8;
const REQUESTS_RANGE: RangeInclusive<u64> = 1..=1_000_000;
const WINDOW_RANGE: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
const FIELD_PREFIX: &str = "body.";

/// One rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// What it is for; `None` is every method. GET includes HEAD.
    pub methods: Option<Vec<Method>>,
    pub per: Per,
    /// In a `window`, and at once.
    pub requests: NonZeroU32,
    /// Whole seconds.
    pub window: Duration,
}

/// Whose requests are counted together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Per {
    /// The user of the token, or the address where there is no valid one.
    User,
    /// The client's address.
    Address,
    /// The text of this field at the top of the JSON body.
    Field(Box<str>),
}

// === impl Per ===

impl Per {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "user" => Some(Self::User),
            "address" => Some(Self::Address),
            _ => {
                let field = text.strip_prefix(FIELD_PREFIX)?;
                // It stands in a header, between quotes.
                let is_mark = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
                (!field.is_empty() && field.bytes().all(is_mark)).then(|| Self::Field(field.into()))
            }
        }
    }
}

impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User => f.write_str("user"),
            Self::Address => f.write_str("address"),
            Self::Field(field) => write!(f, "{FIELD_PREFIX}{field}"),
        }
    }
}

/// The rules, each with its place. `taken` are the function's methods.
pub(super) fn read<'d>(item: &Item<'d>, taken: Option<&[Method]>) -> Vec<(RateLimit, Item<'d>)> {
    let items = item.list().unwrap_or_default();
    if items.len() > MAX_RULES {
        item.error(
            format!("{} rules are too many", items.len()),
            format!("keep at most {MAX_RULES}"),
        );
    }
    items
        .into_iter()
        .filter_map(|item| Some((read_one(item.table()?, taken)?, item)))
        .collect()
}

fn read_one(mut section: Section<'_>, taken: Option<&[Method]>) -> Option<RateLimit> {
    let methods = section
        .take("methods")
        .and_then(|item| read_methods(&item, taken));
    let per = section.take("per");
    let requests = section.require("requests", "requests = 200");
    let window = section.require("window", "window = \"1m\"");
    section.finish();

    let per = per.map_or(Some(Per::User), |item| read_per(&item));
    let requests = requests.and_then(|item| {
        within(&item, item.unsigned("200")?, &REQUESTS_RANGE, |n| {
            n.to_string()
        })
    });
    let window = window.and_then(|item| read_window(&item));
    Some(RateLimit {
        methods,
        per: per?,
        requests: NonZeroU32::new(u32::try_from(requests?).ok()?)?,
        window: window?,
    })
}

fn read_methods(item: &Item<'_>, taken: Option<&[Method]>) -> Option<Vec<Method>> {
    let methods = methods::read(item, "a rule for no method limits nothing")?;
    for method in &methods {
        if !methods::include(taken, method) {
            item.warn(
                format!("the function doesn't take `{method}`, so nothing is limited"),
                "remove it, or add it to the function's `methods`",
            );
        }
    }
    Some(methods)
}

fn read_per(item: &Item<'_>) -> Option<Per> {
    let text = item.text()?;
    let per = Per::parse(text);
    if per.is_none() {
        let fix = match nearest(text, ["user", "address"]) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "use one of `user`, `address` and `body.<field>`, where the field's name is letters, digits, `_` and `-`".into(),
        };
        item.error(format!("`{text}` is nothing to count by"), fix);
    }
    per
}

fn read_window(item: &Item<'_>) -> Option<Duration> {
    let window = duration(item, &WINDOW_RANGE)?;
    if window.subsec_nanos() != 0 {
        item.error(
            "clients are told the window in whole seconds",
            "write for example `window = \"1m\"`",
        );
        return None;
    }
    Some(window)
}
