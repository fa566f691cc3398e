"""Is the app well, for whom isn't it, and why? Rate, errors and duration, in total and by function."""

from page import functions, page, row
from panels import (
    AVAILABILITY,
    FAST_ENOUGH,
    NEUTRAL,
    SLOW_SECONDS,
    THROTTLED,
    VERY_SLOW_SECONDS,
    WAIT_SECONDS,
    falling,
    graph,
    grown,
    heat,
    number,
    query,
    rising,
    table,
)

ERRORS = rising(1 - AVAILABILITY, 0.05)
LATENCY = rising(SLOW_SECONDS, VERY_SLOW_SECONDS)
BURN = rising(1, 14.4)
FAILING = 'function:http_request_error_ratio:rate5m{function!="none"}'
CHOSEN = 'function=~"$function", function!="none"'


def burn(kind, ratio):
    windows = [("1h", "1 h"), ("6h", "6 h"), ("1d", "1 day"), ("3d", "3 days")]
    budget = f"on () (1 - app:slo_{kind}:objective)"
    return [query(f"app:http_request_{ratio}_ratio:rate{window} / {budget}", name) for window, name in windows]


def most_answered(labels):
    counted = grown(f"http_requests_total{{{labels}}}", "$__range")
    return f"topk(10, sum by (function, method, route, status) ({counted}) >= 1)"


at_a_glance = row(
    "Now",
    number("Requests", "Requests a second that matched a route, over 5 minutes.", "reqps", "app:http_requests:rate5m", limits=NEUTRAL),
    number(
        "Error ratio",
        "Share of the requests answered 5xx, over 5 minutes. Orange: more than the objective allows. Red: HighErrorRate fires.",
        "percentunit",
        "app:http_request_error_ratio:rate5m",
        limits=ERRORS,
        decimals=2,
    ),
    number(
        "p99",
        "99 of 100 requests are answered within this time, over 5 minutes; without devices' batches (sync), for which nobody waits. "
        "HighLatency looks at each function for itself.",
        "s",
        "app:http_request_duration_seconds:p99_5m",
        limits=LATENCY,
    ),
    number(
        "In flight",
        "Requests whose answer has not ended. It grows when something that they wait for is slow.",
        "short",
        'sum(http_requests_in_flight{function!="none"})',
        limits=NEUTRAL,
    ),
    number(
        "Functions failing",
        "Functions of whose requests more than 5 % were answered 5xx, over 5 minutes. 'Error ratio by function' says which.",
        "short",
        f"count({FAILING} > 0.05) or count({FAILING}) * 0",
        limits=rising(1, 3),
    ),
    number(
        "Alerts firing",
        "Critical ones and warnings. The page Infrastructure lists them.",
        "short",
        'count(ALERTS{alertstate="firing", severity!="info"}) or vector(0)',
        limits=rising(1, 3),
    ),
)

objectives = row(
    "Service levels: 99.5 % of requests without 5xx, 99 % answered within 500 ms, over 30 days",
    number(
        "Availability, 30 days",
        "Share of the requests of 30 days that were not answered 5xx. The objective is 99.5 %.",
        "percentunit",
        "1 - app:http_request_error_ratio:rate30d",
        limits=falling(AVAILABILITY, AVAILABILITY + 0.001),
        decimals=3,
    ),
    number(
        "Error budget left",
        "Of the 0.5 % of requests that may fail in 30 days, the share that has not failed yet. Below 0 the objective is missed.",
        "percentunit",
        "app:slo_availability_budget_remaining:ratio30d",
        limits=falling(0, 0.25),
        decimals=1,
    ),
    graph(
        "How fast the error budget burns",
        "Error ratio over the ratio that the objective allows: at 1 the budget lasts exactly 30 days. An alert needs a long window "
        "and a short one: 14.4 over 1 h and 6 over 6 h page somebody, 3 over 1 day and 1 over 3 days can wait for the morning.",
        "short",
        *burn("availability", "error"),
        limits=BURN,
        width=16,
    ),
    number(
        "Fast enough, 30 days",
        "Share of the requests of 30 days answered within 500 ms, of those that somebody waits for. The objective is 99 %.",
        "percentunit",
        "1 - app:http_request_slow_ratio:rate30d",
        limits=falling(FAST_ENOUGH, FAST_ENOUGH + 0.002),
        decimals=3,
    ),
    number(
        "Latency budget left",
        "Of the 1 % of requests that may take longer than 500 ms in 30 days, the share that has not. Below 0 the objective is missed.",
        "percentunit",
        "app:slo_latency_budget_remaining:ratio30d",
        limits=falling(0, 0.25),
        decimals=1,
    ),
    graph(
        "How fast the latency budget burns",
        "Share of slow requests over the share that the objective allows. Read like the error budget's.",
        "short",
        *burn("latency", "slow"),
        limits=BURN,
        width=16,
    ),
)

total = row(
    "Rate, errors, duration: all functions",
    graph(
        "Answers by status class",
        "5xx is ours, 4xx the client's, 499 a client that left. Requests that matched no route are not here.",
        "reqps",
        query(
            "sum by (class) (label_replace(label_replace("
            'rate(http_requests_total{function!="none"}[$__rate_interval]), '
            '"class", "${1}xx", "status", "(.).."), "class", "499", "status", "499"))',
            "{{class}}",
        ),
        limits=NEUTRAL,
        stacked=True,
        width=6,
    ),
    graph(
        "Error ratio",
        "Share of the requests answered 5xx. Lines: the objective's 0.5 %, and 5 %, where HighErrorRate fires after 2 minutes.",
        "percentunit",
        query("app:http_request_error_ratio:rate5m", "5 minutes"),
        query("app:http_request_error_ratio:rate1h", "1 hour"),
        limits=ERRORS,
        width=6,
    ),
    graph(
        "Duration",
        "From a request's arrival to its answer's end, without devices' batches (sync). Lines: 0.5 s, the objective and where HighLatency "
        "warns, and 1 s.",
        "s",
        query("app:http_request_duration_seconds:p50_5m", "p50"),
        query("app:http_request_duration_seconds:p95_5m", "p95"),
        query("app:http_request_duration_seconds:p99_5m", "p99"),
        limits=LATENCY,
        width=6,
    ),
    heat(
        "Durations",
        "How many requests took how long. A second band above the first is a part of the requests that waits for something.",
        "s",
        'sum by (le) (rate(http_request_duration_seconds_bucket{function!="none"}[$__rate_interval]))',
        width=6,
    ),
)

by_function = row(
    "By function: click a series to open the function's page",
    graph(
        "Requests by function",
        "Requests a second, over 5 minutes.",
        "reqps",
        query(f"function:http_requests:rate5m{{{CHOSEN}}}", "{{function}}"),
        limits=NEUTRAL,
        by_function=True,
    ),
    graph(
        "Error ratio by function",
        "Share of the function's requests answered 5xx, over 5 minutes. On a few requests one failure is a large share.",
        "percentunit",
        query(f"function:http_request_error_ratio:rate5m{{{CHOSEN}}}", "{{function}}"),
        limits=ERRORS,
        by_function=True,
    ),
    graph(
        "p99 by function",
        "99 of 100 requests are answered within this time, over 5 minutes. HighLatency fires by function.",
        "s",
        query(f"function:http_request_duration_seconds:p99_5m{{{CHOSEN}}}", "{{function}}"),
        limits=LATENCY,
        by_function=True,
    ),
    table(
        "Top errors",
        "Requests that a function or its limits failed within the page's time, by reason (docs/metrics.md says what each means). "
        "Red: more than 5, at which FunctionThrottled fires if they come within 5 minutes.",
        "short",
        f"topk(10, sum by (function, reason) (increase(flowviz_function_errors_total{{{CHOSEN}}}[$__range])) >= 1)",
        ["function", "reason"],
        limits=rising(1, 6),
        value="Errors",
        width=8,
    ),
    table(
        "Failing endpoints",
        "Routes answered 5xx within the page's time, most often first. Red: from 5 on, the fewest for which HighErrorRate fires.",
        "short",
        most_answered(f'status=~"5..", {CHOSEN}'),
        ["function", "method", "route", "status"],
        limits=rising(1, 5),
        value="Answers",
        width=8,
    ),
    table(
        "Refused requests",
        "Routes answered 4xx within the page's time, most often first: clients that are wrong, locked out (401, 403) or too eager (429).",
        "short",
        most_answered('status=~"4.."'),
        ["function", "method", "route", "status"],
        limits=NEUTRAL,
        value="Answers",
        width=8,
    ),
)

saturation = row(
    "Saturation: what requests wait for",
    graph(
        "In flight by function",
        "Requests whose answer has not ended. A function's level that stays at its max_concurrency is full.",
        "short",
        query(f"sum by (function) (http_requests_in_flight{{{CHOSEN}}})", "{{function}}"),
        limits=NEUTRAL,
        by_function=True,
        stacked=True,
    ),
    graph(
        "Queue wait p99 by function",
        "How long requests wait for a place below the function's max_concurrency. Above 0 for long: too few places, or too slow a function.",
        "s",
        query(
            "histogram_quantile(0.99, sum by (function, le) "
            f"(rate(flowviz_function_queue_wait_seconds_bucket{{{CHOSEN}}}[$__rate_interval])))",
            "{{function}}",
        ),
        limits=rising(WAIT_SECONDS, SLOW_SECONDS),
        by_function=True,
    ),
    graph(
        "Shed and limited",
        "Requests a second that a limit ended or refused: no place in time, CPU, memory. The line is 5 in 5 minutes: above it, for one "
        "function and reason, FunctionThrottled fires. Those that took too long (timeout) are in 'Top errors'.",
        "reqps",
        query(
            "sum by (function, reason) (rate(flowviz_function_errors_total"
            f'{{reason=~"cpu_limit|memory_limit|overload", {CHOSEN}}}[$__rate_interval])) > 0',
            "{{function}}: {{reason}}",
        ),
        limits=[("green", None), ("orange", THROTTLED)],
        by_function=True,
    ),
    graph(
        "CPU by function",
        "Cores that each function keeps busy. The page Infrastructure says how many there are.",
        "short",
        query(
            f"sum by (function) (rate(flowviz_function_cpu_seconds_total{{{CHOSEN}}}[$__rate_interval]))", "{{function}}"
        ),
        limits=NEUTRAL,
        by_function=True,
        stacked=True,
    ),
    graph(
        "Instances",
        "Instances of all functions. Idle ones are kept for the next request.",
        "short",
        query("sum by (state) (flowviz_function_instances)", "{{state}}"),
        limits=NEUTRAL,
        stacked=True,
    ),
    graph(
        "Database pool in use",
        "Busy connections of the host's pool, as a share of those that it may have. At 100 % functions wait: see the page Database path.",
        "percentunit",
        query(
            'sum by (pool) (flowviz_connection_pool_size{state="busy"}) / sum by (pool) (flowviz_connection_pool_limit > 0)',
            "{{pool}}",
        ),
        limits=rising(0.8, 0.95),
        top=1,
    ),
)

changes = row(
    "What changed",
    table(
        "Versions that serve",
        "The component that each function runs, by its digest. `draining`: the version before, until its last request has ended.",
        "none",
        "max by (function, version, state) (flowviz_function_info)",
        ["function", "version", "state"],
        limits=NEUTRAL,
    ),
    graph(
        "Swaps",
        "New versions, by how it went. Rejected: it never served. Rolled back: somebody took it back. SwapFailed fires on the former.",
        "short",
        query("sum by (function, result) (increase(flowviz_function_swaps_total[$__rate_interval])) > 0", "{{function}}: {{result}}"),
        limits=NEUTRAL,
        bad="rejected",
        bars=True,
        stacked=True,
        by_function=True,
        width=12,
    ),
)

PAGE = page(
    "flowviz-application",
    "Rate, errors and duration of all functions, the objectives and their budgets, and what is saturated.",
    at_a_glance,
    objectives,
    total,
    by_function,
    saturation,
    changes,
    variables=[functions(everything=True)],
)
