//! A fault on the whole WMS under load, and what must hold whatever the fault is:
//!
//! - every lot whose registration was acknowledged is in the database;
//! - clients see 503 or 504 at worst, in time, as problems; who needs no database sees nothing;
//! - when the fault is over, all is well again by itself, and `/readyz` says so;
//! - no connection and no transaction is left behind.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use flowviz_stack::{Durability, Options, Stack};

use crate::fault_table::FaultReport;
use crate::host::HostOptions;
use crate::leaks::nothing_leaks;
use crate::load::Load;
use crate::readyz::ReadyWatch;
use crate::wms::Wms;

/// How long nothing may fail before the fault counts as overcome.
const CALM: Duration = Duration::from_secs(2);

/// How soon all must be well after the fault's end: the longest wait that was under way then (a statement's 8 s), and some more on a
/// machine that is busy.
const RECOVERY: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Trial {
    fault: &'static str,
    began: Instant,
    load: Load,
    ready: ReadyWatch,
    pub wms: Wms,
}

// === impl Trial ===

impl Trial {
    /// A stack whose PostgreSQL loses nothing by a crash.
    pub async fn stack() -> Result<Stack> {
        let options = Options {
            durability: Durability::Full,
            ..Options::temporary()
        };
        Ok(Stack::start(options).await?)
    }

    pub async fn start(fault: &'static str) -> Result<Self> {
        Self::on(Self::stack().await?, fault, |_| {}).await
    }

    /// All is well, under load, when this returns: the fault may begin.
    pub async fn on(
        stack: Stack,
        fault: &'static str,
        adjust: impl FnOnce(&mut HostOptions),
    ) -> Result<Self> {
        let wms = Wms::on(stack, adjust).await?;
        let load = Load::start(&wms).await?;
        let ready = ReadyWatch::start(&wms.host);
        let started = Instant::now();
        load.until_well(started, Duration::from_secs(1)).await?;
        let said = ready.said(started);
        ensure!(
            said.iter().eq([&Some(200)]),
            "/readyz before the fault: {said:?}"
        );
        Ok(Self {
            fault,
            began: Instant::now(),
            load,
            ready,
            wms,
        })
    }

    /// An outage goes on until `/readyz` tells of it.
    pub async fn until_unready(&self) -> Result<()> {
        self.wms.host.wait_ready(503).await
    }

    /// Clients noticed nothing of what happened since then.
    pub fn expect_no_failure(&self, since: Instant) -> Result<()> {
        self.load.expect_no_failure(since)
    }

    /// The fault is over. Waits until all is well again, checks that nothing was lost or left behind, and notes how it went.
    pub async fn over(self) -> Result<FaultReport> {
        let over = Instant::now();
        let last_failure = self.load.until_well(over, CALM).await?;
        let recovered_after = last_failure.map_or(Duration::ZERO, |failure| {
            failure.saturating_duration_since(over)
        });
        self.wms.host.wait_ready(200).await?;
        let tally = self.load.stop().await?;

        let database = self.wms.database().await?;
        let found = database
            .query_one(
                "SELECT count(*) FROM lots WHERE lot_code = ANY($1)",
                &[&tally.acknowledged],
            )
            .await?;
        let said = self.ready.said(self.began);
        let report = FaultReport {
            fault: self.fault,
            found: usize::try_from(found.get::<_, i64>(0))?,
            tally,
            recovered_after,
            unready: self.ready.unready(self.began),
        };
        report.note()?;
        report.tally.check()?;
        ensure!(
            report.found == report.tally.acknowledged.len(),
            "{} lots were acknowledged, {} are there",
            report.tally.acknowledged.len(),
            report.found
        );
        ensure!(
            recovered_after <= RECOVERY,
            "all was well again only after {recovered_after:?}"
        );
        ensure!(
            said.iter().all(|status| matches!(status, Some(200 | 503))),
            "/readyz: {said:?}"
        );
        nothing_leaks(&self.wms).await?;
        Ok(report)
    }
}
