//! `target/faults/latest.md`: how each fault went when it was last tried, a row for each.

use std::fs::{self, File};
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::load::{Kind, Outcome, Tally};
use crate::root;

const HEAD: &str = "\
| fault | requests | writes that failed | reads that failed | others that failed | acknowledged | found | recovered after | /readyz said 503 for |
|---|---|---|---|---|---|---|---|---|
";

/// As long as `/readyz` may say 503 while the database answers: one of its questions, which are 2 s apart, may be late on a machine
/// that is busy.
const BLIP: Duration = Duration::from_secs(5);

/// How a fault went.
#[derive(Debug)]
pub struct FaultReport {
    pub fault: &'static str,
    pub tally: Tally,
    /// Of the acknowledged lots, those in the database.
    pub found: usize,
    /// From the fault's end to the last answer that was not as wanted.
    pub recovered_after: Duration,
    /// For how long `/readyz` said 503.
    pub unready: Duration,
}

// === impl FaultReport ===

impl FaultReport {
    /// The database was away, and `/readyz` said so.
    pub fn expect_outage(&self) -> Result<()> {
        ensure!(!self.unready.is_zero(), "/readyz never said 503");
        Ok(())
    }

    /// The database answered all the time, and so did `/readyz`.
    pub fn expect_no_outage(&self) -> Result<()> {
        ensure!(
            self.unready <= BLIP,
            "/readyz said 503 for {:?}",
            self.unready
        );
        Ok(())
    }

    /// Shows it, and puts it into the table in place of the one before.
    pub fn note(&self) -> Result<()> {
        let row = self.row();
        println!("{row}");
        let dir = root().join("target/faults");
        fs::create_dir_all(&dir)?;
        // Other tests write at the same time.
        let lock = File::create(dir.join("lock"))?;
        lock.lock()?;
        let path = dir.join("latest.md");
        let table = fs::read_to_string(&path).unwrap_or_default();
        let mut rows: Vec<&str> = table.lines().skip(HEAD.lines().count()).collect();
        rows.retain(|other| fault(other) != fault(&row));
        rows.push(&row);
        rows.sort_unstable();
        Ok(fs::write(&path, format!("{HEAD}{}\n", rows.join("\n")))?)
    }

    fn row(&self) -> String {
        let failed = [Kind::Write, Kind::Read, Kind::Bystander].map(|kind| self.failed(kind));
        format!(
            "| {} | {} | {} | {} | {} | {:.1} s | {:.1} s |",
            self.fault,
            self.tally.requests(),
            failed.join(" | "),
            self.tally.acknowledged.len(),
            self.found,
            self.recovered_after.as_secs_f64(),
            self.unready.as_secs_f64(),
        )
    }

    fn failed(&self, kind: Kind) -> String {
        let counts = self.tally.failed(kind).into_iter();
        let counts: Vec<_> = counts
            .map(|(outcome, count)| match outcome {
                Outcome::Refused(status) => format!("{count} x {status}"),
                other => format!("{count} x {other:?}"),
            })
            .collect();
        match counts.is_empty() {
            true => "0".to_owned(),
            false => counts.join(", "),
        }
    }
}

fn fault(row: &str) -> Option<&str> {
    row.split('|').nth(1)
}
