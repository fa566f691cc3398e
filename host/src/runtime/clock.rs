//! How much CPU time a guest has used, with what the host did for it in its calls.
//!
//! Wasmtime says when a guest is entered and left (call hooks); while the instance waits for something, or has yielded at an epoch
//! tick, the clock is stopped. All calls come from the one task that drives the instance.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

static BASE: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Nanoseconds in each field.
#[derive(Debug, Default)]
pub struct GuestClock {
    /// When the guest was entered; 0 while it isn't running.
    entered: AtomicU64,
    /// Used since the last [`GuestClock::restart`].
    used: AtomicU64,
    /// Used and not yet taken by [`GuestClock::take`].
    unreported: AtomicU64,
    /// The guest has waited since it was last entered.
    waited: AtomicBool,
}

// === impl GuestClock ===

impl GuestClock {
    /// The guest runs from now on, if it didn't already. True: it has waited before, so ticks have passed that are not its own.
    pub fn enter(&self) -> bool {
        if self.entered.load(Relaxed) != 0 {
            return false;
        }
        self.entered.store(now(), Relaxed);
        self.waited.swap(false, Relaxed)
    }

    /// The instance waits for something.
    pub fn wait(&self) {
        self.leave();
        self.waited.store(true, Relaxed);
    }

    /// The guest doesn't run from now on. Harmless when it didn't.
    pub fn leave(&self) {
        let entered = self.entered.swap(0, Relaxed);
        if entered != 0 {
            let ran = now().saturating_sub(entered);
            self.used.fetch_add(ran, Relaxed);
            self.unreported.fetch_add(ran, Relaxed);
        }
    }

    /// Time used since the last restart, without what is running now.
    pub fn used(&self) -> Duration {
        Duration::from_nanos(self.used.load(Relaxed))
    }

    /// A new request begins.
    pub fn restart(&self) {
        self.used.store(0, Relaxed);
    }

    /// Seconds used since the last call of this.
    pub fn take(&self) -> f64 {
        Duration::from_nanos(self.unreported.swap(0, Relaxed)).as_secs_f64()
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

    #[test]
    fn only_time_inside_the_guest_counts() {
        let clock = GuestClock::default();
        std::thread::sleep(Duration::from_millis(5));
        clock.leave();
        assert_eq!(clock.used(), Duration::ZERO);

        assert!(!clock.enter());
        std::thread::sleep(Duration::from_millis(5));
        // A call to the host and back doesn't begin anew.
        assert!(!clock.enter());
        clock.leave();
        let used = clock.used();
        assert!(used >= Duration::from_millis(5));
        clock.leave();
        assert_eq!(clock.used(), used);

        assert!(clock.take() > 0.0);
        assert_eq!(clock.take(), 0.0);
        clock.restart();
        assert_eq!(clock.used(), Duration::ZERO);

        clock.wait();
        assert!(clock.enter(), "it had waited");
        clock.leave();
        assert!(!clock.enter(), "and not since");
    }
}
