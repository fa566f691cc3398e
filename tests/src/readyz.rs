//! What `/readyz` says while something happens.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::client::client;
use crate::host::Host;

/// When it was asked, and the status; `None` is no answer at all.
type Notes = Arc<Mutex<Vec<(Instant, Option<u16>)>>>;

/// Asks again and again, for as long as it lives.
#[derive(Debug)]
pub struct ReadyWatch {
    said: Notes,
    asking: JoinHandle<()>,
}

// === impl ReadyWatch ===

impl ReadyWatch {
    pub fn start(host: &Host) -> Self {
        let said = Notes::default();
        let (url, notes) = (host.admin_url("/readyz"), Arc::clone(&said));
        let asking = tokio::spawn(async move {
            let client = client();
            loop {
                let asked = Instant::now();
                let answer = client.get(&url).send().await;
                let status = answer.ok().map(|answer| answer.status().as_u16());
                notes
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push((asked, status));
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        });
        Self { said, asking }
    }

    /// The statuses since then, each once.
    pub fn said(&self, since: Instant) -> BTreeSet<Option<u16>> {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.iter()
            .filter(|(asked, _)| *asked >= since)
            .map(|(_, status)| *status)
            .collect()
    }

    /// For how long it said 503 since then, in all.
    pub fn unready(&self, since: Instant) -> Duration {
        let said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let spans = said.windows(2).filter_map(|pair| match pair {
            [(asked, Some(503)), (next, _)] if *asked >= since => Some(*next - *asked),
            _ => None,
        });
        spans.sum()
    }
}

impl Drop for ReadyWatch {
    fn drop(&mut self) {
        self.asking.abort();
    }
}
