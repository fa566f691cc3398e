//! One function's part of the pools: how many connections it may hold, how long it waits for one, and how many bytes of rows the host
//! holds for it. A function that is slow, or asks for too much, runs into its own limits before it harms the others.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::DatabaseError;
use super::message::Row;

#[derive(Debug)]
pub struct Share {
    quota: usize,
    places: Arc<Semaphore>,
    wait: Duration,
    buffer: usize,
    buffered: Arc<AtomicUsize>,
}

/// Bytes of rows that the host holds until they are the guest's.
#[derive(Debug)]
pub struct Held {
    bytes: usize,
    buffered: Arc<AtomicUsize>,
}

// === impl Share ===

impl Share {
    /// `quota` connections at most, `wait` for one, and `buffer` bytes of rows.
    pub fn new(quota: usize, wait: Duration, buffer: usize) -> Self {
        let quota = quota.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            quota,
            places: Arc::new(Semaphore::new(quota)),
            wait,
            buffer,
            buffered: Arc::default(),
        }
    }

    /// How long to wait for a connection.
    pub(super) fn wait(&self) -> Duration {
        self.wait
    }

    /// No single row may be larger.
    pub(super) fn buffer(&self) -> usize {
        self.buffer
    }

    /// The right to hold one more connection; first come, first served.
    pub(super) async fn enter(
        &self,
        wait: Duration,
    ) -> Result<OwnedSemaphorePermit, DatabaseError> {
        let places = Arc::clone(&self.places);
        if let Ok(place) = Arc::clone(&places).try_acquire_owned() {
            return Ok(place);
        }
        match tokio::time::timeout(wait, places.acquire_owned()).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(DatabaseError::QuotaTimeout {
                quota: self.quota,
                wait,
            }),
        }
    }

    /// Counts rows that have arrived, or refuses them.
    pub(super) fn hold(&self, rows: &[Row]) -> Result<Held, DatabaseError> {
        let bytes = rows.iter().map(Row::size).sum();
        // Counted from here on, and given back whatever becomes of it.
        let before = self.buffered.fetch_add(bytes, Ordering::AcqRel);
        let held = Held {
            bytes,
            buffered: Arc::clone(&self.buffered),
        };
        if before.saturating_add(bytes) > self.buffer {
            return Err(DatabaseError::BufferFull(self.buffer));
        }
        Ok(held)
    }
}

// === impl Held ===

impl Held {
    /// Both together.
    pub fn join(&mut self, mut other: Self) {
        self.bytes += std::mem::take(&mut other.bytes);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.buffered.fetch_sub(self.bytes, Ordering::AcqRel);
    }
}
