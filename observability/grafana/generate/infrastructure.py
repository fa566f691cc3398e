"""Do the machines have room, does the host's process live, and do we see everything? What the other pages rest on."""

from page import labels_of, page, row
from panels import ANY, NEUTRAL, UP, UP_OR_DOWN, graph, number, query, rising, states, table

NODE = 'instance=~"$instance"'
# What is no disk of its own, or never fills up by itself.
DISKS = f'{{{NODE}, fstype!~"tmpfs|ramfs|overlay|squashfs|iso9660"}}'
NETWORK = f'{{{NODE}, device!~"lo|veth.*|docker.*|br-.*|cali.*"}}'
HOST = '{job="functions"}'


def node(name, labels=f"{{{NODE}}}", by="instance"):
    return f"sum by ({by}) (rate({name}{labels}[$__rate_interval]))"


health = row(
    "Do we see everything?",
    number(
        "Targets down",
        "Targets that Prometheus can't scrape. What they measure is missing everywhere. ExporterDown and HostDown fire on it.",
        "short",
        "count(up == 0) or count(up) * 0",
        limits=rising(1, 2),
    ),
    number(
        "Alerts firing",
        "Critical ones and warnings.",
        "short",
        'count(ALERTS{alertstate="firing", severity!="info"}) or vector(0)',
        limits=rising(1, 3),
    ),
    number(
        "Watchdog",
        "An alert that always fires, to show that the way of alerts works. 0: rules aren't evaluated.",
        "short",
        'count(ALERTS{alertstate="firing", alertname="Watchdog"}) or vector(0)',
        limits=UP,
    ),
    number(
        "Rules that failed",
        "Evaluations within the page's time that ended in an error: alerts that can't fire.",
        "short",
        "sum(increase(prometheus_rule_evaluation_failures_total[$__range]))",
        limits=ANY,
        decimals=0,
    ),
    number(
        "Notifications that failed",
        "Within the page's time: people who weren't told.",
        "short",
        "sum(increase(alertmanager_notifications_failed_total[$__range]))",
        limits=ANY,
        decimals=0,
    ),
    number(
        "Configuration",
        "Whether Prometheus and Alertmanager took the last one that they were given.",
        "none",
        "min(prometheus_config_last_reload_successful) * min(alertmanager_config_last_reload_successful)",
        limits=UP,
        words=[(1, "taken", "green"), (0, "REFUSED", "red")],
    ),
    states(
        "Targets",
        "Whether Prometheus could scrape each. Gaps: Prometheus itself was away.",
        query("max by (job, instance) (up)", "{{job}} {{instance}}"),
        words=UP_OR_DOWN,
        limits=UP,
        width=12,
    ),
    table(
        "Alerts",
        "Pending: the condition holds, not yet for long enough. docs/runbooks.md has a section for each.",
        "none",
        'max by (alertname, severity, function, alertstate) (ALERTS{severity!="info"})',
        ["alertname", "severity", "function", "alertstate"],
        limits=NEUTRAL,
    ),
    graph(
        "Scrape duration",
        "By job. It may not come near 5 s, where Prometheus gives up.",
        "s",
        query("max by (job) (scrape_duration_seconds)", "{{job}}"),
        limits=rising(1, 4),
    ),
    graph(
        "Samples of a scrape",
        "By job. A step up that stays is a label that grows.",
        "short",
        query("max by (job) (scrape_samples_scraped)", "{{job}}"),
        limits=NEUTRAL,
    ),
    graph(
        "Notifications",
        "That Alertmanager sent within the interval, and those that failed, by the way they took.",
        "short",
        query("sum by (integration) (increase(alertmanager_notifications_total[$__rate_interval])) > 0", "{{integration}}"),
        query(
            "sum by (integration) (increase(alertmanager_notifications_failed_total[$__rate_interval])) > 0",
            "{{integration}} failed",
        ),
        limits=NEUTRAL,
        bad="failed",
        bars=True,
    ),
)

machines = row(
    "Machines",
    graph(
        "CPU in use",
        "Share of all cores that is not idle.",
        "percentunit",
        query(
            f'1 - avg by (instance) (rate(node_cpu_seconds_total{{{NODE}, mode="idle"}}[$__rate_interval]))', "{{instance}}"
        ),
        limits=rising(0.8, 0.95),
        top=1,
        width=6,
    ),
    graph(
        "CPU by mode",
        "Cores. `iowait`: idle while something waits for the disk. `steal`: taken by other guests of the machine.",
        "short",
        query(node("node_cpu_seconds_total", f'{{{NODE}, mode!="idle"}}', "mode"), "{{mode}}"),
        limits=NEUTRAL,
        stacked=True,
        width=6,
    ),
    graph(
        "Load of a core",
        "Tasks that run or wait for the disk, for each core. Above 1 for long: they wait.",
        "short",
        query(
            f'max by (instance) (node_load1{{{NODE}}}) / count by (instance) (node_cpu_seconds_total{{{NODE}, mode="idle"}})',
            "{{instance}}",
        ),
        limits=rising(1, 2),
        width=6,
    ),
    graph(
        "Pressure",
        "Share of the time in which something waited for the CPU, the disk or memory. Nothing is shown where the kernel doesn't count it.",
        "percentunit",
        *[
            query(node(f"node_pressure_{what}_waiting_seconds_total"), f"{{{{instance}}}} {what}")
            for what in ("cpu", "io", "memory")
        ],
        limits=rising(0.25, 0.5),
        width=6,
    ),
    graph(
        "Memory in use",
        "Share that is neither free nor a cache that the kernel could give up.",
        "percentunit",
        query(
            f"1 - max by (instance) (node_memory_MemAvailable_bytes{{{NODE}}}) "
            f"/ max by (instance) (node_memory_MemTotal_bytes{{{NODE}}})",
            "{{instance}}",
        ),
        limits=rising(0.85, 0.95),
        top=1,
        width=6,
    ),
    graph(
        "Disk space in use",
        "By file system. Lines: 75 %, above which DiskFilling fires if one will be full within a day, and 95 %, where it is critical.",
        "percentunit",
        query(
            f"1 - max by (instance, mountpoint) (node_filesystem_avail_bytes{DISKS}) "
            f"/ max by (instance, mountpoint) (node_filesystem_size_bytes{DISKS})",
            "{{instance}} {{mountpoint}}",
        ),
        limits=rising(0.75, 0.95),
        top=1,
        width=6,
    ),
    graph(
        "Disk busy",
        "Share of the time in which the disk had something to do. An SSD at 100 % may still have room.",
        "percentunit",
        query(node("node_disk_io_time_seconds_total", by="instance, device"), "{{instance}} {{device}}"),
        limits=NEUTRAL,
        width=6,
    ),
    graph(
        "Network",
        "Without loopback and the containers' own devices.",
        "Bps",
        query(node("node_network_receive_bytes_total", NETWORK), "{{instance}} received"),
        query(node("node_network_transmit_bytes_total", NETWORK), "{{instance}} sent"),
        limits=NEUTRAL,
        width=6,
    ),
    graph(
        "Open files",
        "Share of what the kernel allows all processes together.",
        "percentunit",
        query(
            f"max by (instance) (node_filefd_allocated{{{NODE}}}) / max by (instance) (node_filefd_maximum{{{NODE}}})",
            "{{instance}}",
        ),
        limits=rising(0.8, 0.9),
        width=12,
    ),
    graph(
        "Processes killed for want of memory",
        "By the kernel, within the interval.",
        "short",
        query(f"sum by (instance) (increase(node_vmstat_oom_kill{{{NODE}}}[$__rate_interval]))", "{{instance}}"),
        limits=ANY,
        bars=True,
        width=12,
    ),
)

process = row(
    "The host's process",
    number(
        "Up for",
        "Time since the host's process started.",
        "s",
        f"time() - max(process_start_time_seconds{HOST})",
        limits=[("orange", None), ("green", 600)],
    ),
    number(
        "Version",
        "The version of the host that runs.",
        "none",
        "max by (version) (flowviz_build_info)",
        legend="{{version}}",
        limits=NEUTRAL,
    ),
    number(
        "Started",
        "Times within the page's time, beyond the first. More than was deployed: it died.",
        "short",
        f"sum(changes(process_start_time_seconds{HOST}[$__range]))",
        limits=rising(1, 3),
    ),
    number(
        "Reloads rejected",
        "Manifests within the page's time that the host refused; the one before goes on.",
        "short",
        'sum(increase(flowviz_app_reloads_total{result="rejected"}[$__range]))',
        limits=ANY,
        decimals=0,
    ),
    number(
        "Wrong admin tokens",
        "Answers 401 of the admin API within the page's time.",
        "short",
        'sum(increase(flowviz_admin_requests_total{status="401"}[$__range]))',
        limits=rising(1, 10),
        decimals=0,
    ),
    number("Threads", "Threads of the host's process.", "short", f"max(process_threads{HOST})", limits=NEUTRAL),
    graph(
        "CPU",
        "Cores that the host keeps busy, and the functions' part of them.",
        "short",
        query(f"sum by (instance) (rate(process_cpu_seconds_total{HOST}[$__rate_interval]))", "{{instance}} host"),
        query("sum by (instance) (rate(flowviz_function_cpu_seconds_total[$__rate_interval]))", "{{instance}} functions"),
        limits=NEUTRAL,
    ),
    graph(
        "Memory",
        "Resident. It follows the number of instances; growth without them is a leak.",
        "bytes",
        query(f"max by (instance) (process_resident_memory_bytes{HOST})", "{{instance}}"),
        limits=NEUTRAL,
    ),
    graph(
        "Open files",
        "Share of the process's limit: a connection is one.",
        "percentunit",
        query(f"max by (instance) (process_open_fds{HOST}) / max by (instance) (process_max_fds{HOST})", "{{instance}}"),
        limits=rising(0.8, 0.9),
        top=1,
    ),
)

monitoring = row(
    "Prometheus",
    graph(
        "Series",
        "In memory. Steady growth is a label that should not be one.",
        "short",
        query("max by (instance) (prometheus_tsdb_head_series)", "{{instance}}"),
        limits=NEUTRAL,
    ),
    graph(
        "Slowest group of rules",
        "Share of its interval that a group takes. At 100 % alerts come late.",
        "percentunit",
        query(
            "topk(5, max by (rule_group) (prometheus_rule_group_last_duration_seconds) "
            "/ max by (rule_group) (prometheus_rule_group_interval_seconds))",
            "{{rule_group}}",
        ),
        limits=rising(0.5, 0.9),
    ),
    graph(
        "Alerts that didn't reach Alertmanager",
        "Dropped or answered with an error, within the interval.",
        "short",
        query("sum(increase(prometheus_notifications_dropped_total[$__rate_interval]))", "dropped"),
        query("sum(increase(prometheus_notifications_errors_total[$__rate_interval]))", "errors"),
        limits=ANY,
        bars=True,
    ),
)

PAGE = page(
    "flowviz-infrastructure",
    "Scrapes and alerts, machines, the host's process, Prometheus.",
    health,
    machines,
    process,
    monitoring,
    variables=[labels_of("instance", "instance", "node_uname_info", "The machines to show.", everything=True)],
)
