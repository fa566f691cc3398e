"""Where do statements wait: in the host's pool, in PgBouncer, or in PostgreSQL?

PgBouncer's series come from the host, from the exporter, or from both, so that the largest of equals is taken before sums.
"""

from page import functions, page, row
from panels import (
    ANY,
    NEUTRAL,
    SLOW_SECONDS,
    UP,
    UP_OR_DOWN,
    VERY_SLOW_SECONDS,
    WAIT_SECONDS,
    falling,
    graph,
    heat,
    number,
    query,
    rising,
)

CHOSEN = '{function=~"$function"}'
# The console is a pool too, which nobody's statements go through.
POOLED = '{database!="pgbouncer"}'
# What PostgreSQL has for ordinary users.
MOST_CONNECTIONS = (
    "max by (instance) (pg_settings_max_connections) - max by (instance) (pg_settings_superuser_reserved_connections)"
)
DAY = 86400


def pools(name):
    return f"sum by (database) (max by (database, user) (pgbouncer_pools_{name}{POOLED}))"


def stats(name):
    return f"max by (database) (rate(pgbouncer_stats_totals_{name}_total{POOLED}[$__rate_interval]))"


def postgres(name):
    return f'sum by (datname) (rate(pg_stat_database_{name}{{datname!~"template.*"}}[$__rate_interval]))'


at_a_glance = row(
    "Now",
    number(
        "PostgreSQL",
        "Whether its exporter can log in (pg_up). DatabaseDown fires on it after a minute.",
        "none",
        "min(pg_up)",
        limits=UP,
        words=UP_OR_DOWN,
    ),
    number(
        "PgBouncer",
        "Whether its console answers the host or the exporter.",
        "none",
        "max(pgbouncer_up)",
        limits=UP,
        words=UP_OR_DOWN,
    ),
    number(
        "Waiting in the host",
        "Statements for which no connection of the host's pool is free.",
        "short",
        "sum(flowviz_db_pool_waiting)",
        limits=rising(1, 10),
    ),
    number(
        "Waiting in PgBouncer",
        "Clients of one database for which no server connection is free. PgBouncerPoolExhausted fires above 10, after 2 minutes.",
        "short",
        f"max(sum by (job, instance, database) (pgbouncer_pools_client_waiting_connections{POOLED}))",
        limits=rising(1, 11),
    ),
    number(
        "PostgreSQL's connections",
        "Share in use of those that it has for ordinary users. ServerConnectionsNearLimit fires above 80 %; beyond 100 % it refuses "
        "new ones.",
        "percentunit",
        f"max(sum by (instance) (pg_stat_activity_count) / ({MOST_CONNECTIONS}))",
        limits=rising(0.8, 1),
    ),
    number(
        "Certificate",
        "Time left until the certificate that the pool's server showed ends; no data without TLS. "
        "CertificateExpiring fires below 14 days, as critical below 3.",
        "s",
        "min(flowviz_db_certificate_expiry_timestamp_seconds) - time()",
        limits=falling(3 * DAY, 14 * DAY),
    ),
)

host = row(
    "1. The host's pool",
    graph(
        "Connections",
        "The host's connections to the pooler, and how many it may have: where all of those are busy, statements wait.",
        "short",
        query("sum by (pool, state) (flowviz_connection_pool_size)", "{{pool}} {{state}}"),
        query("sum by (pool) (flowviz_connection_pool_limit)", "{{pool}} limit"),
        limits=NEUTRAL,
        ceiling="limit",
        stacked=True,
        width=6,
    ),
    graph(
        "Statements that wait",
        "For which no connection of the host's pool is free.",
        "short",
        query("sum by (pool) (flowviz_db_pool_waiting)", "{{pool}}"),
        limits=rising(1, 10),
        width=6,
    ),
    graph(
        "Statements that gave up",
        "Within the interval: no connection was free in time.",
        "short",
        query("sum by (pool) (increase(flowviz_db_pool_timeouts_total[$__rate_interval]))", "{{pool}}"),
        limits=ANY,
        bars=True,
        width=6,
    ),
    graph(
        "Wait for a connection",
        "PoolWaitHigh fires on a p95 above 0.1 s. High here and low in PgBouncer: the host's pool is too small.",
        "s",
        *[
            query(
                f"histogram_quantile({share}, sum by (pool, le) (rate(flowviz_db_pool_wait_seconds_bucket[$__rate_interval])))",
                f"{{{{pool}}}} {name}",
            )
            for share, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
        ],
        limits=rising(WAIT_SECONDS, SLOW_SECONDS),
        width=6,
    ),
    graph(
        "Statements by result",
        "Statements a second of all chosen functions.",
        "ops",
        query(f"sum by (result) (rate(flowviz_db_queries_total{CHOSEN}[$__rate_interval]))", "{{result}}"),
        limits=NEUTRAL,
        stacked=True,
        width=6,
    ),
    graph(
        "Statement duration",
        "As the functions see it: the wait for a connection, the pooler, PostgreSQL.",
        "s",
        *[
            query(
                f"histogram_quantile({share}, sum by (le) (rate(flowviz_db_query_duration_seconds_bucket{CHOSEN}[$__rate_interval])))",
                name,
            )
            for share, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
        ],
        limits=rising(SLOW_SECONDS, VERY_SLOW_SECONDS),
        width=6,
    ),
    heat(
        "Statement durations",
        "How many statements took how long.",
        "s",
        f"sum by (le) (rate(flowviz_db_query_duration_seconds_bucket{CHOSEN}[$__rate_interval]))",
        width=6,
    ),
    graph(
        "Who uses the database",
        "Statements under way on average, by function: what each takes of the pool. Click a series to open the function's page.",
        "short",
        query(
            f"sum by (function) (rate(flowviz_db_query_duration_seconds_sum{CHOSEN}[$__rate_interval])) > 0", "{{function}}"
        ),
        limits=NEUTRAL,
        stacked=True,
        by_function=True,
        width=6,
    ),
)

pgbouncer = row(
    "2. PgBouncer",
    graph(
        "Clients",
        "Active counts idle clients too. Waiting ones have no server connection. The line is where PgBouncerPoolExhausted fires.",
        "short",
        query(pools("client_active_connections"), "{{database}} active"),
        query(pools("client_waiting_connections"), "{{database}} waiting"),
        limits=[("green", None), ("orange", 11)],
    ),
    graph(
        "Longest wait",
        "How long the client at the head of PgBouncer's queue has waited. After 5 s (query_wait_timeout) it is turned away.",
        "s",
        query(f"max by (database) (pgbouncer_pools_client_maxwait_seconds{POOLED})", "{{database}}"),
        limits=rising(SLOW_SECONDS, VERY_SLOW_SECONDS),
    ),
    graph(
        "Clients of the most allowed",
        "Share of max_client_conn. At 100 % PgBouncer refuses the next login.",
        "percentunit",
        query(
            "max(pgbouncer_used_clients + pgbouncer_login_clients) / max(pgbouncer_config_max_client_connections)", "clients"
        ),
        limits=rising(0.8, 0.95),
        top=1,
    ),
    graph(
        "Server connections",
        "To PostgreSQL, by what they do. No idle ones and waiting clients: the pool is too small or PostgreSQL too slow.",
        "short",
        *[query(pools(f"server_{state}_connections"), f"{{{{database}}}} {state}") for state in ("active", "idle", "used", "login", "testing")],
        limits=NEUTRAL,
        stacked=True,
    ),
    graph(
        "Pool in use",
        "Server connections of the most that the database's pool may have, the reserve left out.",
        "percentunit",
        query(
            "max by (database) (pgbouncer_databases_current_connections{name!=\"pgbouncer\"}) "
            "/ max by (database) (pgbouncer_databases_pool_size{name!=\"pgbouncer\"})",
            "{{database}}",
        ),
        limits=rising(0.9, 1),
    ),
    graph(
        "Statements and transactions",
        "How many PgBouncer passes on in a second. About one statement for each transaction: functions rarely open longer ones.",
        "ops",
        query(stats("queries_pooled"), "{{database}} statements"),
        query(stats("sql_transactions_pooled"), "{{database}} transactions"),
        limits=NEUTRAL,
    ),
    graph(
        "Time of a statement",
        "Mean: in PostgreSQL, and waiting for a server connection before it.",
        "s",
        query(f"{stats('queries_duration_seconds')} / {stats('queries_pooled')}", "{{database}} in PostgreSQL"),
        query(f"{stats('client_wait_seconds')} / {stats('queries_pooled')}", "{{database}} waiting"),
        limits=rising(SLOW_SECONDS, VERY_SLOW_SECONDS),
        width=12,
    ),
    graph(
        "Traffic",
        "Received from clients and sent to them.",
        "Bps",
        query(stats("received_bytes"), "{{database}} received"),
        query(stats("sent_bytes"), "{{database}} sent"),
        limits=NEUTRAL,
        width=12,
    ),
)

server = row(
    "3. PostgreSQL",
    graph(
        "Connections by state",
        "`idle in transaction` keeps locks and a server connection while it does nothing.",
        "short",
        query("sum by (state) (pg_stat_activity_count)", "{{state}}"),
        query(f"min({MOST_CONNECTIONS})", "most for ordinary users"),
        limits=NEUTRAL,
    ),
    graph(
        "Longest transaction",
        "By the state of its session. Long ones keep locks, and rows that vacuum may not remove.",
        "s",
        query("max by (state) (pg_stat_activity_max_tx_duration)", "{{state}}"),
        limits=rising(30, 300),
    ),
    graph(
        "Locks",
        "Locks held and awaited in PostgreSQL, by mode. Many exclusive ones while few requests end: something blocks the others.",
        "short",
        query("sum by (mode) (pg_locks_count) > 0", "{{mode}}"),
        limits=NEUTRAL,
        stacked=True,
    ),
    graph(
        "Transactions",
        "A second. Rollbacks: what a function refused after it had begun, and errors.",
        "ops",
        query(postgres("xact_commit"), "{{datname}} commits"),
        query(postgres("xact_rollback"), "{{datname}} rollbacks"),
        limits=NEUTRAL,
    ),
    graph(
        "Read from memory",
        "Share of the blocks that PostgreSQL found in its own memory. It is low just after a start, and falls when the data outgrows "
        "shared_buffers.",
        "percentunit",
        query(f"{postgres('blks_hit')} / ({postgres('blks_hit')} + {postgres('blks_read')} > 0)", "{{datname}}"),
        limits=falling(0.9, 0.99),
        top=1,
    ),
    graph(
        "Deadlocks",
        "Within the interval. Each is a transaction that PostgreSQL ended; the function answered 5xx or tried again.",
        "short",
        query('sum by (datname) (increase(pg_stat_database_deadlocks{datname!~"template.*"}[$__rate_interval]))', "{{datname}}"),
        limits=ANY,
        bars=True,
    ),
    graph(
        "Rows",
        "A second. Fetched far above what the pages show is a missing index.",
        "rowsps",
        *[query(postgres(f"tup_{what}"), f"{{{{datname}}}} {what}") for what in ("fetched", "inserted", "updated", "deleted")],
        limits=NEUTRAL,
    ),
    graph(
        "Written to temporary files",
        "Sorts and joins that did not fit into work_mem.",
        "Bps",
        query(postgres("temp_bytes"), "{{datname}}"),
        limits=NEUTRAL,
    ),
    graph(
        "Size",
        "On the disk, indexes included. DiskFilling looks at the file system.",
        "bytes",
        query('max by (datname) (pg_database_size_bytes{datname!~"template.*"})', "{{datname}}"),
        limits=NEUTRAL,
    ),
)

PAGE = page(
    "flowviz-database",
    "The way of a statement: the host's pool, PgBouncer, PostgreSQL.",
    at_a_glance,
    host,
    pgbouncer,
    server,
    variables=[functions(everything=True)],
)
