//! `[component.<id>.tool.flowviz]`: what Spin has no word for. Stock Spin ignores `tool`; here an unknown key is an error.
//!
//! | key | default | what | range |
//! |---|---|---|---|
//! | `memory_limit` | `"128MiB"` | linear memory of one instance; B, KB, MB, GB, KiB, MiB, GiB, or bytes as an integer | 1MiB - 4GiB |
//! | `timeout` | `"30s"` | wall time of the whole request, until its response has ended; ms, s, m, h | 10ms - 1h |
//! | `cpu_limit` | `"5s"` | CPU time of one request, counted in ticks of 10 ms | 10ms - 1h |
//! | `max_concurrency` | `128` | requests that run at the same time | 1 - 10000 |
//! | `queue` | `2048` | requests that wait for a place; 0 is no queue; beyond it: 503 | 0 - 100000 |
//! | `max_body_size` | `"256KiB"` | a request's body, as `memory_limit`; beyond it: 413 | 1B - 1GiB |
//! | `db_quota` | 4/5 of the pool | database connections that the function may hold at the same time | 1 - 1000 |
//! | `db_wait` | `"3s"` | how long a statement waits for a connection; then SQLSTATE 53300 | 1ms - 1m |
//! | `db_buffer` | `"128MiB"` | rows that the host holds for the function, over all its statements; beyond it: SQLSTATE 53200 | 64KiB - 4GiB |
//! | `instance_reuse` | `{}` | `false` is a new instance for each request; a table may set the next two | |
//! | `instance_reuse.max_requests` | `1000` | requests in the life of an instance | 1 - 1000000000 |
//! | `instance_reuse.idle_timeout` | `"10s"` | an instance without work is dropped after this | 10ms - 1h |
//! | `every` | none | the host calls the function by itself, at once and then at this interval; ms, s, m, h | 1s - 24h |
//! | `methods` | all | HTTP methods that the function takes; to others the host answers 405 with `Allow` | |
//! | `rate_limits` | none | a list of rules, as the next four; all that apply are checked; beyond one: 429 | 8 rules |
//! | `rate_limits[].requests` | must be given | requests in a window, and at once | 1 - 1000000 |
//! | `rate_limits[].window` | must be given | whole seconds; s, m, h | 1s - 24h |
//! | `rate_limits[].methods` | all | the methods that the rule is for; GET includes HEAD | |
//! | `rate_limits[].per` | `"user"` | whose requests count together: `user`, `address` or `body.<field>` | |
//! | `probe` | none | a path of the function: a new version must answer `GET` there with 2xx or 3xx before it serves | |
//! | `metrics.<name>.type` | must be given | `counter`, `gauge` or `histogram` | |
//! | `metrics.<name>.help` | must be given | one sentence for people | |
//! | `metrics.<name>.labels` | none | `{ label = ["values", "known", "beforehand"] }` | 10 labels |
//! | `metrics.<name>.buckets` | 1 ms - 10 s | of a histogram: upper bounds, increasing | 1 - 50 |
//! | `metrics.<name>.max_series` | `200` | label sets beyond it are recorded as `other` | 1 - 10000 |

use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::document::{Item, Section};
use super::limits::{self, InstanceReuse, Limits};
use super::methods;
use super::metrics::{self, MetricDeclaration};
use super::rates::{self, RateLimit};
use super::units::{parse_duration, parse_size, show_duration, show_size};

/// Within every range of its kind.
const SIZE_EXAMPLE: &str = "128MiB";
const DURATION_EXAMPLE: &str = "30s";

/// More often would be a loop, not a schedule.
const EVERY_RANGE: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(24 * 3600);

/// All of the table.
#[derive(Debug, Default)]
pub(super) struct Settings<'d> {
    pub limits: Limits,
    pub every: Option<Duration>,
    pub methods: Option<Vec<http::Method>>,
    pub probe: Option<String>,
    /// Each with its place.
    pub rate_limits: Vec<(RateLimit, Item<'d>)>,
    /// Each with the key that declares it.
    pub metrics: Vec<(MetricDeclaration, Item<'d>)>,
}

impl<'d> Settings<'d> {
    pub fn read(mut section: Section<'d>) -> Self {
        let limits = read_limits(&mut section);
        let methods = section.take("methods").and_then(|item| {
            methods::read(&item, "a function that takes no method answers nothing")
        });
        let settings = Self {
            limits,
            every: section
                .take("every")
                .and_then(|item| read_every(&item, methods.as_deref())),
            probe: section
                .take("probe")
                .and_then(|item| read_probe(&item, methods.as_deref())),
            rate_limits: section
                .take("rate_limits")
                .map(|item| rates::read(&item, methods.as_deref()))
                .unwrap_or_default(),
            methods,
            metrics: section
                .table("metrics")
                .map(|metrics| metrics::read(&metrics))
                .unwrap_or_default(),
        };
        section.finish();
        settings
    }
}

fn read_limits(section: &mut Section<'_>) -> Limits {
    let default = Limits::default();
    let timeout = section
        .take("timeout")
        .and_then(|item| duration(&item, &limits::TIMEOUT_RANGE));
    let timeout = timeout.unwrap_or(default.timeout);
    let cpu = section.take("cpu_limit").and_then(|item| {
        let cpu = duration(&item, &limits::CPU_RANGE)?;
        if cpu > timeout {
            let what = format!(
                "no request gets that far: its `timeout` is {}",
                show_duration(timeout)
            );
            item.warn(what, "raise `timeout` or lower `cpu_limit`");
        }
        Some(cpu)
    });
    Limits {
        timeout,
        cpu: cpu.unwrap_or(default.cpu),
        memory: section
            .take("memory_limit")
            .and_then(|item| size(&item, &limits::MEMORY_RANGE))
            .unwrap_or(default.memory),
        max_body: section
            .take("max_body_size")
            .and_then(|item| size(&item, &limits::BODY_RANGE))
            .unwrap_or(default.max_body),
        max_concurrency: count(
            section,
            "max_concurrency",
            &limits::CONCURRENCY_RANGE,
            default.max_concurrency,
        ),
        queue: count(section, "queue", &limits::QUEUE_RANGE, default.queue),
        db_quota: optional_count(section, "db_quota", &limits::DB_QUOTA_RANGE, "20"),
        db_wait: section
            .take("db_wait")
            .and_then(|item| duration(&item, &limits::DB_WAIT_RANGE))
            .unwrap_or(default.db_wait),
        db_buffer: section
            .take("db_buffer")
            .and_then(|item| size(&item, &limits::DB_BUFFER_RANGE))
            .unwrap_or(default.db_buffer),
        instance_reuse: section
            .take("instance_reuse")
            .map_or(default.instance_reuse, |item| read_reuse(&item)),
    }
}

fn read_reuse(item: &Item<'_>) -> InstanceReuse {
    let default = InstanceReuse::default();
    if item.is_boolean() {
        if item.boolean() == Some(true) {
            item.error(
                "`true` says nothing that the default doesn't",
                "remove it, or write `false` or `{ max_requests = 1000 }`",
            );
        }
        return InstanceReuse::NEVER;
    }
    if !item.is_table() {
        item.wrong_type(
            "`false` or a table",
            "instance_reuse = { max_requests = 1000 }",
        );
        return default;
    }
    let Some(mut section) = item.table() else {
        return default;
    };
    let idle = section
        .take("idle_timeout")
        .and_then(|item| duration(&item, &limits::IDLE_RANGE));
    let reuse = InstanceReuse {
        max_requests: count(
            &mut section,
            "max_requests",
            &limits::REUSE_REQUESTS_RANGE,
            default.max_requests,
        ),
        idle_timeout: idle.unwrap_or(default.idle_timeout),
    };
    section.finish();
    reuse
}

fn read_probe(item: &Item<'_>, methods: Option<&[http::Method]>) -> Option<String> {
    let path = item.text()?;
    if !path.starts_with('/') || path.parse::<http::uri::PathAndQuery>().is_err() {
        item.error(
            "not a path that can be asked for",
            "write one that the function answers, for example `probe = \"/api/health\"`",
        );
        return None;
    }
    if methods.is_some_and(|methods| !methods.contains(&http::Method::GET)) {
        item.error(
            "a probe is a GET, which `methods` leaves out",
            "remove the probe, or add `\"GET\"` to `methods`",
        );
    }
    Some(path.to_owned())
}

/// `audit_every` of the application: as often as a function's `every`.
pub(super) fn read_audit_every(item: &Item<'_>) -> Option<Duration> {
    duration(item, &EVERY_RANGE)
}

fn read_every(item: &Item<'_>, methods: Option<&[http::Method]>) -> Option<Duration> {
    if methods.is_some_and(|methods| !methods.contains(&http::Method::GET)) {
        item.error(
            "the host calls a scheduled function with GET, which `methods` leaves out",
            "add `\"GET\"` to `methods`",
        );
    }
    duration(item, &EVERY_RANGE)
}

/// A count with a default.
pub(super) fn count(
    section: &mut Section<'_>,
    key: &'static str,
    range: &RangeInclusive<u64>,
    default: usize,
) -> usize {
    optional_count(section, key, range, &default.to_string()).unwrap_or(default)
}

/// The ranges stay far below what `usize` holds.
fn optional_count(
    section: &mut Section<'_>,
    key: &'static str,
    range: &RangeInclusive<u64>,
    example: &str,
) -> Option<usize> {
    let item = section.take(key)?;
    let number = item.unsigned(example)?;
    let number = within(&item, number, range, |n| n.to_string())?;
    usize::try_from(number).ok()
}

fn size(item: &Item<'_>, range: &RangeInclusive<u64>) -> Option<u64> {
    let bytes = if item.is_integer() {
        item.unsigned(&format!("\"{SIZE_EXAMPLE}\""))
    } else {
        item.text()
            .and_then(|text| parsed(item, text, parse_size, SIZE_EXAMPLE))
    };
    within(item, bytes?, range, show_size)
}

pub(super) fn duration(item: &Item<'_>, range: &RangeInclusive<Duration>) -> Option<Duration> {
    if let Some(number) = item.integer() {
        // Seconds, most likely; but what is suggested must be accepted.
        let seconds = format!("{number}s");
        let fits = parse_duration(&seconds).is_some_and(|duration| range.contains(&duration));
        let example = if fits { &seconds } else { DURATION_EXAMPLE };
        item.wrong_type("a string", &format!("{} = \"{example}\"", item.key));
        return None;
    }
    let duration = parsed(item, item.text()?, parse_duration, DURATION_EXAMPLE)?;
    within(item, duration, range, show_duration)
}

fn parsed<T>(
    item: &Item<'_>,
    text: &str,
    parse: fn(&str) -> Option<T>,
    example: &str,
) -> Option<T> {
    let value = parse(text);
    if value.is_none() {
        let what = format!("`{text}` is not a whole number and a unit");
        item.error(
            what,
            format!("write for example `{} = \"{example}\"`", item.key),
        );
    }
    value
}

pub(super) fn within<T: PartialOrd + Copy, S: Display>(
    item: &Item<'_>,
    value: T,
    range: &RangeInclusive<T>,
    show: fn(T) -> S,
) -> Option<T> {
    if range.contains(&value) {
        return Some(value);
    }
    let what = format!("{} is out of range", show(value));
    item.error(
        what,
        format!(
            "choose from {} to {}",
            show(*range.start()),
            show(*range.end())
        ),
    );
    None
}
