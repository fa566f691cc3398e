//! How many requests of a function run at once, and how many wait for a place. Whoever finds the queue full is refused at once:
//! an early 503 keeps the requests that are served fast.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// One function's places.
#[derive(Debug)]
pub struct Admission {
    places: Arc<Semaphore>,
    queue: usize,
    waiting: AtomicUsize,
}

/// There is no place, and there will be none in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("all places are taken and the queue is full")]
pub struct Overloaded;

struct Waiting<'a>(&'a AtomicUsize);

// === impl Admission ===

impl Admission {
    pub fn new(max_concurrency: usize, queue: usize) -> Self {
        Self {
            places: Arc::new(Semaphore::new(max_concurrency.min(Semaphore::MAX_PERMITS))),
            queue,
            waiting: AtomicUsize::new(0),
        }
    }

    /// A place, held for as long as the permit lives; first come, first served.
    pub async fn enter(&self, deadline: Instant) -> Result<OwnedSemaphorePermit, Overloaded> {
        if let Ok(permit) = Arc::clone(&self.places).try_acquire_owned() {
            return Ok(permit);
        }
        let before = self.waiting.fetch_add(1, Ordering::AcqRel);
        let _waiting = Waiting(&self.waiting);
        if before >= self.queue {
            return Err(Overloaded);
        }
        let place = Arc::clone(&self.places).acquire_owned();
        match tokio::time::timeout_at(deadline.into(), place).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_)) | Err(_) => Err(Overloaded),
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

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
}
