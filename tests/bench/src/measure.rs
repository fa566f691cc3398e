//! One measurement: a load on one system, and what the system used meanwhile.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use serde::Serialize;
use tokio::time::{Instant, sleep_until};

use crate::cases::{Case, Requests};
use crate::load::{Load, Pace};
use crate::plant::{Plant, User};
use crate::process::{cpu_time, forget_peak, peak_memory};
use crate::profile::{Profile, Stacks};
use crate::server::Server;

/// How often the server's connections are counted.
const COUNT_EVERY: Duration = Duration::from_millis(100);

/// How long, and how hard.
#[derive(Clone, Copy, Debug)]
pub struct Effort<'a> {
    pub connections: usize,
    pub pace: Pace,
    pub warm_up: Duration,
    pub time: Duration,
    /// Where a profile of the server's process is written, if one is wanted.
    pub profile: Option<&'a (PathBuf, Stacks)>,
}

#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    /// Requests answered well per second.
    pub rps: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
    pub errors: u64,
    /// By status, or why there was none.
    pub errors_by: BTreeMap<String, u64>,
    /// Of the server's process.
    pub cpu_us_per_request: f64,
    pub rss_mb: f64,
    /// The most at a time.
    pub server_connections: u64,
    /// How late the generator let requests go, at most.
    pub late_ms: f64,
}

/// Loads `server` with the requests of `case`, whose new lots are named after `name`.
pub async fn measure(
    plant: &Plant,
    server: &Server,
    case: Case,
    effort: Effort<'_>,
    name: String,
) -> Result<Measurement> {
    plant.forget_server_connections().await?;
    let token = plant.token(User::Operator)?;
    let requests = Requests::new(Arc::clone(&plant.data), server.address, &token, name)?;
    let load = Load {
        address: server.address,
        connections: effort.connections,
        pace: effort.pace,
        warm_up: effort.warm_up,
        time: effort.time,
    };
    let running = load.start(case.maker(requests))?;
    sleep_until(running.measure_from().into()).await;

    let profile = effort
        .profile
        .map(|(file, stacks)| Profile::start(server.pid(), effort.time, file, *stacks))
        .transpose()?;
    forget_peak(server.pid())?;
    let (begun, cpu, completed) = (Instant::now(), cpu_time(server.pid())?, running.completed());
    let mut server_connections = 0;
    loop {
        server_connections = server_connections.max(plant.server_connections().await?);
        let next = Instant::now() + COUNT_EVERY;
        if next >= running.end().into() {
            break;
        }
        sleep_until(next).await;
    }
    sleep_until(running.end().into()).await;
    let (time, cpu) = (begun.elapsed(), cpu_time(server.pid())?.saturating_sub(cpu));
    let completed = running.completed() - completed;
    let memory = peak_memory(server.pid())?;

    if let Some(profile) = profile {
        profile.finish().await?;
    }
    let measured = tokio::task::spawn_blocking(|| running.finish())
        .await
        .map_err(|_| anyhow!("the load panicked"))??;
    let record = measured.record;
    Ok(Measurement {
        rps: completed as f64 / time.as_secs_f64(),
        p50_ms: record.latency_ms(0.5),
        p99_ms: record.latency_ms(0.99),
        errors: record.failed(),
        errors_by: record.errors,
        cpu_us_per_request: cpu.as_secs_f64() * 1e6 / completed.max(1) as f64,
        rss_mb: memory as f64 / f64::from(1 << 20),
        server_connections,
        late_ms: measured.late.as_secs_f64() * 1e3,
    })
}

/// For people who wait.
impl fmt::Display for Measurement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            rps,
            p50_ms,
            p99_ms,
            cpu_us_per_request: cpu,
            ..
        } = self;
        write!(
            f,
            "{rps:>7.0} req/s  p50 {p50_ms:>7.2} ms  p99 {p99_ms:>7.2} ms  {cpu:>5.0} us CPU"
        )?;
        for (error, count) in &self.errors_by {
            write!(f, "  {count} x {error}")?;
        }
        Ok(())
    }
}
