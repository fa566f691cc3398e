//! A plan is the same wherever it is made, has the figures that it promises, and breaks no rule of the server.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Action, FREEZE_MAX, Gate, Kilograms, LOTS_PER_DAY, Lot, LotType, Plan, SHIFT, Status, Step,
    Verdict, shapes,
};
use proptest::prelude::*;

/// Changes with every change of the plan: then all figures measured before are of another day.
const GOLDEN: &str = "f1d270c7ff92456f4c79197893834d2e49d78ca7f61b80cadaf5e70748daca84";
const GOLDEN_DAY: &str = "b782b9439faca7d5dd5a7ef703ecc3c6bd13ce2d3182cac8bba14c08245b4e8a";

/// What the server knows of a lot.
struct Known {
    left: Kilograms,
    newest: BTreeMap<Gate, Verdict>,
}

/// The rules of the server, as far as a plan can break them.
#[derive(Default)]
struct Server(BTreeMap<String, Known>);

impl Server {
    fn take(&mut self, step: &Step) {
        let lot = &step.lot;
        match &step.action {
            Action::Register => self.register(lot),
            Action::Decide(decision) => {
                let known = self
                    .0
                    .get_mut(&lot.code)
                    .expect("a decision about a lot that is there");
                known.newest.insert(decision.gate, decision.verdict);
                let reason = decision.notes.unwrap_or_default().chars().count();
                assert!(decision.verdict == Verdict::Pass || (10..=1000).contains(&reason));
                if decision.gate.is_ccp() {
                    let core = decision.temperature.expect("a temperature at a CCP");
                    assert!(
                        decision.verdict != Verdict::Pass || core <= FREEZE_MAX,
                        "{lot}"
                    );
                }
            }
            Action::Trace => assert!(self.0.contains_key(&lot.code)),
        }
    }

    fn register(&mut self, lot: &Lot) {
        assert!((1..=100).contains(&lot.code.len()));
        assert!(
            lot.weight > Kilograms::default() && lot.weight <= Kilograms::hundredths(1_000_000)
        );
        assert_eq!(
            lot.parents.is_empty(),
            lot.lot_type == LotType::Raw,
            "{lot}"
        );
        let distinct: BTreeSet<&str> = lot.parents.iter().map(|p| p.code.as_str()).collect();
        assert_eq!(distinct.len(), lot.parents.len(), "{lot}");
        for parent in &lot.parents {
            let known = self
                .0
                .get_mut(&parent.code)
                .expect("a parent that is there");
            assert!(
                !known
                    .newest
                    .values()
                    .any(|verdict| *verdict == Verdict::Fail),
                "{lot}"
            );
            assert!(parent.quantity > Kilograms::default(), "{lot}");
            // Not even the server's tolerance is used.
            assert!(parent.quantity <= known.left, "{lot}");
            known.left -= parent.quantity;
        }
        let known = Known {
            left: lot.weight,
            newest: BTreeMap::new(),
        };
        assert!(
            self.0.insert(lot.code.clone(), known).is_none(),
            "{} twice",
            lot.code
        );
    }
}

/// The steps in the order in which many clients might take them: of those that may be taken, now this one and now that.
fn in_some_order(steps: Vec<Step>, mut choose: u64) -> Vec<Step> {
    let (mut done, mut taken) = (BTreeSet::new(), Vec::new());
    let mut waiting = steps;
    while !waiting.is_empty() {
        let may: Vec<usize> = (0..waiting.len())
            .filter(|n| waiting[*n].after.iter().all(|id| done.contains(id)))
            .take(16)
            .collect();
        assert!(!may.is_empty(), "steps wait for each other");
        choose = choose
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let step = waiting.remove(may[(choose >> 33) as usize % may.len()]);
        assert!(done.insert(step.id), "{:?} twice", step.id);
        taken.push(step);
    }
    taken
}

fn shares(decisions: impl Iterator<Item = Verdict>) -> (f64, f64, f64) {
    let all: Vec<Verdict> = decisions.collect();
    let share =
        |verdict| all.iter().filter(|v| **v == verdict).count() as f64 * 100.0 / all.len() as f64;
    (
        share(Verdict::Pass),
        share(Verdict::Hold),
        share(Verdict::Fail),
    )
}

fn decisions(steps: impl Iterator<Item = Step>) -> impl Iterator<Item = Verdict> {
    steps.filter_map(|step| match step.action {
        Action::Decide(decision) => Some(decision.verdict),
        _ => None,
    })
}

#[test]
fn the_same_numbers_give_the_same_day() {
    assert_eq!(Plan::of(200, 1).digest(), GOLDEN);
    assert_eq!(Plan::of(LOTS_PER_DAY, 1).digest(), GOLDEN_DAY);
    assert_ne!(Plan::of(200, 2).digest(), GOLDEN);
    let day = Plan {
        day: "2026-01-16".parse().unwrap(),
        ..Plan::of(200, 1)
    };
    assert_ne!(day.digest(), GOLDEN);
}

#[test]
fn a_day_has_the_figures_of_a_plant() {
    let plan = Plan::of(LOTS_PER_DAY, 1);
    let lots: Vec<Lot> = plan.lots().collect();
    assert_eq!(lots.len(), 20_000);
    let count = |test: &dyn Fn(&Lot) -> bool| lots.iter().filter(|lot| test(lot)).count();

    for lot_type in LotType::ALL {
        let of_type = count(&|lot| lot.lot_type == lot_type);
        assert!(of_type > 100, "{lot_type:?}");
    }
    let links: usize = lots.iter().map(|lot| lot.parents.len()).sum();
    let decided: usize = lots.iter().map(|lot| lot.decisions.len()).sum();
    assert!(
        (24_000..25_000).contains(&links),
        "{links} links: 1.2 a lot, so that a million lots have 1.2 million"
    );
    assert!(
        lots.iter()
            .all(|lot| (1..=4).contains(&lot.decisions.len()))
    );
    assert_eq!(plan.steps().count(), 20_000 + decided);

    let (pass, hold, fail) = shares(decisions(plan.steps()));
    assert!((84.0..86.0).contains(&pass), "{pass} % PASS");
    assert!((9.0..11.0).contains(&hold), "{hold} % HOLD");
    assert!((4.5..5.5).contains(&fail), "{fail} % FAIL");
    let rejected = count(&|lot| lot.status() == Status::Rejected);
    let on_hold = count(&|lot| lot.status() == Status::OnHold);
    assert!(rejected > 200 && on_hold > 500);

    let shift = lots.iter().map(Lot::settled_at).max().unwrap();
    assert!(shift < SHIFT, "{shift:?}");
    let format = |lot: &Lot| {
        let parts: Vec<&str> = lot.code.split('-').collect();
        parts.len() == 4 && parts[1] == "20260115" && parts[2] == "DUNA" && parts[3].len() == 4
    };
    assert!(lots.iter().all(format));
    assert!(lots.iter().any(|lot| lot.code == "RAW-20260115-DUNA-0101"));
}

#[test]
fn the_operators_mix_is_ten_to_five_to_one() {
    let plan = Plan::of(10_000, 1);
    let count = |test: fn(&Action) -> bool| plan.mix().filter(|step| test(&step.action)).count();
    assert_eq!(count(|action| matches!(action, Action::Register)), 10_000);
    assert_eq!(count(|action| matches!(action, Action::Decide(_))), 5_000);
    assert_eq!(count(|action| matches!(action, Action::Trace)), 1_000);
    let (pass, hold, fail) = shares(decisions(plan.mix()));
    assert!((83.5..87.0).contains(&pass), "{pass} % PASS");
    assert!((8.5..11.0).contains(&hold), "{hold} % HOLD");
    assert!((4.0..6.0).contains(&fail), "{fail} % FAIL");
}

#[test]
fn a_larger_plan_has_more_days_and_the_first_is_the_same() {
    let plan = Plan::of(2 * LOTS_PER_DAY + 5, 3);
    let days: Vec<_> = plan.days().collect();
    assert_eq!(days.len(), 3);
    assert_eq!(days[2].lots().len(), 5);
    assert_eq!(
        days[0].lots(),
        Plan::of(LOTS_PER_DAY, 3).lots().collect::<Vec<_>>()
    );
    assert!(
        days[1]
            .lots()
            .iter()
            .all(|lot| lot.code.contains("-20260116-"))
    );
    let numbers: BTreeSet<u64> = plan.lots().map(|lot| lot.number).collect();
    assert_eq!(numbers.len(), 2 * 20_000 + 5);
}

#[test]
fn the_shapes_are_as_large_as_they_say() {
    for fan_out in [*shapes::FAN_OUT.start(), 5000, *shapes::FAN_OUT.end()] {
        let plan = Plan {
            fan_out: Some(fan_out),
            ..Plan::of(0, 1)
        };
        let lots: BTreeMap<String, Lot> = plan.lots().map(|lot| (lot.code.clone(), lot)).collect();
        assert_eq!(lots.len() as u64, plan.total());
        let mut server = Server::default();
        plan.steps().for_each(|step| server.take(&step));

        let depth = |code: &str, root: &str| {
            let (mut lot, mut links) = (&lots[code], 0);
            while lot.code != root {
                lot = &lots[&lot.parents.first()?.code];
                links += 1;
            }
            Some(links)
        };
        let below = lots
            .keys()
            .filter(|code| depth(code, "RAW-20260115-FANS-0001") > Some(0));
        assert_eq!(below.count(), fan_out as usize);
        let end = depth("FG-20260115-LINE-0001", "RAW-20260115-LINE-0001");
        assert_eq!(end, Some(shapes::CHAIN_DEPTH));
        let types: BTreeSet<LotType> = lots.values().map(|lot| lot.lot_type).collect();
        assert_eq!(types.len(), 7);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever the plan, and in whatever order concurrent clients come to take its steps.
    #[test]
    fn every_step_keeps_the_rules(
        lots in 1_u64..900,
        seed: u64,
        decisions_per_lot in proptest::option::of(0_u8..=4),
        choose: u64,
        is_mix: bool,
    ) {
        let plan = Plan { decisions_per_lot, ..Plan::of(lots, seed) };
        let steps: Vec<Step> = if is_mix { plan.mix().collect() } else { plan.steps().collect() };
        let mut server = Server::default();
        steps.iter().for_each(|step| server.take(step));
        prop_assert_eq!(server.0.len() as u64, lots);
        prop_assert!(steps.is_sorted_by_key(|step| step.at));

        let mut server = Server::default();
        in_some_order(steps, choose).iter().for_each(|step| server.take(step));
        prop_assert_eq!(plan.digest(), plan.clone().digest());
        if !is_mix {
            for lot in plan.lots() {
                let newest = &server.0[&lot.code].newest;
                let is_rejected = newest.values().any(|verdict| *verdict == Verdict::Fail);
                prop_assert_eq!(is_rejected, lot.status() == Status::Rejected);
            }
        }
    }
}
