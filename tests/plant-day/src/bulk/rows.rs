//! A day's rows in COPY's text format. No value of ours holds a tab, a backslash or the end of a line: the codes' prefix is
//! checked where it comes in, and JSON writes such characters as escapes, whose backslashes are doubled.

use std::fmt::{Arguments, Write as _};
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

use crate::dice::Dice;
use crate::kinds::{LotType, SCENARIO, Status, Verdict};
use crate::lot::Lot;
use crate::plan::{DAILY_TARGET, Day, Plan, SHIFT, SHIFT_BEGINS_AT};
use crate::units::Kilograms;

pub(super) const RUNS: &str = "COPY production_runs (id, run_code, scenario_id, operator_id, status, daily_target_kg, started_at, \
     ended_at, summary) FROM STDIN";
pub(super) const LOTS: &str = "COPY lots (id, lot_code, lot_type, production_run_id, phase_id, operator_id, weight_kg, \
     temperature_c, metadata, created_at, status, updated_at) FROM STDIN";
pub(super) const LINKS: &str =
    "COPY lot_genealogy (id, parent_lot_id, child_lot_id, quantity_used_kg, linked_at) FROM STDIN";
pub(super) const DECISIONS: &str = "COPY qc_decisions (id, lot_id, qc_gate_id, operator_id, decision, notes, temperature_c, \
     decided_at) FROM STDIN";

const NULL: &str = "\\N";

/// One day's rows.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) runs: Bytes,
    pub(super) lots: Bytes,
    pub(super) links: Bytes,
    pub(super) decisions: Bytes,
}

/// Where the rows of a day are written.
struct Writer<'a> {
    dice: Dice,
    begin: DateTime<Utc>,
    /// When `begin` is, from when the plan's first shift began.
    begin_at: Duration,
    operator: &'a str,
    run: Uuid,
    /// The ids of the day's lots, in their order, with the number of each.
    ids: Vec<(u64, Uuid)>,
    lots: String,
    links: String,
    decisions: String,
}

// === impl Chunk ===

impl Chunk {
    /// `None` for a day that no calendar has.
    pub(super) fn of(plan: &Plan, day: &Day<'_>, operator: Option<&str>) -> Option<Self> {
        let midnight = day.date.and_hms_opt(0, 0, 0)?.and_utc();
        let begin = midnight + TimeDelta::from_std(SHIFT_BEGINS_AT).ok()?;
        let mut writer = Writer {
            dice: ids(plan, day),
            begin,
            begin_at: day.begin(),
            operator: operator.unwrap_or(NULL),
            run: Uuid::nil(),
            ids: Vec::new(),
            lots: String::new(),
            links: String::new(),
            decisions: String::new(),
        };
        writer.run = writer.id(begin)?;
        let lots = day.lots();
        for lot in &lots {
            writer.lot(lot)?;
        }
        Some(Self {
            runs: writer.run(day, &lots)?.into(),
            lots: writer.lots.into(),
            links: writer.links.into(),
            decisions: writer.decisions.into(),
        })
    }
}

/// The ids of another day, seed or prefix are others: the same lots can be loaded beside these.
fn ids(plan: &Plan, day: &Day<'_>) -> Dice {
    let hash = Sha256::digest(&plan.code_prefix);
    let prefix = hash.first_chunk().copied().unwrap_or_default();
    Dice::of([
        plan.seed,
        day.number(),
        u64::MAX,
        u64::from_le_bytes(prefix),
    ])
}

// === impl Writer ===

impl Writer<'_> {
    fn lot(&mut self, lot: &Lot) -> Option<()> {
        let made = self.time(lot.at)?;
        let id = self.id(made)?;
        self.ids.push((lot.number, id));
        // The newest decision that changed the status changed the row.
        let updated = self.time(changed_at(lot))?;
        let (run, phase, operator) = (self.run, lot.lot_type.phase(), self.operator);
        let metadata = lot.metadata_json().to_string().replace('\\', "\\\\");
        row(
            &mut self.lots,
            format_args!(
                "{id}\t{}\t{}\t{run}\t{phase}\t{operator}\t{}\t{}\t{metadata}\t{}\t{}\t{}",
                lot.code,
                lot.lot_type.as_str(),
                lot.weight,
                lot.temperature,
                text(made),
                lot.status().as_str(),
                text(updated),
            ),
        );
        for parent in &lot.parents {
            let place = self
                .ids
                .binary_search_by_key(&parent.number, |(number, _)| *number);
            let (_, above) = *self.ids.get(place.ok()?)?;
            let link = self.id(made)?;
            let (quantity, at) = (parent.quantity, text(made));
            row(
                &mut self.links,
                format_args!("{link}\t{above}\t{id}\t{quantity}\t{at}"),
            );
        }
        for decision in &lot.decisions {
            let decided = self.time(decision.at)?;
            let (own, at) = (self.id(decided)?, text(decided));
            let temperature = decision.temperature.map(|celsius| celsius.to_string());
            row(
                &mut self.decisions,
                format_args!(
                    "{own}\t{id}\t{}\t{operator}\t{}\t{}\t{}\t{at}",
                    decision.gate.id(),
                    decision.verdict.as_str(),
                    decision.notes.unwrap_or(NULL),
                    temperature.as_deref().unwrap_or(NULL),
                ),
            );
        }
        Some(())
    }

    /// The day's run, completed.
    fn run(&self, day: &Day<'_>, lots: &[Lot]) -> Option<String> {
        let hex: String = self
            .run
            .simple()
            .to_string()
            .chars()
            .rev()
            .take(4)
            .collect();
        let code = format!("PRD-{}-{}", day.date.format("%Y%m%d"), hex.to_uppercase());
        let total: Kilograms = lots.iter().map(|lot| lot.weight).sum();
        let of_type = |lot_type| lots.iter().filter(|lot| lot.lot_type == lot_type).count();
        let by_type: serde_json::Map<_, _> = LotType::ALL
            .map(|lot_type| (lot_type.as_str().to_owned(), of_type(lot_type).into()))
            .into_iter()
            .collect();
        let decided = |verdict: Verdict| {
            let all = lots.iter().flat_map(|lot| &lot.decisions);
            all.filter(|decision| decision.verdict == verdict).count()
        };
        let hours = u32::try_from(SHIFT.as_secs() / 3600).ok()?;
        let per_hour = Kilograms::hundredths((total.in_hundredths() + hours / 2) / hours);
        let summary = json!({
            "duration_minutes": SHIFT.as_secs() / 60,
            "total_lots": lots.len(),
            "total_kg": total.to_string(),
            "lots_by_type": by_type,
            "qc_pass": decided(Verdict::Pass),
            "qc_hold": decided(Verdict::Hold),
            "qc_fail": decided(Verdict::Fail),
            "kg_per_hour": per_hour.to_string(),
        });
        let mut rows = String::new();
        let end = self.begin + TimeDelta::from_std(SHIFT).ok()?;
        let (id, operator) = (self.run, self.operator);
        let (began, ended) = (text(self.begin), text(end));
        row(
            &mut rows,
            format_args!(
                "{id}\t{code}\t{SCENARIO}\t{operator}\tCOMPLETED\t{DAILY_TARGET}\t{began}\t{ended}\t{summary}"
            ),
        );
        Some(rows)
    }

    fn time(&self, at: Duration) -> Option<DateTime<Utc>> {
        let since = TimeDelta::from_std(at.checked_sub(self.begin_at)?).ok()?;
        self.begin.checked_add_signed(since)
    }

    /// A UUID v7 of that time, as a function would have made it then.
    fn id(&mut self, at: DateTime<Utc>) -> Option<Uuid> {
        let random = self.dice.bytes();
        let millis = u64::try_from(at.timestamp_millis()).ok()?;
        Some(Builder::from_unix_timestamp_millis(millis, random.first_chunk()?).into_uuid())
    }
}

/// When its status last changed: it begins as PENDING.
fn changed_at(lot: &Lot) -> Duration {
    let mut so_far = Lot {
        decisions: Vec::new(),
        ..lot.clone()
    };
    let (mut status, mut at) = (Status::Pending, lot.at);
    for decision in &lot.decisions {
        so_far.decisions.push(decision.clone());
        if so_far.status() != status {
            (status, at) = (so_far.status(), decision.at);
        }
    }
    at
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn row(rows: &mut String, row: Arguments<'_>) {
    // Writing into a String doesn't fail.
    _ = writeln!(rows, "{row}");
}
