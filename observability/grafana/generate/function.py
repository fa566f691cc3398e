"""What does one function do, how well, and what does it spend its time on? The row is repeated for each chosen function."""

from page import functions, page, row
from panels import (
    AVAILABILITY,
    NEUTRAL,
    SLOW_SECONDS,
    THROTTLED,
    TRAPPING,
    VERY_SLOW_SECONDS,
    WAIT_SECONDS,
    graph,
    heat,
    number,
    query,
    rising,
)

ERRORS = rising(1 - AVAILABILITY, 0.05)
LATENCY = rising(SLOW_SECONDS, VERY_SLOW_SECONDS)
WAIT = rising(WAIT_SECONDS, SLOW_SECONDS)
THIS = '{function=~"$function"}'


def rate(metric, by="function", labels=THIS, window="$__rate_interval"):
    return f"sum by ({by}) (rate({metric}{labels}[{window}]))"


def quantile(share, histogram, window="$__rate_interval"):
    return f"histogram_quantile({share}, {rate(histogram + '_bucket', by='function, le', window=window)})"


def quantiles(histogram, window="$__rate_interval"):
    return [query(quantile(share, histogram, window), name) for share, name in ((0.5, "p50"), (0.99, "p99"))]


def mean(histogram):
    return f"{rate(histogram + '_sum')} / {rate(histogram + '_count')}"


panels = [
    number("Requests", "Requests a second, over 5 minutes.", "reqps", f"function:http_requests:rate5m{THIS}", limits=NEUTRAL),
    number(
        "Error ratio",
        "Share of the requests answered 5xx, over 5 minutes.",
        "percentunit",
        f"function:http_request_error_ratio:rate5m{THIS}",
        limits=ERRORS,
        decimals=2,
    ),
    number(
        "p99",
        "99 of 100 requests are answered within this time, over 5 minutes.",
        "s",
        f"function:http_request_duration_seconds:p99_5m{THIS}",
        limits=LATENCY,
    ),
    number(
        "In flight",
        "Requests whose answer has not ended; at the manifest's max_concurrency the next one waits.",
        "short",
        f"sum by (function) (http_requests_in_flight{THIS})",
        limits=NEUTRAL,
    ),
    number(
        "Live version",
        "The digest of the component that new requests get.",
        "none",
        'max by (version) (flowviz_function_info{function=~"$function", state="live"})',
        legend="{{version}}",
        limits=NEUTRAL,
    ),
    number(
        "Memory, p99",
        "99 of 100 instances ended without ever using more, within the page's time; no data while none has ended.",
        "bytes",
        quantile(0.99, "flowviz_function_memory_bytes", "$__range"),
        limits=NEUTRAL,
    ),
    graph(
        "Answers by route and status",
        "Requests a second. 499: the client left before the answer. 429: over the rate limit.",
        "reqps",
        query(rate("http_requests_total", by="method, route, status"), "{{method}} {{route}} {{status}}"),
        limits=NEUTRAL,
        stacked=True,
        width=6,
    ),
    graph(
        "Errors by reason",
        "Requests that the function or its limits failed. A trap is a panic or a fault of its code; the log has its words. Lines: "
        "2.5 in 10 minutes, above which FunctionTrapping fires, and 5 in 5 minutes, above which FunctionThrottled does.",
        "reqps",
        query(rate("flowviz_function_errors_total", by="reason"), "{{reason}}"),
        limits=rising(TRAPPING, THROTTLED),
        stacked=True,
        width=6,
    ),
    graph(
        "Duration",
        "From a request's arrival to its answer's end. Lines: 0.5 s and 1 s.",
        "s",
        *[query(f"function:http_request_duration_seconds:{p}_5m{THIS}", p) for p in ("p50", "p95", "p99")],
        limits=LATENCY,
        width=6,
    ),
    heat(
        "Durations",
        "How many requests took how long.",
        "s",
        rate("http_request_duration_seconds_bucket", by="le"),
        width=6,
    ),
    graph(
        "Where a request's time goes",
        "Mean seconds of a request: running its code, waiting for a place, at the database. The whole less these is waiting for the client, "
        "or for other services. A request's statements can overlap.",
        "s",
        query(mean("http_request_duration_seconds"), "whole"),
        query(f"{rate('flowviz_function_cpu_seconds_total')} / {rate('http_request_duration_seconds_count')}", "CPU"),
        query(mean("flowviz_function_queue_wait_seconds"), "queue"),
        query(f"{rate('flowviz_db_query_duration_seconds_sum')} / {rate('http_request_duration_seconds_count')}", "database"),
        limits=LATENCY,
    ),
    graph(
        "CPU",
        "Cores that the function keeps busy.",
        "short",
        query(rate("flowviz_function_cpu_seconds_total"), "cores"),
        limits=NEUTRAL,
    ),
    graph(
        "Queue wait",
        "How long requests wait for a place below max_concurrency.",
        "s",
        *quantiles("flowviz_function_queue_wait_seconds"),
        limits=WAIT,
    ),
    graph(
        "Instances",
        "Busy: with a request. Idle: kept for the next one.",
        "short",
        query(f"sum by (state) (flowviz_function_instances{THIS})", "{{state}}"),
        limits=NEUTRAL,
        stacked=True,
    ),
    graph(
        "Instantiation",
        "How long a new instance takes, of those made within the hour before. It is part of the first request's duration.",
        "s",
        *quantiles("flowviz_function_instantiation_seconds", "1h"),
        limits=WAIT,
    ),
    graph(
        "Instances made",
        "A second. Many while the rate is even: instances end too soon, by traps, timeouts or clients that leave.",
        "cps",
        query(rate("flowviz_function_instantiation_seconds_count"), "made"),
        limits=NEUTRAL,
    ),
    heat(
        "Memory of instances that ended",
        "The most that each used. What comes near the manifest's memory_limit will be refused more.",
        "bytes",
        rate("flowviz_function_memory_bytes_bucket", by="le"),
    ),
    graph(
        "Versions: requests",
        "Versions side by side: requests a second that each answered. Two at once while the one before drains.",
        "reqps",
        query(rate("flowviz_function_version_requests_total", by="version"), "{{version}}"),
        limits=NEUTRAL,
        stacked=True,
    ),
    graph(
        "Versions: error ratio",
        "Share of each version's requests that failed (5xx). A new version above the one before is to be rolled back.",
        "percentunit",
        query(
            rate("flowviz_function_version_requests_total", by="version", labels='{function=~"$function", result="failed"}')
            + " / "
            + rate("flowviz_function_version_requests_total", by="version"),
            "{{version}}",
        ),
        limits=ERRORS,
    ),
    graph(
        "Versions: mean duration",
        "Mean time of a request, by version.",
        "s",
        query(
            rate("flowviz_function_version_request_seconds_total", by="version")
            + " / "
            + rate("flowviz_function_version_requests_total", by="version"),
            "{{version}}",
        ),
        limits=LATENCY,
    ),
    graph(
        "Swaps",
        "New versions of this function, by how it went.",
        "short",
        query(f"sum by (result) (increase(flowviz_function_swaps_total{THIS}[$__rate_interval]))", "{{result}}"),
        limits=NEUTRAL,
        bad="rejected",
        bars=True,
    ),
    graph(
        "Swap duration",
        "From a new version's last byte until it served, of the swaps within the hour before.",
        "s",
        *quantiles("flowviz_function_swap_duration_seconds", "1h"),
        limits=NEUTRAL,
    ),
    graph(
        "Statements by result",
        "Statements a second. Timeout: no connection or no answer in time. Unavailable: the database could not be reached.",
        "ops",
        query(rate("flowviz_db_queries_total", by="result"), "{{result}}"),
        limits=NEUTRAL,
        stacked=True,
    ),
    graph(
        "Statement duration",
        "With the wait for a connection. The page Database path says whose wait it is.",
        "s",
        *quantiles("flowviz_db_query_duration_seconds"),
        limits=LATENCY,
    ),
    graph(
        "Statements for each request",
        "A function that sends more as its data grows asks in a loop.",
        "short",
        query(f"{rate('flowviz_db_queries_total')} / {rate('http_request_duration_seconds_count')}", "statements"),
        limits=NEUTRAL,
    ),
]

PAGE = page(
    "flowviz-function",
    "One function, or a few beside each other: requests, versions, resources, database.",
    row("$function", *panels, repeat="function"),
    variables=[functions(everything=False)],
)
