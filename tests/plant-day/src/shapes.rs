//! Two shapes that no plant has and every test of a recall needs, with codes that are known beforehand: one lot with thousands of
//! descendants, `RAW-<day>-FANS-0001`, and one chain that goes down 60 levels, from `RAW-<day>-LINE-0001` to `FG-<day>-LINE-0001`.

use std::time::Duration;

use chrono::NaiveDate;

use crate::codes::Codes;
use crate::dice::Dice;
use crate::kinds::{Gate, LotType, Verdict};
use crate::lot::{Decision, Lot, Parent};
use crate::quality;
use crate::units::{Celsius, Kilograms};

/// As many tonnes as a lot may weigh.
const FAN_WEIGHT: Kilograms = Kilograms::hundredths(1_000_000);
/// Mixes that the fan's first lot goes into; each is skewered into its share of the rest.
const FAN_MIXES: u32 = 20;
/// The fewest that have all the stages, and the most that 10 t are enough for.
pub const FAN_OUT: std::ops::RangeInclusive<u32> = 120..=100_000;

/// Links from the chain's first lot to its last.
pub const CHAIN_DEPTH: u32 = 60;
const CHAIN_WEIGHT: Kilograms = Kilograms::hundredths(50_000);

/// Both shapes. `fan_out` is how many lots descend from the fan's first.
pub(crate) fn shapes(
    prefix: &str,
    day: NaiveDate,
    seed: u64,
    first: u64,
    fan_out: u32,
    decided: bool,
) -> Vec<Lot> {
    let builder = |site, name| Builder {
        codes: Codes::of_site(prefix, day, site),
        dice: Dice::of([seed, u64::MAX, name, 0]),
        decided,
        lots: Vec::new(),
        first,
    };
    let mut lots = fan(builder("FANS", 0), fan_out);
    let mut line = builder("LINE", 1);
    line.first += lots.len() as u64;
    lots.extend(chain(line));
    lots
}

/// RAW, then 20 each of DEB, BULK and MIX, then thirds of SKW, FRZ and FG.
fn fan(mut builder: Builder, fan_out: u32) -> Vec<Lot> {
    let root = builder.lot(LotType::Raw, FAN_WEIGHT, None);
    let share = Kilograms::hundredths(FAN_WEIGHT.in_hundredths() / FAN_MIXES);
    let mut mixes = Vec::new();
    for _ in 0..FAN_MIXES {
        let deboned = builder.lot(LotType::Deb, share, Some(root));
        let buffered = builder.lot(LotType::Bulk, share, Some(deboned));
        mixes.push(builder.lot(LotType::Mix, share, Some(buffered)));
    }
    // The same for each rod, whatever mix it is of: a mix is good for one rod more than its share.
    let rest = fan_out - 3 * FAN_MIXES;
    let rods = rest.div_ceil(3);
    let rod = Kilograms::hundredths(share.in_hundredths() / rods.div_ceil(FAN_MIXES));
    let mut left = rest;
    for (mix, _) in mixes.iter().cycle().zip(0..rods) {
        let mut above = *mix;
        for stage in [LotType::Skw, LotType::Frz, LotType::Fg] {
            if left > 0 {
                above = builder.lot(stage, rod, Some(above));
                left -= 1;
            }
        }
    }
    builder.lots
}

/// Meat that is turned over in the buffer again and again.
fn chain(mut builder: Builder) -> Vec<Lot> {
    let mut above = builder.lot(LotType::Raw, CHAIN_WEIGHT, None);
    for level in 1..=CHAIN_DEPTH {
        let stage = if level == CHAIN_DEPTH {
            LotType::Fg
        } else {
            LotType::Bulk
        };
        above = builder.lot(stage, CHAIN_WEIGHT, Some(above));
    }
    builder.lots
}

struct Builder {
    codes: Codes,
    dice: Dice,
    decided: bool,
    first: u64,
    lots: Vec<Lot>,
}

// === impl Builder ===

impl Builder {
    /// A lot that takes what it weighs of the one above, and is passed.
    fn lot(&mut self, lot_type: LotType, weight: Kilograms, above: Option<usize>) -> usize {
        let place = self.lots.len();
        let parent = above.and_then(|above| self.lots.get(above));
        let at = parent.map_or(Duration::ZERO, Lot::settled_at) + Duration::from_secs(30);
        let parents = parent.map(|parent| Parent {
            number: parent.number,
            code: parent.code.clone(),
            quantity: weight,
        });
        let gate = lot_type.gate();
        let decision = self.decided.then(|| Decision {
            gate,
            verdict: Verdict::Pass,
            notes: None,
            temperature: quality::measured(&mut self.dice, gate, Verdict::Pass),
            at: at + Duration::from_secs(30),
        });
        let is_frozen = matches!(gate, Gate::Freeze | Gate::FinalRelease);
        self.lots.push(Lot {
            number: self.first + place as u64,
            code: self.codes.next(lot_type),
            lot_type,
            weight,
            temperature: Celsius::tenths(if is_frozen { -200 } else { 30 }),
            metadata: Vec::new(),
            at,
            parents: parents.into_iter().collect(),
            decisions: decision.into_iter().collect(),
        });
        place
    }
}
