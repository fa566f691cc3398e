//! The families: which column of which table becomes which metric.

/// A metric, and where its values are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Family {
    pub name: &'static str,
    pub help: &'static str,
    pub kind: Kind,
    /// A value is the sum of these columns, as far as this version of PgBouncer has them. Where it has none, there is no value.
    pub columns: &'static [Column],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
}

/// A column (or, of `SHOW LISTS` and `SHOW CONFIG`, a row) and how many of its units are one of ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub name: &'static str,
    pub per_unit: f64,
}

/// The labels of a table's rows, in alphabetical order: the label, and the column that it comes from.
pub(super) type Labels = &'static [(&'static str, &'static str)];

const fn one(name: &'static str) -> Column {
    Column {
        name,
        per_unit: 1.0,
    }
}

const fn micros(name: &'static str) -> Column {
    Column {
        name,
        per_unit: 1e6,
    }
}

const fn gauge(name: &'static str, columns: &'static [Column], help: &'static str) -> Family {
    Family {
        name,
        help,
        kind: Kind::Gauge,
        columns,
    }
}

const fn counter(name: &'static str, columns: &'static [Column], help: &'static str) -> Family {
    Family {
        name,
        help,
        kind: Kind::Counter,
        columns,
    }
}

pub(super) const UP: Family = gauge(
    "pgbouncer_up",
    &[],
    "1 if PgBouncer's console answers, else 0.",
);

pub(super) const VERSION: Family = gauge(
    "pgbouncer_version_info",
    &[],
    "PgBouncer's version; always 1.",
);

pub(super) const POOL_LABELS: Labels = &[("database", "database"), ("user", "user")];

/// `SHOW POOLS`
pub(super) const POOLS: &[Family] = &[
    gauge(
        "pgbouncer_pools_client_active_connections",
        &[one("cl_active")],
        "Clients that have a server connection, or are idle.",
    ),
    gauge(
        "pgbouncer_pools_client_waiting_connections",
        &[one("cl_waiting")],
        "Clients that have sent a statement and wait for a server connection.",
    ),
    gauge(
        "pgbouncer_pools_client_active_cancel_connections",
        &[one("cl_active_cancel_req")],
        "Clients whose request to cancel was passed on, and that wait for the server's answer.",
    ),
    gauge(
        "pgbouncer_pools_client_waiting_cancel_connections",
        &[one("cl_waiting_cancel_req")],
        "Clients whose request to cancel was not passed on yet.",
    ),
    gauge(
        "pgbouncer_pools_server_active_connections",
        &[one("sv_active")],
        "Server connections that are lent to a client.",
    ),
    gauge(
        "pgbouncer_pools_server_active_cancel_connections",
        &[one("sv_active_cancel")],
        "Server connections that pass on a request to cancel.",
    ),
    gauge(
        "pgbouncer_pools_server_being_canceled_connections",
        &[one("sv_being_canceled")],
        "Server connections that could be idle, but wait for the end of requests to cancel what ran on them.",
    ),
    gauge(
        "pgbouncer_pools_server_idle_connections",
        &[one("sv_idle")],
        "Server connections that can be lent at once.",
    ),
    gauge(
        "pgbouncer_pools_server_used_connections",
        &[one("sv_used")],
        "Server connections idle for longer than server_check_delay: server_check_query runs before they are lent.",
    ),
    gauge(
        "pgbouncer_pools_server_testing_connections",
        &[one("sv_tested")],
        "Server connections on which server_reset_query or server_check_query runs.",
    ),
    gauge(
        "pgbouncer_pools_server_login_connections",
        &[one("sv_login")],
        "Server connections that are logging in.",
    ),
    gauge(
        "pgbouncer_pools_client_maxwait_seconds",
        &[one("maxwait"), micros("maxwait_us")],
        "How long the client that waits longest has waited for a server connection.",
    ),
];

pub(super) const STATS_TOTALS_LABELS: Labels = &[("database", "database")];

/// `SHOW STATS_TOTALS`
pub(super) const STATS_TOTALS: &[Family] = &[
    counter(
        "pgbouncer_stats_totals_queries_pooled_total",
        &[one("query_count")],
        "Statements.",
    ),
    counter(
        "pgbouncer_stats_totals_sql_transactions_pooled_total",
        &[one("xact_count")],
        "Transactions, single statements among them.",
    ),
    counter(
        "pgbouncer_stats_totals_queries_duration_seconds_total",
        &[micros("query_time")],
        "Time that statements took.",
    ),
    counter(
        "pgbouncer_stats_totals_server_in_transaction_seconds_total",
        &[micros("xact_time")],
        "Time that transactions took, idle ones among them.",
    ),
    counter(
        "pgbouncer_stats_totals_client_wait_seconds_total",
        &[micros("wait_time")],
        "Time that clients waited for a server connection.",
    ),
    counter(
        "pgbouncer_stats_totals_received_bytes_total",
        &[one("bytes_received")],
        "Bytes received from clients.",
    ),
    counter(
        "pgbouncer_stats_totals_sent_bytes_total",
        &[one("bytes_sent")],
        "Bytes sent to clients.",
    ),
    counter(
        "pgbouncer_stats_totals_server_assignments_total",
        &[one("server_assignment_count")],
        "Server connections lent to clients (PgBouncer 1.24 and later).",
    ),
    counter(
        "pgbouncer_stats_totals_client_parses_total",
        &[one("client_parse_count")],
        "Prepared statements that clients made (PgBouncer 1.24 and later).",
    ),
    counter(
        "pgbouncer_stats_totals_server_parses_total",
        &[one("server_parse_count")],
        "Prepared statements that PgBouncer made on server connections (1.24 and later).",
    ),
    counter(
        "pgbouncer_stats_totals_binds_total",
        &[one("bind_count")],
        "Executions of prepared statements (PgBouncer 1.24 and later).",
    ),
];

pub(super) const DATABASE_LABELS: Labels = &[
    ("database", "database"),
    ("force_user", "force_user"),
    ("host", "host"),
    ("name", "name"),
    ("pool_mode", "pool_mode"),
    ("port", "port"),
];

/// `SHOW DATABASES`
pub(super) const DATABASES: &[Family] = &[
    gauge(
        "pgbouncer_databases_pool_size",
        &[one("pool_size")],
        "Server connections that each of the database's pools may have.",
    ),
    // The column's name was another before 1.24.
    gauge(
        "pgbouncer_databases_reserve_pool",
        &[one("reserve_pool"), one("reserve_pool_size")],
        "Server connections beyond the pool's size, for clients that waited too long.",
    ),
    gauge(
        "pgbouncer_databases_current_connections",
        &[one("current_connections")],
        "Server connections to this database.",
    ),
    gauge(
        "pgbouncer_databases_max_connections",
        &[one("max_connections")],
        "Server connections that all pools of the database may have together; 0 is no limit.",
    ),
    gauge(
        "pgbouncer_databases_paused",
        &[one("paused")],
        "1 while the database is paused, else 0.",
    ),
    gauge(
        "pgbouncer_databases_disabled",
        &[one("disabled")],
        "1 while the database is disabled, else 0.",
    ),
];

/// `SHOW LISTS`: each row is a metric.
pub(super) const LISTS: &[Family] = &[
    gauge("pgbouncer_databases", &[one("databases")], "Databases."),
    gauge("pgbouncer_users", &[one("users")], "Users."),
    gauge("pgbouncer_pools", &[one("pools")], "Pools."),
    gauge(
        "pgbouncer_free_clients",
        &[one("free_clients")],
        "Places for clients that are allocated and not taken.",
    ),
    gauge(
        "pgbouncer_used_clients",
        &[one("used_clients")],
        "Clients: what max_client_conn limits.",
    ),
    gauge(
        "pgbouncer_login_clients",
        &[one("login_clients")],
        "Clients that are logging in.",
    ),
    gauge(
        "pgbouncer_free_servers",
        &[one("free_servers")],
        "Places for server connections that are allocated and not taken.",
    ),
    gauge(
        "pgbouncer_used_servers",
        &[one("used_servers")],
        "Server connections.",
    ),
    gauge(
        "pgbouncer_cached_dns_names",
        &[one("dns_names")],
        "DNS names in the cache.",
    ),
    gauge(
        "pgbouncer_cached_dns_zones",
        &[one("dns_zones")],
        "DNS zones in the cache.",
    ),
    gauge(
        "pgbouncer_in_flight_dns_queries",
        &[one("dns_queries")],
        "DNS queries under way.",
    ),
];

/// `SHOW CONFIG`: each of these rows is a metric.
pub(super) const SETTINGS: &[Family] = &[
    gauge(
        "pgbouncer_config_max_client_connections",
        &[one("max_client_conn")],
        "Clients that PgBouncer takes at most.",
    ),
    gauge(
        "pgbouncer_config_max_user_connections",
        &[one("max_user_connections")],
        "Server connections that one user may have; 0 is no limit.",
    ),
];
