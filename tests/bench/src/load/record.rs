//! What a load has measured: latencies and errors, of many threads put together.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;

/// Microseconds: two minutes. What took longer counts as that.
const LONGEST: u64 = 120_000_000;
/// Of a latency, correct to 0.1 %.
const DIGITS: u8 = 3;

#[derive(Clone, Debug)]
pub struct Record {
    /// Microseconds.
    latencies: Histogram<u64>,
    /// By status, or why there was none.
    pub errors: BTreeMap<String, u64>,
}

// === impl Record ===

impl Record {
    pub fn new() -> Result<Self> {
        Ok(Self {
            latencies: Histogram::new_with_bounds(1, LONGEST, DIGITS)?,
            errors: BTreeMap::new(),
        })
    }

    pub fn latency(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(LONGEST);
        self.latencies.saturating_record(micros.max(1));
    }

    pub fn error(&mut self, what: String) {
        *self.errors.entry(what).or_default() += 1;
    }

    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.latencies.add(&other.latencies)?;
        for (what, count) in &other.errors {
            *self.errors.entry(what.clone()).or_default() += count;
        }
        Ok(())
    }

    /// Requests that were answered well.
    pub fn answered(&self) -> u64 {
        self.latencies.len()
    }

    pub fn failed(&self) -> u64 {
        self.errors.values().sum()
    }

    /// Milliseconds. `quantile` is 0.99 for p99.
    pub fn latency_ms(&self, quantile: f64) -> f64 {
        self.latencies.value_at_quantile(quantile) as f64 / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(latencies: impl IntoIterator<Item = u64>) -> Record {
        let mut record = Record::new().unwrap();
        for millis in latencies {
            record.latency(Duration::from_millis(millis));
        }
        record
    }

    fn is_about(actual: f64, expected: f64) -> bool {
        (actual - expected).abs() <= expected / 500.0
    }

    #[test]
    fn percentiles_are_those_of_all_threads_together() {
        let mut record = of(1..=50);
        record.merge(&of(51..=100)).unwrap();
        assert_eq!(record.answered(), 100);
        assert!(is_about(record.latency_ms(0.5), 50.0));
        assert!(is_about(record.latency_ms(0.99), 99.0));
    }

    #[test]
    fn errors_add_up_and_are_no_latencies() {
        let mut record = of([5]);
        record.error("503".to_owned());
        let mut other = of([]);
        other.error("503".to_owned());
        other.error("409".to_owned());
        record.merge(&other).unwrap();
        assert_eq!((record.failed(), record.answered()), (3, 1));
        assert_eq!(record.errors.get("503"), Some(&2));
    }

    #[test]
    fn what_takes_too_long_or_no_time_is_recorded_all_the_same() {
        let record = of([0, 10_000_000]);
        assert_eq!(record.answered(), 2);
        assert!(is_about(record.latency_ms(1.0), 120_000.0));
    }
}
