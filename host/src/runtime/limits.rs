//! What an instance may use: linear memory, tables, and CPU time.

use std::time::Duration;

use wasmtime::ResourceLimiter;

/// Elements of all tables of an instance: functions by index, of which a large guest has some ten thousand.
const MAX_TABLE_ELEMENTS: usize = 100_000;

/// The guest broke a limit. It ends as a trap does, and is told from one by this type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitExceeded {
    #[error("the function used more than its cpu_limit of {0:?}")]
    Cpu(Duration),
    #[error("the function needs {needed} bytes of memory, more than its memory_limit of {limit}")]
    Memory { needed: usize, limit: usize },
}

/// Bounds an instance's memory and remembers its high-water mark.
#[derive(Debug)]
pub struct MemoryLimiter {
    /// Bytes.
    limit: usize,
    /// Bytes.
    pub peak: usize,
}

// === impl MemoryLimiter ===

impl MemoryLimiter {
    pub fn new(limit: u64) -> Self {
        Self {
            limit: usize::try_from(limit).unwrap_or(usize::MAX),
            peak: 0,
        }
    }
}

impl ResourceLimiter for MemoryLimiter {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        if desired > self.limit {
            // An error ends the guest here and says why; a plain "no" would surface as some abort in its allocator.
            return Err(LimitExceeded::Memory {
                needed: desired,
                limit: self.limit,
            }
            .into());
        }
        self.peak = self.peak.max(desired);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= MAX_TABLE_ELEMENTS)
    }
}
