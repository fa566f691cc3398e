//! The plan: everything that happens, before anything has happened. Pure: the same plan gives the same days, on every machine.

use std::time::Duration;

use chrono::{Days, NaiveDate};
use sha2::{Digest as _, Sha256};

use crate::charge::Charge;
use crate::codes::Codes;
use crate::dice::Dice;
use crate::lot::Lot;
use crate::shapes;
use crate::step::Step;
use crate::units::Kilograms;

/// What a plant makes in a day. More lots make more days.
pub const LOTS_PER_DAY: u64 = 20_000;

/// What such a day comes to in finished goods, about.
pub const DAILY_TARGET: Kilograms = Kilograms::hundredths(100_000 * 100);

/// A shift is twelve hours, from 06:00 to 18:00.
pub const SHIFT: Duration = Duration::from_secs(12 * 3600);
pub const SHIFT_BEGINS_AT: Duration = Duration::from_secs(6 * 3600);

/// By then the last charge has begun: it takes up to five hours.
const LAST_CHARGE_AT: Duration = Duration::from_secs(7 * 3600);

const DAY: Duration = Duration::from_secs(24 * 3600);

/// What to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Not counting those of `fan_out`.
    pub lots: u64,
    pub seed: u64,
    /// The first day; the others follow.
    pub day: NaiveDate,
    /// Before every lot code.
    pub code_prefix: String,
    /// Decisions of every lot, 0 to 4; `None`: 1 to 4, as chance has it.
    pub decisions_per_lot: Option<u8>,
    /// Also a lot with so many descendants, and a chain of depth 60 (see [`crate::shapes`]).
    pub fan_out: Option<u32>,
}

/// One day of a plan.
#[derive(Clone, Debug)]
pub struct Day<'a> {
    plan: &'a Plan,
    /// Counted from the plan's first.
    pub index: u64,
    pub date: NaiveDate,
    lots: u64,
}

// === impl Plan ===

impl Plan {
    /// A plan with nothing special about it.
    pub fn of(lots: u64, seed: u64) -> Self {
        Self {
            lots,
            seed,
            day: NaiveDate::from_ymd_opt(2026, 1, 15).unwrap_or_default(),
            code_prefix: String::new(),
            decisions_per_lot: None,
            fan_out: None,
        }
    }

    /// Its days, in their order. Each is made when it is asked for, so that a plan of any size takes the memory of a day.
    pub fn days(&self) -> impl Iterator<Item = Day<'_>> {
        let days = self
            .lots
            .div_ceil(LOTS_PER_DAY)
            .max(u64::from(self.fan_out.is_some()));
        (0..days).map_while(|index| {
            Some(Day {
                plan: self,
                index,
                date: self.day.checked_add_days(Days::new(index))?,
                lots: LOTS_PER_DAY.min(self.lots - (index * LOTS_PER_DAY).min(self.lots)),
            })
        })
    }

    /// Every lot, parents before their children.
    pub fn lots(&self) -> impl Iterator<Item = Lot> {
        self.days().flat_map(|day| day.lots())
    }

    /// The whole data set, step by step, in the order of time: each lot with all its decisions.
    pub fn steps(&self) -> impl Iterator<Item = Step> {
        self.days().flat_map(|day| Step::of_day(day.lots()))
    }

    /// How many lots there are, those of `fan_out` counted.
    pub fn total(&self) -> u64 {
        let shapes = |fan_out| u64::from(fan_out) + u64::from(shapes::CHAIN_DEPTH) + 2;
        self.lots + self.fan_out.map_or(0, shapes)
    }

    /// A hash over everything that the plan says. Two plans with the same one are the same.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for lot in self.lots() {
            hash.update(format!("{lot}\n"));
        }
        hash.finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

// === impl Day ===

impl Day<'_> {
    /// The day's lots, parents before their children.
    pub fn lots(&self) -> Vec<Lot> {
        let Plan {
            seed, code_prefix, ..
        } = self.plan;
        let first = self.index * LOTS_PER_DAY;
        let wanted = usize::try_from(self.lots).unwrap_or(usize::MAX);
        let mut codes = Codes::of_plant(code_prefix, self.date);
        let mut lots: Vec<Lot> = Vec::new();
        for charge in 0.. {
            let so_far = lots.len() as u64;
            if so_far >= self.lots {
                break;
            }
            // Spread over the day by what is made, not by chance: whatever the day's size, its last charge begins in time.
            let seconds = LAST_CHARGE_AT.as_secs() * so_far / self.lots;
            let made = Charge {
                codes: &mut codes,
                dice: Dice::of([*seed, self.number(), charge, 0]),
                first: first + so_far,
                at: self.begin() + Duration::from_secs(seconds),
                decisions: self.plan.decisions_per_lot.map(usize::from),
                lots: Vec::new(),
            };
            lots.extend(made.make());
        }
        lots.truncate(wanted);
        if let (0, Some(fan_out)) = (self.index, self.plan.fan_out) {
            let decided = self.plan.decisions_per_lot != Some(0);
            lots.extend(shapes::shapes(
                code_prefix,
                self.date,
                *seed,
                self.plan.lots,
                fan_out,
                decided,
            ));
        }
        lots
    }

    /// When its shift begins, from when the first one did.
    pub fn begin(&self) -> Duration {
        DAY.saturating_mul(u32::try_from(self.index).unwrap_or(u32::MAX))
    }

    /// Names the day in the streams of chance: a day has the same lots in every plan that it is a part of.
    pub(crate) fn number(&self) -> u64 {
        let days = self
            .date
            .signed_duration_since(NaiveDate::default())
            .num_days();
        u64::from_ne_bytes(days.to_ne_bytes())
    }
}
