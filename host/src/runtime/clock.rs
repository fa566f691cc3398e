//! How much CPU time a guest has used, with what the host did for it in its calls.
//!
//! A guest runs only while its instance is polled: the time of the polls is its own, and what passes between them is a wait.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

static BASE: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds in each field.
#[derive(Debug, Default)]
pub struct GuestClock {
    /// When the poll under way began; 0 while there is none.
    entered: AtomicU64,
    /// Used since the last [`GuestClock::restart`].
    used: AtomicU64,
    /// Used and not yet taken by [`GuestClock::take`].
    unreported: AtomicU64,
}

// === impl GuestClock ===

impl GuestClock {
    /// Counts the time that it takes to poll `guest`.
    pub async fn time<T>(&self, guest: impl Future<Output = T>) -> T {
        let mut guest = pin!(guest);
        poll_fn(|cx| {
            self.entered.store(now(), Relaxed);
            let polled = guest.as_mut().poll(cx);
            self.leave();
            polled
        })
        .await
    }

    /// The guest doesn't run from now on. Harmless when it didn't.
    pub fn leave(&self) {
        let ran = self.running();
        self.entered.store(0, Relaxed);
        self.used.fetch_add(ran, Relaxed);
        self.unreported.fetch_add(ran, Relaxed);
    }

    /// For how long the guest has run without a wait.
    pub fn running_for(&self) -> Duration {
        Duration::from_nanos(self.running())
    }

    /// Time used since the last restart.
    pub fn used(&self) -> Duration {
        Duration::from_nanos(self.used.load(Relaxed) + self.running())
    }

    /// A new request begins.
    pub fn restart(&self) {
        self.used.store(0, Relaxed);
    }

    /// Seconds used since the last call of this.
    pub fn take(&self) -> f64 {
        Duration::from_nanos(self.unreported.swap(0, Relaxed)).as_secs_f64()
    }

    fn running(&self) -> u64 {
        match self.entered.load(Relaxed) {
            0 => 0,
            entered => now().saturating_sub(entered),
        }
    }
}

fn now() -> u64 {
    // Never 0, which means "not running".
    u64::try_from(BASE.elapsed().as_nanos())
        .unwrap_or(u64::MAX)
        .max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const A_WHILE: Duration = Duration::from_millis(5);

    #[tokio::test]
    async fn only_polls_count() {
        let clock = GuestClock::default();
        let guest = async {
            std::thread::sleep(A_WHILE);
            assert!(clock.running_for() >= A_WHILE);
            assert!(clock.used() >= A_WHILE);
            tokio::time::sleep(20 * A_WHILE).await;
            assert!(clock.running_for() < A_WHILE);
        };
        clock.time(guest).await;
        let used = clock.used();
        assert!((A_WHILE..20 * A_WHILE).contains(&used), "{used:?}");
        assert_eq!(clock.running_for(), Duration::ZERO);

        assert_eq!(clock.take(), used.as_secs_f64());
        assert_eq!(clock.take(), 0.0);
        clock.restart();
        assert_eq!(clock.used(), Duration::ZERO);
    }
}
