"""A page: its variables, its links to the others, its annotations, and its rows of panels laid out."""

from panels import DATASOURCE

WIDTH = 24

# From the machines up to the business, then what one looks at more closely.
PAGES = {
    "flowviz-infrastructure": "Infrastructure",
    "flowviz-application": "Application",
    "flowviz-business": "Business",
    "flowviz-database": "Database path",
    "flowviz-function": "Function",
}


def row(title, *panels, repeat=None):
    """With `repeat`, Grafana shows the row and its panels once for each chosen value of that variable."""
    return title, panels, repeat


def page(uid, about, *rows, variables=(), since="now-1h"):
    return {
        "id": None,
        "uid": uid,
        "title": f"FlowViz / {PAGES[uid]}",
        "description": about,
        "tags": ["flowviz"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "browser",
        "time": {"from": since, "to": "now"},
        "timepicker": {},
        "refresh": "30s",
        "templating": {"list": [_datasource(), *variables]},
        "annotations": {"list": [_swaps(variables), _alerts()]},
        "links": [_link(other, title) for other, title in PAGES.items() if other != uid],
        "panels": _laid_out(rows),
    }


def labels_of(name, label, metric, about, everything):
    """A variable with the values that a label has in a metric. With `everything`, all are chosen at first, else one."""
    query = f"label_values({metric}, {label})"
    chosen = {"text": ["All"], "value": ["$__all"], "selected": True}
    return {
        "name": name,
        "label": label.capitalize(),
        "description": about,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "regex": "",
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": everything,
        # All as a pattern: a list of two hundred names makes a long query.
        **({"allValue": ".+"} if everything else {}),
        **({"current": chosen} if everything else {}),
        "options": [],
        "hide": 0,
        "skipUrlSync": False,
    }


def functions(everything):
    return labels_of("function", "function", "flowviz_function_info", "The functions to show.", everything)


def _datasource():
    return {
        "name": "datasource",
        "label": "Prometheus",
        "description": "Where the metrics are.",
        "type": "datasource",
        "query": "prometheus",
        "regex": "",
        "refresh": 1,
        "multi": False,
        "includeAll": False,
        "current": {"text": "Prometheus", "value": "prometheus", "selected": True},
        "options": [],
        "hide": 0,
        "skipUrlSync": False,
    }


def _annotation(name, color, expr, title, text):
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": True,
        "hide": False,
        "iconColor": color,
        # Where Grafana 10 and 11 look for the query, and where earlier and later ones do.
        "expr": expr,
        "target": {"refId": "Anno", "expr": expr, "interval": "60s"},
        "step": "60s",
        "titleFormat": title,
        "textFormat": text,
        "tagKeys": "",
        "useValueForTime": False,
    }


def _swaps(variables):
    # `increase`, not `changes`: a host that starts anew counts from 0, which is no swap.
    chosen = '{function=~"$function"}' if any(each["name"] == "function" for each in variables) else ""
    expr = f"sum by (function, result) (increase(flowviz_function_swaps_total{chosen}[$__rate_interval])) > 0"
    return _annotation("Swaps", "blue", expr, "{{function}}: {{result}}", "A version of {{function}} was {{result}}.")


def _alerts():
    expr = 'ALERTS{alertstate="firing", severity!="info"}'
    return _annotation("Alerts", "red", expr, "{{alertname}}", "{{severity}} {{function}}")


def _link(uid, title):
    return {
        "title": title,
        "type": "link",
        "icon": "dashboard",
        "tooltip": f"The page {title}, at the same time",
        "url": f"/d/{uid}?${{datasource:queryparam}}",
        "tags": [],
        "asDropdown": False,
        "targetBlank": False,
        "includeVars": False,
        "keepTime": True,
    }


def _laid_out(rows):
    """Left to right, and on to the next line where a panel doesn't fit."""
    placed, top = [], 0
    for title, panels, repeat in rows:
        header = {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": top}}
        placed.append(header | ({"repeat": repeat} if repeat else {}))
        top, left, tallest = top + 1, 0, 0
        for panel in panels:
            width, height = panel["gridPos"]["w"], panel["gridPos"]["h"]
            if left + width > WIDTH:
                top, left, tallest = top + tallest, 0, 0
            placed.append(panel | {"gridPos": {"h": height, "w": width, "x": left, "y": top}})
            left, tallest = left + width, max(tallest, height)
        top += tallest
    return [{"id": at, **panel} for at, panel in enumerate(placed, start=1)]
