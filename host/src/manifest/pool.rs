//! `[application.tool.flowviz.pool]`: the connections to each database, for all functions together.
//!
//! | key | default | what | range |
//! |---|---|---|---|
//! | `size` | `25` | connections at most; as PgBouncer's `default_pool_size` | 1 - 1000 |
//! | `min_idle` | `2` | connections that stay open when nobody needs them | 0 - `size` |
//! | `idle_timeout` | `"10m"` | beyond those, one that nobody needed for so long is closed | 1s - 24h |
//! | `max_lifetime` | `"30m"` | an older one is replaced, give or take a fifth; below PgBouncer's `server_lifetime` | 1s - 24h |
//! | `statements` | `"auto"` | `unnamed`: works through any pooler; `named`: the server needn't parse and plan them anew; `auto`: named where the server is known to keep names | |
//! | `connect_timeout` | `"3s"` | for connecting, logging in included | 10ms - 1m |

use std::ops::RangeInclusive;
use std::time::Duration;

use super::document::{Item, Section};
use super::settings::{count, duration};
use crate::database::StatementMode;

const SIZE_RANGE: RangeInclusive<u64> = 1..=1_000;
const LONG_RANGE: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
const CONNECT_RANGE: RangeInclusive<Duration> = Duration::from_millis(10)..=Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolSettings {
    /// Connections per database. 25, as PgBouncer's `default_pool_size`: a transaction pooler gives each statement a server
    /// connection of its own, so more of ours would only queue there, where the wait can't be seen or bounded per function.
    pub size: usize,
    /// Connections that are kept open when nobody needs them, so that a quiet time isn't followed by logins.
    pub min_idle: usize,
    pub idle_timeout: Duration,
    /// Below PgBouncer's `server_lifetime` (an hour), so that a move of the database is followed in time.
    pub max_lifetime: Duration,
    pub connect_timeout: Duration,
    pub statements: StatementMode,
}

// === impl PoolSettings ===

impl PoolSettings {
    pub(super) fn read(mut section: Section<'_>) -> Self {
        let default = Self::default();
        let size = count(&mut section, "size", &SIZE_RANGE, default.size);
        let min_idle_range = 0..=u64::try_from(size).unwrap_or(u64::MAX);
        let min_idle = count(
            &mut section,
            "min_idle",
            &min_idle_range,
            default.min_idle.min(size),
        );
        let take = |section: &mut Section<'_>, key, range: &RangeInclusive<Duration>, default| {
            let read = |item: Item<'_>| duration(&item, range);
            section.take(key).and_then(read).unwrap_or(default)
        };
        let statements = section
            .take("statements")
            .and_then(|item| read_statements(&item));
        let settings = Self {
            statements: statements.unwrap_or_default(),
            size,
            min_idle,
            idle_timeout: take(
                &mut section,
                "idle_timeout",
                &LONG_RANGE,
                default.idle_timeout,
            ),
            max_lifetime: take(
                &mut section,
                "max_lifetime",
                &LONG_RANGE,
                default.max_lifetime,
            ),
            connect_timeout: take(
                &mut section,
                "connect_timeout",
                &CONNECT_RANGE,
                default.connect_timeout,
            ),
        };
        section.finish();
        settings
    }

    /// The connections that a function may hold where its `db_quota` doesn't say: four of five, so that none can take them all.
    pub fn default_quota(&self) -> usize {
        (self.size * 4 / 5).max(1)
    }
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self {
            size: 25,
            min_idle: 2,
            idle_timeout: Duration::from_secs(10 * 60),
            max_lifetime: Duration::from_secs(30 * 60),
            connect_timeout: Duration::from_secs(3),
            statements: StatementMode::default(),
        }
    }
}

fn read_statements(item: &Item<'_>) -> Option<StatementMode> {
    match item.text()? {
        "auto" => Some(StatementMode::Auto),
        "unnamed" => Some(StatementMode::Unnamed),
        "named" => Some(StatementMode::Named),
        other => {
            item.error(
                format!("`{other}` is no way of sending statements"),
                "write `auto`, `unnamed` or `named`",
            );
            None
        }
    }
}
