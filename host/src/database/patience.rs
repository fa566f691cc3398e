//! How long the host waits on a statement's behalf: for a connection, for the answer's beginning, and for more of its rows, all
//! together. What the guest does between them is its own time.

use std::time::{Duration, Instant};

use super::error::DatabaseError;

#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    limit: Duration,
    left: Duration,
}

// === impl Patience ===

impl Patience {
    pub fn new(limit: Duration) -> Self {
        Self { limit, left: limit }
    }

    pub async fn wait<T>(
        &mut self,
        answer: impl Future<Output = Result<T, DatabaseError>>,
    ) -> Result<T, DatabaseError> {
        let started = Instant::now();
        let answer = tokio::time::timeout(self.left, answer).await;
        self.left = self.left.saturating_sub(started.elapsed());
        answer.unwrap_or(Err(DatabaseError::Deadline(self.limit)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waits_add_up_and_pauses_do_not() {
        let limit = Duration::from_secs(60);
        let wait = Duration::from_millis(20);
        let mut patience = Patience::new(limit);
        for _ in 0..2 {
            let slept = patience.wait(async {
                tokio::time::sleep(wait).await;
                Ok(())
            });
            assert_eq!(slept.await, Ok(()));
            tokio::time::sleep(wait).await;
        }
        let spent = limit - patience.left;
        assert!(spent >= 2 * wait, "{spent:?}");

        let mut patience = Patience::new(wait);
        for _ in 0..2 {
            let never = patience.wait(std::future::pending::<Result<(), _>>());
            assert_eq!(never.await, Err(DatabaseError::Deadline(wait)));
        }
        // What is there already is no wait.
        assert_eq!(patience.wait(async { Ok(()) }).await, Ok(()));
    }
}
