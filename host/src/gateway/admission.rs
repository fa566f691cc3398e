//! How many requests of a function run at once, and how many wait for a place. Whoever finds the queue full, or could only be served
//! too late, is refused at once: an early 503 keeps the requests that are served fast, and no place is taken by one that will time out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One function's places.
#[derive(Debug)]
pub struct Admission {
    free: Arc<Semaphore>,
    places: usize,
    queue: usize,
    waiting: AtomicUsize,
    usual: Arc<Usual>,
}

/// A place, held for as long as this lives.
#[derive(Debug)]
pub struct Place {
    taken: Instant,
    usual: Arc<Usual>,
    _permit: OwnedSemaphorePermit,
}

/// There is no place, and there will be none in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all places are taken, and the queue is full or too slow")]
pub struct Overloaded;

struct Waiting<'a>(&'a AtomicUsize);

/// How long a place is usually held, in nanoseconds: an average in which the last ones count most. 0 until one was.
#[derive(Debug, Default)]
struct Usual(AtomicU64);

// === impl Admission ===

impl Admission {
    pub fn new(max_concurrency: usize, queue: usize) -> Self {
        let places = max_concurrency.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            free: Arc::new(Semaphore::new(places)),
            places,
            queue,
            waiting: AtomicUsize::new(0),
            usual: Arc::default(),
        }
    }

    /// A place; first come, first served.
    pub async fn enter(&self, deadline: Instant) -> Result<Place, Overloaded> {
        if let Ok(permit) = Arc::clone(&self.free).try_acquire_owned() {
            return Ok(self.place(permit));
        }
        let before = self.waiting.fetch_add(1, Ordering::AcqRel);
        let _waiting = Waiting(&self.waiting);
        let usual = self.usual.get();
        let turn = usual.mul_f64((before as f64 + 1.0) / self.places as f64);
        // Requests differ, and a turn is a guess: twice what is usual should be left when it comes.
        let needed = turn.saturating_add(usual.saturating_mul(2));
        if before >= self.queue || needed > deadline.saturating_duration_since(Instant::now()) {
            return Err(Overloaded);
        }
        // Later than this it would take a place only to time out.
        let last = deadline.checked_sub(usual).unwrap_or(deadline);
        let permit = Arc::clone(&self.free).acquire_owned();
        match tokio::time::timeout_at(last.into(), permit).await {
            Ok(Ok(permit)) => Ok(self.place(permit)),
            Ok(Err(_)) | Err(_) => Err(Overloaded),
        }
    }

    fn place(&self, permit: OwnedSemaphorePermit) -> Place {
        Place {
            taken: Instant::now(),
            usual: Arc::clone(&self.usual),
            _permit: permit,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.usual.note(self.taken.elapsed());
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

// === impl Usual ===

impl Usual {
    /// How much one time counts: an eighth.
    const SHARE: u64 = 8;

    fn get(&self) -> Duration {
        Duration::from_nanos(self.0.load(Ordering::Relaxed))
    }

    fn note(&self, held: Duration) {
        let held = u64::try_from(held.as_nanos()).unwrap_or(u64::MAX);
        let averaged = |usual: u64| match usual {
            0 => held,
            _ => usual - usual / Self::SHARE + held / Self::SHARE,
        };
        let update = |usual| Some(averaged(usual));
        // It has no reason to fail.
        _ = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, update);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(20)
    }

    #[tokio::test]
    async fn beyond_the_queue_is_refused_at_once_and_within_it_waits() {
        let admission = Arc::new(Admission::new(1, 1));
        let first = admission.enter(soon()).await.unwrap();

        let late = Instant::now() + Duration::from_secs(60);
        let second = tokio::spawn({
            let admission = Arc::clone(&admission);
            async move { admission.enter(late).await.map(drop) }
        });
        while admission.waiting.load(Ordering::Acquire) == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(admission.enter(late).await.unwrap_err(), Overloaded);

        drop(first);
        second.await.unwrap().unwrap();
        assert_eq!(admission.waiting.load(Ordering::Acquire), 0);
    }

    #[tokio::test]
    async fn a_wait_ends_at_its_deadline() {
        let admission = Admission::new(1, 10);
        let _first = admission.enter(soon()).await.unwrap();
        assert_eq!(admission.enter(soon()).await.unwrap_err(), Overloaded);
        assert_eq!(admission.waiting.load(Ordering::Acquire), 0);
    }
    #[tokio::test]
    async fn whoever_could_only_be_served_too_late_is_refused_at_once() {
        let admission = Admission::new(2, 1000);
        let second = Duration::from_secs(1);
        admission.usual.note(second);
        let now = Instant::now();
        // A place is free: there is nothing to guess.
        let first = admission.enter(now).await.unwrap();
        let _second = admission.enter(now).await.unwrap();
        // Half a second until its turn, and two to be served.
        let refused = admission.enter(now + 2 * second).await;
        assert_eq!(refused.unwrap_err(), Overloaded);
        assert!(now.elapsed() < second);

        let waits = admission.enter(now + 60 * second);
        let (_third, ()) = tokio::join!(waits, async { drop(first) });
    }

    #[test]
    fn what_is_usual_follows_what_is() {
        let usual = Usual::default();
        let (slow, fast) = (Duration::from_secs(10), Duration::from_millis(10));
        usual.note(slow);
        assert_eq!(usual.get(), slow);
        for _ in 0..60 {
            usual.note(fast);
        }
        assert!(usual.get() < 2 * fast, "{:?}", usual.get());
        usual.note(Duration::MAX);
        assert!(usual.get() > slow);
    }
}
