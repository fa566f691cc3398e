"""What pages are made of: panels, each with a title, what it tells, a unit and its queries.

Plain dictionaries in Grafana's classic JSON model, complete enough for the types of its plugins (see ../schema).
"""

from string import ascii_uppercase

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

# The objectives, as in observability/prometheus/rules.
AVAILABILITY = 0.995
FAST_ENOUGH = 0.99
SLOW_SECONDS = 0.5
VERY_SLOW_SECONDS = 1
# What a request or a statement may wait before its work begins: PoolWaitHigh's.
WAIT_SECONDS = 0.1
# Failures a second at which an alert fires: FunctionTrapping's 2.5 within 10 minutes, FunctionThrottled's 5 within 5.
TRAPPING = 2.5 / 600
THROTTLED = 5 / 300

_FUNCTION_PAGE = "/d/flowviz-function?${datasource:queryparam}&${__url_time_range}&var-function="


def _function_link(where):
    return {"title": "Open the function", "url": f"{_FUNCTION_PAGE}${{{where}}}", "targetBlank": False}


def query(expr, legend="", now=False):
    """`now` asks for the present value alone; else for the range that the page shows."""
    return {
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": expr,
        "format": "time_series",
        "instant": now,
        "range": not now,
        "legendFormat": legend,
    }


def rising(warning, critical):
    """Thresholds of what is bad when it is high."""
    return [("green", None), ("orange", warning), ("red", critical)]


def falling(critical, good):
    """Thresholds of what is bad when it is low."""
    return [("red", None), ("orange", critical), ("green", good)]


UP = [("red", None), ("green", 1)]
# Of what may not happen at all.
ANY = [("green", None), ("red", 1)]
# Where no value is good or bad by itself. The checks know it by its colour, and find a panel that has neither limits nor this.
NEUTRAL = [("text", None)]


def grown(counter, window="1h"):
    """How much each series of a counter of the host grew within a window.

    `increase()` doesn't see what a series is born with: a run's first lot makes it 1, and there was no 0 before. What wasn't there when
    the window began counts as a whole, if the host was seen then or has started since. Otherwise nobody knows when it came.
    """
    seconds = {"1h": 3600, "24h": 86400, "$__range": "$__range_s"}[window]
    start = "process_start_time_seconds"
    known = f"({start} offset {window} or {start} > time() - {seconds})"
    born = f"{counter} unless {counter} offset {window} and on (job, instance) {known}"
    return f"{born} or increase({counter}[{window}])"


def _panel(kind, title, about, unit, queries, size, options, limits, custom=None, **defaults):
    width, height = size
    field = {
        "color": {"mode": "thresholds" if kind in ("stat", "state-timeline") else "palette-classic"},
        "mappings": [],
        "thresholds": {
            "mode": "absolute",
            "steps": [{"color": color, "value": value} for color, value in limits],
        },
        "unit": unit,
        **defaults,
    }
    if custom is not None:
        field["custom"] = custom
    return {
        "type": kind,
        "title": title,
        "description": about,
        "datasource": DATASOURCE,
        "gridPos": {"w": width, "h": height},
        "fieldConfig": {"defaults": field, "overrides": []},
        "options": options,
        "targets": [{"refId": ascii_uppercase[at], **each} for at, each in enumerate(queries)],
    }


def graph(
    title,
    about,
    unit,
    *queries,
    limits,
    width=8,
    height=8,
    stacked=False,
    bars=False,
    top=None,
    by_function=False,
    bad=None,
    ceiling=None,
):
    """Series over time. `limits` are drawn as lines; with `by_function`, a click on a series opens its function.

    `bad` is the end of the names of series that are bad at any height: they are red. `ceiling` is that of series that bound the
    others: they are dashed lines, and nothing is stacked on them.
    """
    custom = {
        "drawStyle": "bars" if bars else "line",
        "lineWidth": 1,
        "fillOpacity": 60 if bars else 25 if stacked else 8,
        "showPoints": "auto",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "off" if limits == NEUTRAL else "dashed"},
    }
    bounds = {"min": 0} if top is None else {"min": 0, "max": top}
    links = {"links": [_function_link("__field.labels.function")]} if by_function else {}
    options = {
        "legend": {"displayMode": "table", "placement": "bottom", "showLegend": True, "calcs": ["lastNotNull", "max"]},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    panel = _panel("timeseries", title, about, unit, queries, (width, height), options, limits, custom, **bounds, **links)
    if bad:
        _override(panel, "byRegexp", f"/{bad}$/", {"id": "color", "value": {"mode": "fixed", "fixedColor": "red"}})
    if ceiling:
        _override(
            panel,
            "byRegexp",
            f"/{ceiling}$/",
            {"id": "custom.stacking", "value": {"mode": "none", "group": "A"}},
            {"id": "custom.fillOpacity", "value": 0},
            {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [10, 10]}},
        )
    return panel


def _override(panel, matcher, what, *properties):
    panel["fieldConfig"]["overrides"].append({"matcher": {"id": matcher, "options": what}, "properties": list(properties)})


def number(title, about, unit, expr, *, limits, legend="", width=4, height=4, words=(), decimals=None):
    """The present value. `words` are shown in place of values.

    Without the way there: the last value of a range would stay, up to the page's time, after what it tells of has ended.
    """
    options = {
        "reduceOptions": {"values": False, "calcs": ["lastNotNull"], "fields": ""},
        "orientation": "auto",
        "textMode": "name" if legend.startswith("{{") else "auto",
        "colorMode": "value",
        "graphMode": "none",
        "justifyMode": "auto",
        "wideLayout": True,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
    }
    extra = {} if decimals is None else {"decimals": decimals}
    # Nothing is neither good nor bad: without its own words it would have the colour of the lowest value.
    mappings = [*_words(words), {"type": "special", "options": {"match": "null+nan", "result": _NO_DATA | {"index": len(words)}}}]
    asked = [query(expr, legend, now=True)]
    return _panel(
        "stat", title, about, unit, asked, (width, height), options, limits, mappings=mappings, noValue=_NO_DATA["text"], **extra
    )


_NO_DATA = {"text": "no data", "color": "text"}


def _words(words):
    return [
        {
            "type": "value",
            "options": {str(value): {"text": text, "color": color, "index": at}},
        }
        for at, (value, text, color) in enumerate(words)
    ]


UP_OR_DOWN = [(1, "up", "green"), (0, "DOWN", "red")]


def states(title, about, *queries, words, limits, width=24, height=8):
    """A line for each series, coloured by its value."""
    custom = {"fillOpacity": 70, "lineWidth": 0}
    options = {
        "mergeValues": True,
        "showValue": "never",
        "rowHeight": 0.8,
        "alignValue": "left",
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return _panel(
        "state-timeline",
        title,
        about,
        "none",
        queries,
        (width, height),
        options,
        limits,
        custom,
        mappings=_words(words),
    )


def heat(title, about, unit, buckets, width=8, height=8):
    """Where the observations of a histogram lie; `buckets` is a rate, summed by `le` alone.

    Its colours say how many: it has no limits.
    """
    options = {
        "calculate": False,
        "cellGap": 1,
        "cellValues": {"unit": "cps"},
        "color": {"mode": "scheme", "scheme": "Oranges", "fill": "orange", "exponent": 0.5, "steps": 64, "reverse": False},
        "exemplars": {"color": "rgba(255,0,255,0.7)"},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "rowsFrame": {"layout": "auto"},
        "showValue": "never",
        "tooltip": {"mode": "single", "showColorScale": False, "yHistogram": False},
        "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit},
    }
    custom = {"scaleDistribution": {"type": "linear"}, "hideFrom": {"legend": False, "tooltip": False, "viz": False}}
    asked = query(buckets, "{{le}}") | {"format": "heatmap"}
    return _panel("heatmap", title, about, unit, [asked], (width, height), options, NEUTRAL, custom)


def table(title, about, unit, expr, columns, *, limits, width=12, height=8, value=None):
    """The present series as rows: `columns` are labels, in order. `value` names the last column; without it, it isn't shown.

    The value has the `limits`' colours.
    """
    shown = [*columns, *(["Value"] if value else [])]
    labelled = query(expr, now=True) | {"format": "table"}
    options = {
        "frameIndex": 0,
        "showHeader": True,
        "cellHeight": "sm",
        "footer": {"show": False, "reducer": [], "countRows": False, "fields": []},
        "sortBy": [{"displayName": value, "desc": True}] if value else [],
    }
    custom = {"align": "auto", "cellOptions": {"type": "auto"}, "inspect": False}
    panel = _panel("table", title, about, unit, [labelled], (width, height), options, limits, custom)
    # By name: Grafana also gives the time, and an exporter's own labels, which nobody asked for.
    panel["transformations"] = [
        {"id": "filterFieldsByName", "options": {"include": {"names": shown}}},
        {
            "id": "organize",
            "options": {
                "excludeByName": {},
                "indexByName": {name: at for at, name in enumerate(shown)},
                "renameByName": {"Value": value} if value else {},
            },
        },
    ]
    if "function" in columns:
        _override(panel, "byName", "function", {"id": "links", "value": [_function_link("__value.raw")]})
    if limits != NEUTRAL:
        colored = {"id": "custom.cellOptions", "value": {"type": "color-text"}}
        _override(panel, "byName", value, colored, {"id": "color", "value": {"mode": "thresholds"}})
    return panel
