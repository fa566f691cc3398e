//! What a function may use: `[component.<id>.tool.flowviz]`'s limits, their defaults and their ranges.
//! `settings.rs` has the table of all keys.

use std::ops::RangeInclusive;
use std::time::Duration;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const GIB: u64 = 1024 * MIB;
const HOUR: Duration = Duration::from_secs(3600);

/// The host measures CPU time in these: a shorter limit couldn't be kept.
pub const CPU_TICK: Duration = Duration::from_millis(10);

/// Nothing starts in less than a page or two of tables; 4 GiB is all that a 32-bit guest can address.
pub const MEMORY_RANGE: RangeInclusive<u64> = MIB..=4 * GIB;
pub const TIMEOUT_RANGE: RangeInclusive<Duration> = Duration::from_millis(10)..=HOUR;
pub const CPU_RANGE: RangeInclusive<Duration> = CPU_TICK..=HOUR;
pub const CONCURRENCY_RANGE: RangeInclusive<u64> = 1..=10_000;
/// 0 is no queue: a request beyond `max_concurrency` is refused at once.
pub const QUEUE_RANGE: RangeInclusive<u64> = 0..=100_000;
pub const BODY_RANGE: RangeInclusive<u64> = 1..=GIB;
pub const DB_QUOTA_RANGE: RangeInclusive<u64> = 1..=1_000;
pub const DB_WAIT_RANGE: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(60);
pub const DB_BUFFER_RANGE: RangeInclusive<u64> = 64 * KIB..=4 * GIB;
pub const REUSE_REQUESTS_RANGE: RangeInclusive<u64> = 1..=1_000_000_000;
pub const IDLE_RANGE: RangeInclusive<Duration> = Duration::from_millis(10)..=HOUR;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Linear memory of one instance, in bytes.
    pub memory: u64,
    /// Wall time of a request, from its admission to the end of the response's body.
    pub timeout: Duration,
    /// CPU time of one request, kept to `CPU_TICK`.
    pub cpu: Duration,
    /// Requests that run at the same time.
    pub max_concurrency: usize,
    /// Requests that wait for one of those places; beyond it the host answers 503.
    pub queue: usize,
    /// Bytes of a request's body; beyond it the host answers 413.
    pub max_body: u64,
    /// Database connections that the function may hold at the same time; `None`: four of five in the pool.
    pub db_quota: Option<usize>,
    /// How long a statement waits for a connection.
    pub db_wait: Duration,
    /// Bytes of rows that the host holds for the function, over all its statements.
    pub db_buffer: u64,
    pub instance_reuse: InstanceReuse,
}

/// How long one instance lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InstanceReuse {
    /// Requests that one instance serves in its life.
    pub max_requests: usize,
    /// An instance that has had nothing to do for so long is dropped.
    pub idle_timeout: Duration,
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory: 128 * MIB,
            timeout: Duration::from_secs(30),
            cpu: Duration::from_secs(5),
            max_concurrency: 128,
            queue: 2048,
            max_body: 256 * KIB,
            db_quota: None,
            db_wait: Duration::from_secs(3),
            db_buffer: 128 * MIB,
            instance_reuse: InstanceReuse::default(),
        }
    }
}

// === impl InstanceReuse ===

impl InstanceReuse {
    /// `instance_reuse = false`: a new instance for each request.
    pub const NEVER: Self = Self {
        max_requests: 1,
        idle_timeout: Duration::ZERO,
    };
}

impl Default for InstanceReuse {
    fn default() -> Self {
        Self {
            max_requests: 1000,
            idle_timeout: Duration::from_secs(10),
        }
    }
}
