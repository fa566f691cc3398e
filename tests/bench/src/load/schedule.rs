//! When requests are due.
//!
//! Closed: a connection asks again as soon as it has its answer, which finds out how much a system can do. At a rate: requests are due
//! at fixed times, whether the system keeps up or not, and whichever connection is free takes the next one. A latency counts from the
//! time at which the request was due, so a system that stalls is charged for all who would have come meanwhile (no coordinated
//! omission).

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    Closed,
    /// Requests per second.
    Rate(f64),
}

/// Requests that are due are let go at least so far apart: several at once beyond 10,000 per second.
const SLEEP_AT_LEAST: Duration = Duration::from_micros(100);

#[derive(Debug)]
pub struct Schedule {
    pace: Pace,
    pub begin: Instant,
    /// What is due from here on counts.
    pub measure_from: Instant,
    pub end: Instant,
    next: AtomicU64,
    /// How many of the requests at a rate may begin.
    due: Semaphore,
}

/// A request that is due.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub number: u64,
    pub at: Instant,
}

// === impl Schedule ===

impl Schedule {
    pub fn new(pace: Pace, begin: Instant, warm_up: Duration, time: Duration) -> Self {
        Self {
            pace,
            begin,
            measure_from: begin + warm_up,
            end: begin + warm_up + time,
            next: AtomicU64::new(0),
            due: Semaphore::new(0),
        }
    }

    /// The next request, when it is due; `None`: that was all.
    pub async fn next(&self) -> Option<Arrival> {
        let rate = match self.pace {
            Pace::Closed => None,
            Pace::Rate(rate) => {
                self.due.acquire().await.ok()?.forget();
                Some(rate)
            }
        };
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let at = match rate {
            None => Instant::now(),
            Some(rate) => self.begin + at(number, rate),
        };
        (at < self.end).then_some(Arrival { number, at })
    }

    /// Lets requests go when they are due, on a thread of its own: a timer of the runtime is a millisecond late. Gives the longest
    /// that it was late itself.
    pub fn run(&self, connections: usize) -> Duration {
        let Pace::Rate(rate) = self.pace else {
            return Duration::ZERO;
        };
        let mut latest = Duration::ZERO;
        let mut released = 0;
        loop {
            let now = Instant::now();
            if now >= self.end {
                break;
            }
            let due = self.begin + at(released, rate);
            if let Some(late) = now.checked_duration_since(due) {
                latest = latest.max(late);
                let elapsed = now.saturating_duration_since(self.begin);
                let target = 1 + (elapsed.as_secs_f64() * rate) as u64;
                self.release(target.saturating_sub(released));
                released = released.max(target);
            }
            let next = self.begin + at(released, rate);
            thread::sleep(next.saturating_duration_since(now).max(SLEEP_AT_LEAST));
        }
        let all = ((self.end - self.begin).as_secs_f64() * rate).ceil() as u64;
        self.release(all.saturating_sub(released));
        // One for each connection, so that it learns that this was all.
        self.release(connections as u64);
        latest
    }

    fn release(&self, requests: u64) {
        self.due
            .add_permits(usize::try_from(requests).unwrap_or(usize::MAX));
    }
}

/// When the request with this number is due, from the beginning.
fn at(number: u64, rate: f64) -> Duration {
    Duration::from_secs_f64(number as f64 / rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn requests_at_a_rate_are_due_at_their_times_however_late_they_are_taken() {
        let begin = Instant::now();
        let schedule = Schedule::new(
            Pace::Rate(100.0),
            begin,
            Duration::ZERO,
            Duration::from_millis(100),
        );
        thread::scope(|scope| {
            scope.spawn(|| schedule.run(1));
        });
        for number in 0..10 {
            let arrival = schedule.next().await.unwrap();
            assert_eq!(
                (arrival.number, arrival.at),
                (number, begin + Duration::from_millis(10 * number))
            );
        }
        assert!(schedule.next().await.is_none());
    }

    #[tokio::test]
    async fn a_closed_load_is_due_at_once_until_the_end() {
        let begin = Instant::now();
        let schedule = Schedule::new(Pace::Closed, begin, Duration::ZERO, Duration::from_secs(60));
        assert!(schedule.next().await.unwrap().at.duration_since(begin) < Duration::from_secs(60));
        let over = Schedule::new(Pace::Closed, begin, Duration::ZERO, Duration::ZERO);
        assert!(over.next().await.is_none());
    }
}
