//! Takes the steps of a plan with many hands: as many at once as allowed, and none before those that it has to wait for.

use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;

use crate::step::{Step, StepId};

/// Steps that are looked at beyond one that has to wait: so many lots are in work at once in a plant, and more.
const LOOKAHEAD: usize = 4096;

/// How long what was begun may take to end, once it is to stop.
const GRACE: Duration = Duration::from_secs(5);

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    Well,
    /// What waits for it is skipped.
    Badly,
}

/// Takes every step by `work`, `width` of them at once; `skip` hears of those that can't be taken, since one that they wait for
/// was done badly. Gives `false` if `stop` came first: then no further step was begun, and those that were had a while to end.
pub async fn drive<F: Future<Output = Done>>(
    steps: impl Iterator<Item = Step>,
    width: usize,
    stop: impl Future<Output = ()>,
    mut work: impl FnMut(Step) -> F,
    mut skip: impl FnMut(&Step),
) -> bool {
    let mut window = Window::of(steps);
    let mut running = FuturesUnordered::new();
    futures::pin_mut!(stop);
    loop {
        while running.len() < width
            && let Some(step) = window.next(&mut skip)
        {
            let id = step.id;
            let work = work(step);
            running.push(async move { (id, work.await) });
        }
        tokio::select! {
            biased;
            () = &mut stop => {
                let rest = async { while running.next().await.is_some() {} };
                // Whoever is still at it is left alone.
                _ = tokio::time::timeout(GRACE, rest).await;
                return false;
            }
            ended = running.next() => match ended {
                Some((id, done)) => window.ended(id, done, &mut skip),
                None => return true,
            },
        }
    }
}

/// The steps between those that have ended and those that nobody has looked at.
struct Window<I> {
    steps: I,
    /// Begun or waiting.
    open: HashSet<StepId>,
    ready: VecDeque<Step>,
    /// With how many others each still waits for.
    waiting: HashMap<StepId, (Step, usize)>,
    /// Who waits for a step.
    waiters: HashMap<StepId, Vec<StepId>>,
    /// Done badly, or skipped.
    lost: HashSet<StepId>,
}

// === impl Window ===

impl<I: Iterator<Item = Step>> Window<I> {
    fn of(steps: I) -> Self {
        Self {
            steps,
            open: HashSet::new(),
            ready: VecDeque::new(),
            waiting: HashMap::new(),
            waiters: HashMap::new(),
            lost: HashSet::new(),
        }
    }

    /// The next step that may be taken now.
    fn next(&mut self, skip: &mut impl FnMut(&Step)) -> Option<Step> {
        while self.ready.is_empty() && self.waiting.len() < LOOKAHEAD {
            let step = self.steps.next()?;
            if step.after.iter().any(|id| self.lost.contains(id)) {
                skip(&step);
                self.lost.insert(step.id);
                continue;
            }
            self.open.insert(step.id);
            let before: Vec<StepId> = step
                .after
                .iter()
                .copied()
                .filter(|id| self.open.contains(id))
                .collect();
            if before.is_empty() {
                self.ready.push_back(step);
                continue;
            }
            for id in &before {
                self.waiters.entry(*id).or_default().push(step.id);
            }
            self.waiting.insert(step.id, (step, before.len()));
        }
        self.ready.pop_front()
    }

    fn ended(&mut self, id: StepId, done: Done, skip: &mut impl FnMut(&Step)) {
        let mut ended = vec![(id, done)];
        while let Some((id, done)) = ended.pop() {
            self.open.remove(&id);
            if done == Done::Badly {
                self.lost.insert(id);
            }
            for waiter in self.waiters.remove(&id).unwrap_or_default() {
                // One that was skipped already waits for nobody.
                let Some((step, mut before)) = self.waiting.remove(&waiter) else {
                    continue;
                };
                before -= 1;
                if done == Done::Badly {
                    skip(&step);
                    ended.push((waiter, Done::Badly));
                } else if before == 0 {
                    self.ready.push_back(step);
                } else {
                    self.waiting.insert(waiter, (step, before));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Plan;
    use crate::step::Action;
    use std::cell::RefCell;
    use std::future::pending;

    #[tokio::test]
    async fn nothing_is_taken_before_what_it_waits_for_and_no_more_at_once_than_allowed() {
        let plan = Plan::of(3000, 1);
        let (ended, running) = (RefCell::new(HashSet::new()), RefCell::new(0));
        let work = |step: Step| {
            assert!(step.after.iter().all(|id| ended.borrow().contains(id)));
            let (ended, running) = (&ended, &running);
            async move {
                *running.borrow_mut() += 1;
                assert!(*running.borrow() <= 7);
                for _ in 0..step.id.lot % 5 {
                    tokio::task::yield_now().await;
                }
                *running.borrow_mut() -= 1;
                assert!(ended.borrow_mut().insert(step.id));
                Done::Well
            }
        };
        let skip = |step: &Step| panic!("{step:?}");
        assert!(drive(plan.steps(), 7, pending(), work, skip).await);
        assert_eq!(ended.borrow().len(), plan.steps().count());
    }

    #[tokio::test]
    async fn what_waits_for_a_failure_is_skipped_and_the_rest_is_done() {
        let plan = Plan::of(600, 1);
        let is_bad =
            |step: &Step| step.id.lot.is_multiple_of(40) && step.action == Action::Register;
        let (done, skipped) = (RefCell::new(Vec::new()), RefCell::new(Vec::new()));
        let work = |step: Step| {
            done.borrow_mut().push(step.id);
            let outcome = if is_bad(&step) {
                Done::Badly
            } else {
                Done::Well
            };
            async move {
                tokio::task::yield_now().await;
                outcome
            }
        };
        assert!(
            drive(plan.steps(), 16, pending(), work, |step| skipped
                .borrow_mut()
                .push(step.id))
            .await
        );

        let mut lost: HashSet<StepId> = HashSet::new();
        for step in plan.steps() {
            if is_bad(&step) || step.after.iter().any(|id| lost.contains(id)) {
                lost.insert(step.id);
            }
        }
        let skipped: HashSet<StepId> = skipped.into_inner().into_iter().collect();
        assert!(skipped.is_subset(&lost) && !skipped.is_empty());
        let done = done.into_inner();
        assert_eq!(done.len() + skipped.len(), plan.steps().count());
        assert!(done.iter().all(|id| !skipped.contains(id)));
    }

    #[tokio::test]
    async fn it_stops_when_it_is_told_to() {
        let begun = RefCell::new(0);
        let work = |_| {
            *begun.borrow_mut() += 1;
            pending()
        };
        tokio::time::pause();
        let stop = tokio::time::sleep(Duration::from_secs(1));
        assert!(!drive(Plan::of(100, 1).steps(), 3, stop, work, |_| {}).await);
        assert_eq!(begun.into_inner(), 3);
    }
}
