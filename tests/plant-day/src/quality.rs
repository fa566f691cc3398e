//! What is decided about a lot.
//!
//! Each decision is drawn by itself (85 % PASS, 10 % HOLD, 5 % FAIL), and then they are put in the order in which a plant has
//! them: first what was wrong, last what was put right. So a lot that was passed at all ends passed, and only the others stay on
//! hold or are rejected: some 8 % of the lots, which nobody uses any further.

use std::time::Duration;

use crate::dice::Dice;
use crate::kinds::{Gate, LotType, Verdict};
use crate::lot::Decision;
use crate::units::Celsius;

const HOLD_PERCENT: u32 = 10;
const FAIL_PERCENT: u32 = 5;

/// How many decisions a lot has, of a hundred lots: 1.8 on average.
const COUNTS: [(usize, u32); 4] = [(1, 45), (2, 35), (3, 15), (4, 5)];

/// How long a check takes, in seconds.
const CHECK_SECONDS: (u32, u32) = (60, 180);

/// What a lot may come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Whatever is decided.
    Open,
    /// Passed in the end: nobody throws away 800 kg, they are put right.
    PutRight,
}

/// The decisions about a lot that was registered `at`; as many as `count` says, or as chance does.
pub(crate) fn decide(
    dice: &mut Dice,
    lot_type: LotType,
    fate: Fate,
    count: Option<usize>,
    at: Duration,
) -> Vec<Decision> {
    let count = count.unwrap_or_else(|| drawn_count(dice));
    let mut verdicts: Vec<Verdict> = (0..count).map(|_| drawn_verdict(dice)).collect();
    put_in_order(&mut verdicts, fate);

    let passes = verdicts.iter().filter(|v| **v == Verdict::Pass).count();
    let mut now = at;
    let mut decisions: Vec<Decision> = Vec::with_capacity(count);
    for (place, verdict) in verdicts.into_iter().enumerate() {
        now += Duration::from_secs(dice.between(CHECK_SECONDS.0, CHECK_SECONDS.1).into());
        // A skewer that was weighed well goes on to be told apart by its SKU.
        let is_split = lot_type == LotType::Skw && passes > 1 && place + 1 == count;
        let gate = if is_split {
            Gate::SkuSplit
        } else {
            lot_type.gate()
        };
        decisions.push(Decision {
            gate,
            verdict,
            notes: notes(dice, gate, verdict),
            temperature: measured(dice, gate, verdict),
            at: now,
        });
    }
    decisions
}

fn drawn_count(dice: &mut Dice) -> usize {
    let mut thrown = dice.between(1, 100);
    for (count, share) in COUNTS {
        if thrown <= share {
            return count;
        }
        thrown -= share;
    }
    1
}

pub(crate) fn drawn_verdict(dice: &mut Dice) -> Verdict {
    match dice.between(1, 100) {
        ..=FAIL_PERCENT => Verdict::Fail,
        thrown if thrown <= FAIL_PERCENT + HOLD_PERCENT => Verdict::Hold,
        _ => Verdict::Pass,
    }
}

fn put_in_order(verdicts: &mut [Verdict], fate: Fate) {
    if let Some(last) = verdicts.last_mut()
        && fate == Fate::PutRight
    {
        // Few lots have this fate: the shares stay what they are.
        *last = Verdict::Pass;
    }
    // What is held is looked at before it is failed, and passed last of all.
    verdicts.sort_by_key(|verdict| match verdict {
        Verdict::Hold => 0,
        Verdict::Fail => 1,
        Verdict::Pass => 2,
    });
}

/// What the probe shows, at the gates that measure. Freezing must: it is the critical control point.
pub(crate) fn measured(dice: &mut Dice, gate: Gate, verdict: Verdict) -> Option<Celsius> {
    let (low, high) = match (gate, verdict) {
        (Gate::Freeze, Verdict::Pass) => (-250, -180),
        (Gate::Freeze, _) => (-175, -120),
        (Gate::Receipt | Gate::BulkReadiness | Gate::Mix, Verdict::Pass) => (10, 40),
        (Gate::Receipt | Gate::BulkReadiness | Gate::Mix, _) => (45, 90),
        _ => return None,
    };
    Some(celsius(dice, low, high))
}

/// A temperature between two, in tenths of a degree.
pub(crate) fn celsius(dice: &mut Dice, low: i16, high: i16) -> Celsius {
    let span = u32::from(high.abs_diff(low));
    let above = i16::try_from(dice.between(0, span)).unwrap_or_default();
    Celsius::tenths(low + above)
}

/// Why it is held or failed, in at least ten characters.
pub(crate) fn notes(dice: &mut Dice, gate: Gate, verdict: Verdict) -> Option<&'static str> {
    let reasons: &[&str] = match verdict {
        Verdict::Pass => return None,
        Verdict::Hold => match gate {
            Gate::Receipt => &[
                "Supplier's certificate missing",
                "Túl meleg átvételkor, újramérés",
            ],
            Gate::Deboning => &[
                "Bone splinter found, batch sorted again",
                "Csontszilánk: újraválogatás",
            ],
            Gate::BulkReadiness => &["Buffer above 4 °C, chilled on", "Puffer 4 °C felett, hűtés"],
            Gate::Mix => &[
                "Spices short of the recipe, added",
                "Keverék hőmérséklete magas",
            ],
            Gate::SkewerWeigh => &["Rod outside its tolerance", "Nyárs súlya tűrésen kívül"],
            Gate::SkuSplit => &["Label and rod don't agree", "Címke nem egyezik a nyárssal"],
            Gate::Freeze => &[
                "Core too warm, freezing goes on",
                "Maghőmérséklet magas, tovább fagy",
            ],
            Gate::FinalRelease => &[
                "Waits for the metal detector's log",
                "Fémkereső naplójára vár",
            ],
        },
        Verdict::Fail => match gate {
            Gate::Receipt => &[
                "Packaging torn, meat exposed",
                "Sérült csomagolás, visszaáru",
            ],
            Gate::Deboning => &["Foreign body found", "Idegen anyag a húsban"],
            Gate::BulkReadiness => &["Chilling failed for two hours", "Hűtés két órára kiesett"],
            Gate::Mix => &["Wrong recipe on the mixer", "Hibás receptúra a keverőn"],
            Gate::SkewerWeigh => &["Rod broken, meat on the floor", "Eltört nyárs, leesett hús"],
            Gate::SkuSplit => &["Rod of the other SKU", "Másik SKU nyársa került ide"],
            Gate::Freeze => &["Freezing cycle broken off", "Fagyasztási ciklus megszakadt"],
            Gate::FinalRelease => &[
                "Metal detector rejects the box",
                "Fémkereső kidobta a dobozt",
            ],
        },
    };
    dice.one_of(reasons).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::FREEZE_MAX;

    #[test]
    fn the_shares_are_what_a_plant_has() {
        let mut dice = Dice::of([7, 0, 0, 0]);
        let drawn: Vec<Verdict> = (0..100_000).map(|_| drawn_verdict(&mut dice)).collect();
        let share = |verdict| drawn.iter().filter(|v| **v == verdict).count();
        assert!((84_500..85_500).contains(&share(Verdict::Pass)));
        assert!((9_600..10_400).contains(&share(Verdict::Hold)));
        assert!((4_700..5_300).contains(&share(Verdict::Fail)));
    }

    #[test]
    fn decisions_come_one_after_the_other_and_keep_the_rules_of_their_gates() {
        let mut dice = Dice::of([8, 0, 0, 0]);
        for lot_type in LotType::ALL.into_iter().cycle().take(20_000) {
            let begin = Duration::from_secs(60);
            let decisions = decide(&mut dice, lot_type, Fate::PutRight, None, begin);
            assert!((1..=4).contains(&decisions.len()));
            assert_eq!(decisions.last().unwrap().verdict, Verdict::Pass);
            let mut before = begin;
            for decision in decisions {
                assert!(decision.at > before);
                before = decision.at;
                let reason = decision.notes.unwrap_or_default().chars().count();
                assert!(decision.verdict == Verdict::Pass || reason >= 10);
                if decision.gate.is_ccp() {
                    let is_cold = decision.temperature.unwrap() <= FREEZE_MAX;
                    assert_eq!(is_cold, decision.verdict == Verdict::Pass);
                }
            }
        }
    }
}
