//! Do the sizes of the host's pool, of PgBouncer and of PostgreSQL fit each other? What doesn't is told beforehand, with the line to
//! change, since at work it only shows as time: statements that wait where nobody looks, or connections that are refused under load.
//!
//! Pure: it compares what others have asked.

use std::fmt;
use std::time::Duration;

use super::console::Snapshot;
use super::error::DatabaseError;
use super::simple::{SimpleClient, Table, TableRow};
use super::statements::StatementMode;
use crate::manifest::PoolSettings;

/// Connections to PgBouncer that are not the functions': the console's, a health check's, an exporter's, a person's.
const SPARE_CLIENTS: u64 = 10;

/// Longer than this nobody should wait inside PgBouncer: the host's own bounds are shorter, and say more.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Younger than this no connection to PostgreSQL should have to end: each new one costs a process and a login there.
const SHORTEST_LIFETIME: Duration = Duration::from_secs(60);

/// Something that doesn't fit, and what to change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misfit {
    what: String,
    fix: String,
}

/// How many connections PostgreSQL takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    max_connections: u64,
    /// Of these, what it keeps for superusers and (from 16 on) for the members of `pg_use_reserved_connections`.
    reserved: u64,
}

/// How PgBouncer pools one database.
struct Pooling<'s> {
    snapshot: &'s Snapshot,
    name: &'s str,
    row: TableRow<'s>,
}

/// What doesn't fit, for the pool of the database of this name. Nothing is said of what isn't known.
pub fn misfits(
    host: &PoolSettings,
    database: &str,
    snapshot: &Snapshot,
    server: Option<ServerLimits>,
) -> Vec<Misfit> {
    let Some(row) = snapshot.databases.find("name", database) else {
        return Vec::new();
    };
    let pooling = Pooling {
        snapshot,
        name: database,
        row,
    };
    let pool = host.size as u64;
    let found = [
        pooling.mode(pool),
        pooling.pool_size(pool),
        pooling.database_limit(pool),
        pooling.user_limit(pool),
        pooling.clients(pool),
        server.and_then(|server| pooling.server(server)),
        pooling.idle_clients(host.max_lifetime),
        pooling.server_lifetime(),
        pooling.wait(),
        pooling.names(host.statements),
    ];
    found.into_iter().flatten().collect()
}

// === impl Misfit ===

impl Misfit {
    fn new(what: String, fix: String) -> Option<Self> {
        Some(Self { what, fix })
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; fix: {}", self.what, self.fix)
    }
}

// === impl ServerLimits ===

impl ServerLimits {
    /// Asks the server behind an address, on a connection that lives no longer than this.
    pub async fn ask(address: &str, deadline: Duration) -> Result<Option<Self>, DatabaseError> {
        let question = "SELECT name, setting FROM pg_settings WHERE name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections')";
        let [settings] = SimpleClient::new(address)?
            .ask([question], deadline)
            .await?;
        Ok(Self::read(&settings))
    }

    fn read(settings: &Table) -> Option<Self> {
        let setting = |name| settings.find("name", name)?.number::<u64>("setting");
        let reserved = setting("superuser_reserved_connections").unwrap_or(0)
            + setting("reserved_connections").unwrap_or(0);
        Some(Self {
            max_connections: setting("max_connections")?,
            reserved,
        })
    }
}

// === impl Pooling ===

impl Pooling<'_> {
    fn mode(&self, pool: u64) -> Option<Misfit> {
        let own = self.row.text("pool_mode").filter(|mode| !mode.is_empty());
        let mode = own.or_else(|| self.snapshot.setting("pool_mode"))?;
        let what = match mode {
            "transaction" => return None,
            "session" => format!(
                "PgBouncer's pool_mode for `{}` is session: each of this host's {pool} connections keeps a server connection for as long as it lives, used or not",
                self.name
            ),
            _ => format!(
                "PgBouncer's pool_mode for `{}` is {mode}: a function's transaction would not stay on its server connection",
                self.name
            ),
        };
        let fix = match own {
            Some(_) => format!(
                "remove `pool_mode` from the line `{}` of [databases]",
                self.name
            ),
            None => "set `pool_mode = transaction` in pgbouncer.ini".to_owned(),
        };
        Misfit::new(what, fix)
    }

    fn pool_size(&self, pool: u64) -> Option<Misfit> {
        let size: u64 = self.row.number("pool_size")?;
        if pool <= size {
            return None;
        }
        let rescue = match self.reserve() {
            0 => String::new(),
            reserve => format!(
                " (the {reserve} in reserve join only after {} s)",
                self.snapshot
                    .setting("reserve_pool_timeout")
                    .unwrap_or("some")
            ),
        };
        Misfit::new(
            format!(
                "this host's pool has {pool} connections, and PgBouncer lends `{}` {size} server connections{rescue}: the other statements wait inside PgBouncer, unseen by the host",
                self.name
            ),
            format!(
                "set `default_pool_size = {pool}` in pgbouncer.ini, or `pool_size={pool}` in the line `{}` of [databases]; more for several hosts; or lower `pool.size` in [application.tool.flowviz] to {size}",
                self.name
            ),
        )
    }

    fn database_limit(&self, pool: u64) -> Option<Misfit> {
        let limit: u64 = self.row.number("max_connections")?;
        if limit == 0 || pool <= limit {
            return None;
        }
        Misfit::new(
            format!(
                "this host's pool has {pool} connections, and PgBouncer opens {limit} at most to `{}`",
                self.name
            ),
            format!(
                "set `max_db_connections` in pgbouncer.ini (or `max_connections` in the line `{}` of [databases]) to {} or more, or to 0",
                self.name,
                pool + self.reserve()
            ),
        )
    }

    fn user_limit(&self, pool: u64) -> Option<Misfit> {
        let limit = self.number("max_user_connections")?;
        if limit == 0 || pool <= limit {
            return None;
        }
        Misfit::new(
            format!(
                "this host's pool has {pool} connections, and PgBouncer opens {limit} at most for one user"
            ),
            format!(
                "set `max_user_connections` in pgbouncer.ini to {} or more, or to 0",
                pool + self.reserve()
            ),
        )
    }

    fn clients(&self, pool: u64) -> Option<Misfit> {
        let limit = self.number("max_client_conn")?;
        let needed = pool + SPARE_CLIENTS;
        if needed <= limit {
            return None;
        }
        Misfit::new(
            format!(
                "PgBouncer takes {limit} clients at most, and this host alone has {pool} connections, beside the console, exporters and people"
            ),
            format!(
                "set `max_client_conn` in pgbouncer.ini to {needed} or more: {pool} for each host and {SPARE_CLIENTS} to spare"
            ),
        )
    }

    /// All databases on the same server, each with one user: what PgBouncer may open there.
    fn server(&self, limits: ServerLimits) -> Option<Misfit> {
        let place = |row: TableRow<'_>| {
            ["host", "port"].map(|column| row.text(column).unwrap_or_default().to_owned())
        };
        let here = place(self.row);
        let opened: u64 = self
            .snapshot
            .databases
            .rows()
            .filter(|row| place(*row) == here)
            .map(|row| {
                let all = row.number("pool_size").unwrap_or(0) + reserve(row);
                match row.number("max_connections").unwrap_or(0) {
                    0 => all,
                    limit => all.min(limit),
                }
            })
            .sum();
        let needed = opened + limits.reserved;
        if needed <= limits.max_connections {
            return None;
        }
        Misfit::new(
            format!(
                "PgBouncer may open {opened} connections (its pools and their reserve), and PostgreSQL takes {}, {} of them for superusers: the last ones are refused",
                limits.max_connections, limits.reserved
            ),
            format!(
                "set `max_connections` in postgresql.conf to {needed} or more (and restart PostgreSQL), or lower `default_pool_size` or `reserve_pool_size` in pgbouncer.ini"
            ),
        )
    }

    fn idle_clients(&self, lifetime: Duration) -> Option<Misfit> {
        let timeout = self.seconds("client_idle_timeout")?;
        // The pool's lifetimes vary by a fifth.
        let lifetime = lifetime.mul_f64(1.2);
        if timeout.is_zero() || timeout > lifetime {
            return None;
        }
        Misfit::new(
            format!(
                "PgBouncer closes clients that are idle for {} s, and the host keeps its connections for up to {} s: it finds them closed, or loses a statement to one that closes just then",
                timeout.as_secs_f64(),
                lifetime.as_secs()
            ),
            format!(
                "set `client_idle_timeout` in pgbouncer.ini to 0, or above {}",
                lifetime.as_secs()
            ),
        )
    }

    fn server_lifetime(&self) -> Option<Misfit> {
        let own = self
            .row
            .number("server_lifetime")
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let lifetime = own.or_else(|| self.seconds("server_lifetime"))?;
        if lifetime >= SHORTEST_LIFETIME {
            return None;
        }
        Misfit::new(
            format!(
                "PgBouncer closes its connections to PostgreSQL after {} s, so it logs in there all the time",
                lifetime.as_secs_f64()
            ),
            "set `server_lifetime` in pgbouncer.ini to 3600".to_owned(),
        )
    }

    fn wait(&self) -> Option<Misfit> {
        let wait = self.seconds("query_wait_timeout")?;
        let seconds = wait.as_secs_f64();
        let connect = self.seconds("server_connect_timeout").unwrap_or_default();
        let reserve = self.seconds("reserve_pool_timeout").unwrap_or_default();
        let what = if wait.is_zero() {
            "a statement waits inside PgBouncer for ever when PostgreSQL is gone or all server connections are taken".to_owned()
        } else if wait > LONGEST_WAIT {
            format!(
                "a statement waits inside PgBouncer for up to {seconds} s when PostgreSQL is gone or all server connections are taken, longer than the host lets one wait"
            )
        } else if wait < connect {
            format!(
                "PgBouncer gives waiting statements up after {seconds} s, before its own attempt to connect to PostgreSQL ends ({} s)",
                connect.as_secs_f64()
            )
        } else if self.reserve() > 0 && wait <= reserve {
            format!(
                "PgBouncer gives waiting statements up after {seconds} s, and lends the reserve only after {} s: it helps nobody",
                reserve.as_secs_f64()
            )
        } else {
            return None;
        };
        Misfit::new(
            what,
            "set `query_wait_timeout = 5`, `server_connect_timeout = 3` and `reserve_pool_timeout = 3` in pgbouncer.ini"
                .to_owned(),
        )
    }

    /// Before 1.21 there is no such setting.
    fn names(&self, statements: StatementMode) -> Option<Misfit> {
        let tracked = self.number("max_prepared_statements").unwrap_or(0);
        if statements != StatementMode::Named || tracked > 0 || self.snapshot.config.is_empty() {
            return None;
        }
        Misfit::new(
            "the host gives statements names, and this PgBouncer keeps none (`max_prepared_statements`, from 1.21 on): they fail by chance".to_owned(),
            "set `pool.statements = \"auto\"` in [application.tool.flowviz], or `max_prepared_statements = 200` in pgbouncer.ini of 1.21 or later".to_owned(),
        )
    }

    fn reserve(&self) -> u64 {
        reserve(self.row)
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.snapshot.setting(key)?.parse().ok()
    }

    fn seconds(&self, key: &str) -> Option<Duration> {
        Duration::try_from_secs_f64(self.snapshot.setting(key)?.parse().ok()?).ok()
    }
}

/// Connections beyond a pool's size, under the column's name before and after 1.24.
fn reserve(row: TableRow<'_>) -> u64 {
    row.number("reserve_pool_size")
        .or_else(|| row.number("reserve_pool"))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[&str] = &[
        "name",
        "host",
        "port",
        "pool_size",
        "reserve_pool",
        "pool_mode",
        "max_connections",
    ];

    /// The repository's settings, some of them changed.
    fn snapshot(changed: &[(&str, &str)], databases: Table) -> Snapshot {
        let mut config = vec![
            ("pool_mode", "transaction"),
            ("max_client_conn", "1200"),
            ("max_user_connections", "0"),
            ("reserve_pool_timeout", "3"),
            ("query_wait_timeout", "5"),
            ("server_connect_timeout", "3"),
            ("server_lifetime", "3600"),
            ("client_idle_timeout", "0"),
        ];
        for (key, value) in &mut config {
            if let Some((_, new)) = changed.iter().find(|(name, _)| name == key) {
                *value = new;
            }
        }
        let rows: Vec<_> = config.iter().map(|(key, value)| [*key, *value]).collect();
        let rows: Vec<&[&str]> = rows.iter().map(<[&str; 2]>::as_slice).collect();
        Snapshot {
            config: Table::new(&["key", "value"], &rows),
            databases,
            ..Snapshot::default()
        }
    }

    fn database(row: [&str; 7]) -> Table {
        let console = ["pgbouncer", "", "6432", "2", "0", "statement", "0"];
        Table::new(COLUMNS, &[&row, &console])
    }

    fn usual() -> Table {
        database(["flowviz", "127.0.0.1", "5432", "25", "5", "", "0"])
    }

    const SERVER: ServerLimits = ServerLimits {
        max_connections: 100,
        reserved: 3,
    };

    fn found(snapshot: &Snapshot, server: ServerLimits) -> Vec<String> {
        misfits(&PoolSettings::default(), "flowviz", snapshot, Some(server))
            .iter()
            .map(Misfit::to_string)
            .collect()
    }

    #[test]
    fn the_repositorys_settings_fit() {
        assert_eq!(found(&snapshot(&[], usual()), SERVER), Vec::<String>::new());
    }

    #[test]
    fn each_setting_that_does_not_fit_is_named_with_its_fix() {
        let cases = [
            ("pool_mode", "session", "set `pool_mode = transaction`"),
            ("pool_mode", "statement", "set `pool_mode = transaction`"),
            (
                "max_client_conn",
                "34",
                "set `max_client_conn` in pgbouncer.ini to 35",
            ),
            (
                "max_user_connections",
                "24",
                "set `max_user_connections` in pgbouncer.ini to 30",
            ),
            (
                "client_idle_timeout",
                "2160",
                "`client_idle_timeout` in pgbouncer.ini to 0, or above 2160",
            ),
            (
                "server_lifetime",
                "0",
                "set `server_lifetime` in pgbouncer.ini to 3600",
            ),
            ("query_wait_timeout", "0", "set `query_wait_timeout = 5`"),
            ("query_wait_timeout", "120", "set `query_wait_timeout = 5`"),
            ("query_wait_timeout", "2.5", "before its own attempt"),
            ("query_wait_timeout", "3", "it helps nobody"),
            ("server_connect_timeout", "15", "before its own attempt"),
        ];
        for (key, value, told) in cases {
            let found = found(&snapshot(&[(key, value)], usual()), SERVER);
            assert!(
                found.len() == 1 && found.iter().all(|text| text.contains(told)),
                "{key} = {value}: {found:?}"
            );
        }
        for (key, value) in [
            ("max_client_conn", "35"),
            ("client_idle_timeout", "2161"),
            ("server_lifetime", "60"),
            ("query_wait_timeout", "10"),
        ] {
            let found = found(&snapshot(&[(key, value)], usual()), SERVER);
            assert_eq!(found, Vec::<String>::new(), "{key} = {value}");
        }
    }

    #[test]
    fn names_need_a_pooler_that_keeps_them() {
        let named = PoolSettings {
            statements: StatementMode::Named,
            ..PoolSettings::default()
        };
        let told = |tracked: &[(&str, &str)]| {
            let mut snapshot = snapshot(&[], usual());
            let rows: Vec<_> = tracked.iter().map(|(key, value)| [*key, *value]).collect();
            let rows: Vec<&[&str]> = rows.iter().map(<[&str; 2]>::as_slice).collect();
            snapshot.config = Table::new(&["key", "value"], &rows);
            misfits(&named, "flowviz", &snapshot, None).len()
        };
        assert_eq!(told(&[("pool_mode", "transaction")]), 1);
        assert_eq!(told(&[("max_prepared_statements", "0")]), 1);
        assert_eq!(told(&[("max_prepared_statements", "200")]), 0);
    }

    #[test]
    fn a_database_of_its_own_size_and_mode_is_told_by_its_line() {
        let small = database(["flowviz", "127.0.0.1", "5432", "5", "5", "session", "10"]);
        let found = found(&snapshot(&[], small), SERVER);
        let told = [
            "remove `pool_mode` from the line `flowviz`",
            "25 connections, and PgBouncer lends `flowviz` 5 server connections (the 5 in reserve join only after 3 s)",
            "opens 10 at most to `flowviz`",
        ];
        assert_eq!(found.len(), told.len(), "{found:?}");
        for (found, told) in found.iter().zip(told) {
            assert!(found.contains(told), "{found}");
        }
    }

    #[test]
    fn the_server_has_room_for_all_that_the_pooler_opens_there() {
        let here = ["flowviz", "127.0.0.1", "5432", "25", "5", "", "0"];
        let limited = ["reports", "127.0.0.1", "5432", "25", "5", "", "7"];
        let elsewhere = ["other", "127.0.0.1", "5433", "25", "5", "", "0"];
        let databases = Table::new(COLUMNS, &[&here, &limited, &elsewhere]);
        let snapshot = snapshot(&[], databases);
        let exactly = ServerLimits {
            max_connections: 30 + 7 + 3,
            reserved: 3,
        };
        assert_eq!(found(&snapshot, exactly), Vec::<String>::new());
        let one_less = ServerLimits {
            max_connections: exactly.max_connections - 1,
            ..exactly
        };
        let found = found(&snapshot, one_less);
        assert!(
            found.len() == 1
                && found
                    .iter()
                    .all(|text| text.contains("set `max_connections` in postgresql.conf to 40")),
            "{found:?}"
        );
    }

    #[test]
    fn nothing_is_said_of_what_is_not_known() {
        let unknown = misfits(
            &PoolSettings::default(),
            "flowviz",
            &Snapshot::default(),
            None,
        );
        assert_eq!(unknown, []);
        let limits = ServerLimits::read(&Table::new(
            &["setting", "name"],
            &[
                &["100", "max_connections"],
                &["3", "superuser_reserved_connections"],
            ],
        ));
        assert_eq!(limits, Some(SERVER));
        assert_eq!(ServerLimits::read(&Table::default()), None);
    }
}
