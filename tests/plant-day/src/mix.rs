//! The operators' mix, for load: lots : decisions : traceability = 10 : 5 : 1.
//!
//! A data set in which each lot has one to four decisions can't have that ratio, so this is another list of steps over the same
//! lots, parents and quantities: of every 16 requests 10 register a lot, 5 decide on a lot and 1 looks one up. A decision is drawn
//! by itself (85 % PASS, 10 % HOLD, 5 % FAIL). PASS goes to any recent lot, at its gate; HOLD and FAIL go to finished goods, which
//! nobody uses any further, so that every request is accepted in whatever order concurrent clients send them.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::dice::Dice;
use crate::kinds::{LotType, Verdict};
use crate::lot::{Decision, Lot};
use crate::plan::Plan;
use crate::quality;
use crate::step::{Action, Step, StepId};

/// After each second lot comes a decision, after each tenth a look at one.
const LOTS_PER_DECISION: u64 = 2;
const LOTS_PER_TRACE: u64 = 10;

/// Lots that operators still have at hand.
const AT_HAND: usize = 256;

/// Decisions about finished goods, of a hundred that pass.
const GOODS_PERCENT: u32 = 20;

/// Lots at hand, with how many steps each has had.
#[derive(Debug, Default)]
struct Hand(VecDeque<(Arc<Lot>, u32)>);

#[derive(Debug)]
struct Mix {
    dice: Dice,
    registered: u64,
    goods: Hand,
    others: Hand,
}

impl Plan {
    /// The operators' mix over this plan's lots, in the order of time.
    pub fn mix(&self) -> impl Iterator<Item = Step> {
        let mut mix = Mix {
            dice: Dice::of([self.seed, u64::MAX, 2, 0]),
            registered: 0,
            goods: Hand::default(),
            others: Hand::default(),
        };
        self.steps()
            .filter(|step| step.action == Action::Register)
            .flat_map(move |step| mix.around(step))
    }
}

// === impl Mix ===

impl Mix {
    /// This registration, and what operators do after it.
    fn around(&mut self, mut registration: Step) -> Vec<Step> {
        for after in &mut registration.after {
            // The plan's own decisions aren't made here.
            after.nth = 0;
        }
        let (lot, at) = (Arc::clone(&registration.lot), registration.at);
        self.registered += 1;
        let hand = match lot.lot_type {
            LotType::Fg => &mut self.goods,
            _ => &mut self.others,
        };
        hand.put(lot);

        let mut steps = vec![registration];
        if self.registered.is_multiple_of(LOTS_PER_DECISION) {
            let verdict = quality::drawn_verdict(&mut self.dice);
            steps.extend(self.decision(verdict, at));
        }
        if self.registered.is_multiple_of(LOTS_PER_TRACE) {
            let picked = self.others.pick(&mut self.dice);
            steps.extend(picked.map(|(lot, id)| step(lot, id, at, Action::Trace)));
        }
        steps
    }

    fn decision(&mut self, verdict: Verdict, at: Duration) -> Option<Step> {
        // Before there are finished goods, nothing can be failed that isn't used.
        let verdict = if self.goods.0.is_empty() {
            Verdict::Pass
        } else {
            verdict
        };
        let on_goods = verdict != Verdict::Pass || self.dice.percent(GOODS_PERCENT);
        let hand = if on_goods && !self.goods.0.is_empty() {
            &mut self.goods
        } else {
            &mut self.others
        };
        let (lot, id) = hand.pick(&mut self.dice)?;
        let gate = lot.lot_type.gate();
        let decision = Decision {
            gate,
            verdict,
            notes: quality::notes(&mut self.dice, gate, verdict),
            temperature: quality::measured(&mut self.dice, gate, verdict),
            at,
        };
        Some(step(lot, id, at, Action::Decide(decision)))
    }
}

fn step(lot: Arc<Lot>, id: StepId, at: Duration, action: Action) -> Step {
    let registration = StepId {
        lot: id.lot,
        nth: 0,
    };
    Step {
        id,
        after: vec![registration],
        at,
        lot,
        action,
    }
}

// === impl Hand ===

impl Hand {
    fn put(&mut self, lot: Arc<Lot>) {
        if self.0.len() == AT_HAND {
            self.0.pop_front();
        }
        self.0.push_back((lot, 0));
    }

    /// One of the lots, and the name of the next step with it.
    fn pick(&mut self, dice: &mut Dice) -> Option<(Arc<Lot>, StepId)> {
        let last = u32::try_from(self.0.len()).ok()?.checked_sub(1)?;
        let place = usize::try_from(dice.between(0, last)).ok()?;
        let (lot, steps) = self.0.get_mut(place)?;
        *steps += 1;
        Some((
            Arc::clone(lot),
            StepId {
                lot: lot.number,
                nth: *steps,
            },
        ))
    }
}
