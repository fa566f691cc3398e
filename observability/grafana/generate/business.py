"""Does the plant work as it should: lots, decisions, runs, people, and the record that they leave?"""

from page import page, row
from panels import ANY, NEUTRAL, SLOW_SECONDS, UP, VERY_SLOW_SECONDS, graph, grown, heat, number, query, rising

LOTS = "flowviz_lots_registered_total"
MASS = "flowviz_lots_registered_kg_total"
DECISIONS = "flowviz_qc_decisions_total"
TRACEABILITY = "flowviz_traceability_query_duration_seconds"
LOGINS = "flowviz_login_attempts_total"
# HighQCFailureRate: more than a tenth of at least 20 decisions within the hour.
FAILURES = rising(0.05, 0.1)
# OfflineQueueGrowing: more than 50.
OFFLINE = rising(51, 200)
INTACT = [(1, "intact", "green"), (0, "BROKEN", "red")]


def hour(metric, by="", labels=""):
    grouped = f"sum by ({by})" if by else "sum"
    return f"{grouped} ({grown(metric + labels)})"


def failure_ratio(by=""):
    failed = hour(DECISIONS, by, '{decision="FAIL"}')
    return f"{failed} / ({hour(DECISIONS, by)} >= 1)"


at_a_glance = row(
    "Now",
    number(
        "Lots, last hour",
        "Lots registered within the last hour. Orange: none, at which NoLotsRegistered fires within the shift.",
        "short",
        hour(LOTS),
        limits=[("orange", None), ("green", 1)],
        width=3,
        decimals=0,
    ),
    number("Mass, last hour", "Mass of the lots registered within the last hour.", "masskg", hour(MASS), limits=NEUTRAL, width=3),
    number(
        "QC failures, last hour",
        "FAIL among the decisions of the last hour. HighQCFailureRate fires above 10 %, from 20 decisions on.",
        "percentunit",
        failure_ratio(),
        width=3,
        limits=FAILURES,
        decimals=1,
    ),
    number(
        "Active operators",
        "Users seen within the last 15 minutes.",
        "short",
        "max(flowviz_active_operators)",
        limits=NEUTRAL,
        width=3,
    ),
    number(
        "Runs under way",
        "Production runs that were started and neither completed nor cancelled.",
        "short",
        "max(flowviz_production_runs_active)",
        limits=NEUTRAL,
        width=3,
    ),
    number(
        "Offline items",
        "What devices still had to send when they last synchronised. OfflineQueueGrowing fires on it.",
        "short",
        "max(flowviz_pending_lots_offline)",
        width=3,
        limits=OFFLINE,
    ),
    number(
        "CCP overrides, 24 h",
        "Decisions PASS outside a critical control point's limits, by a manager. CCPOverride fires on each.",
        "short",
        f"sum({grown('flowviz_ccp_overrides_total', '24h')})",
        width=3,
        limits=ANY,
        decimals=0,
    ),
    number(
        "Audit chain",
        "Whether every event still follows from the one before (docs/audit.md). AuditChainBroken fires on it.",
        "none",
        "min(flowviz_audit_chain_intact)",
        width=3,
        limits=UP,
        words=INTACT,
    ),
)

lots = row(
    "Lots",
    graph(
        "Lots an hour by type",
        "Lots registered within the hour before each point.",
        "short",
        query(hour(LOTS, "lot_type"), "{{lot_type}}"),
        limits=NEUTRAL,
        stacked=True,
    ),
    graph(
        "Mass an hour by type",
        "Mass registered within the hour before each point.",
        "masskg",
        query(hour(MASS, "lot_type"), "{{lot_type}}"),
        limits=NEUTRAL,
        stacked=True,
    ),
    graph(
        "Lots an hour by production run",
        "The ten busiest runs; `none`: lots that belong to no run, `other`: more runs in a day than the manifest lets the metric hold.",
        "short",
        query(f"topk(10, {hour(LOTS, 'production_run')} > 0)", "{{production_run}}"),
        limits=NEUTRAL,
        stacked=True,
    ),
)

quality = row(
    "Quality",
    graph(
        "Decisions an hour",
        "QC decisions within the hour before each point.",
        "short",
        query(hour(DECISIONS, "decision"), "{{decision}}"),
        limits=NEUTRAL,
        stacked=True,
        width=6,
    ),
    graph(
        "Failure ratio by gate",
        "FAIL among the gate's decisions of the hour before. Few decisions make large steps. The red line is HighQCFailureRate's.",
        "percentunit",
        query(failure_ratio("gate_number"), "gate {{gate_number}}"),
        limits=FAILURES,
        top=1,
        width=6,
    ),
    graph(
        "Decisions an hour by gate",
        "A gate that falls silent while lots go on is one that nobody looks after.",
        "short",
        query(hour(DECISIONS, "gate_number"), "gate {{gate_number}}"),
        limits=NEUTRAL,
        stacked=True,
        width=6,
    ),
    graph(
        "CCP overrides by gate",
        "Decisions PASS outside a critical control point's limits, within the hour before each point.",
        "short",
        query(hour("flowviz_ccp_overrides_total", "gate_number"), "gate {{gate_number}}"),
        limits=ANY,
        stacked=True,
        width=6,
    ),
)

people = row(
    "People, runs and devices",
    graph(
        "Active operators",
        "Users seen within the last 15 minutes.",
        "short",
        query("max(flowviz_active_operators)", "operators"),
        limits=NEUTRAL,
        width=6,
    ),
    graph(
        "Runs",
        "Under way, and those that ended within the hour before.",
        "short",
        query("max(flowviz_production_runs_active)", "under way"),
        query(hour("flowviz_production_runs_finished_total", "status"), "{{status}} within the hour"),
        limits=NEUTRAL,
        width=6,
    ),
    graph(
        "Offline items",
        "What devices still had to send when they last synchronised. It falls as they come back.",
        "short",
        query("max(flowviz_pending_lots_offline)", "items"),
        limits=OFFLINE,
        width=6,
    ),
    graph(
        "Logins an hour",
        "Many failures at once: somebody guesses, or a device has an old password.",
        "short",
        query(hour(LOGINS, "result"), "{{result}}"),
        limits=NEUTRAL,
        bad="failure",
        stacked=True,
        width=6,
    ),
)

traceability = row(
    "Traceability",
    graph(
        "Traceability query",
        "At the database: what an auditor waits for.",
        "s",
        *[
            query(f"histogram_quantile({share}, sum by (le) (rate({TRACEABILITY}_bucket[$__rate_interval])))", name)
            for share, name in ((0.5, "p50"), (0.95, "p95"), (0.99, "p99"))
        ],
        limits=rising(SLOW_SECONDS, VERY_SLOW_SECONDS),
    ),
    heat(
        "Traceability queries",
        "How many traceability queries took how long.",
        "s",
        f"sum by (le) (rate({TRACEABILITY}_bucket[$__rate_interval]))",
    ),
    graph(
        "Traceability queries an hour",
        "Questions where a lot came from and where it went.",
        "short",
        query(hour(f"{TRACEABILITY}_count"), "queries"),
        limits=NEUTRAL,
    ),
)

record = row(
    "The record",
    graph(
        "Events in the audit chain",
        "It only ever grows. A fall is a cut end: AuditChainBroken fires.",
        "short",
        query("max(flowviz_audit_chain_events)", "events"),
        limits=NEUTRAL,
    ),
    graph(
        "Since the chain was last checked",
        "The host walks it every 10 minutes; much more means that the check itself fails.",
        "s",
        query("time() - max(flowviz_audit_chain_checked_timestamp_seconds)", "age"),
        limits=rising(1200, 3600),
    ),
    graph(
        "Recorded under `other`",
        "An hour. Label values beyond a metric's max_series: its panels no longer tell them apart.",
        "short",
        query(f"{hour('flowviz_metrics_series_capped_total', 'metric')} > 0", "{{metric}}"),
        limits=[("green", None), ("orange", 1)],
        bars=True,
    ),
)

PAGE = page(
    "flowviz-business",
    "Lots, quality, runs, people and the audit chain.",
    at_a_glance,
    lots,
    quality,
    people,
    traceability,
    record,
    since="now-12h",
)
