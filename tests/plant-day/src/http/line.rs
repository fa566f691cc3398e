//! Rate limits: who hears 429 waits for as long as it is told to, and whoever comes with a request of the same kind stands in line
//! behind it. So a limit is met once, and not by every connection again and again.

use std::sync::PoisonError;

use tokio::sync::{Mutex, MutexGuard};
use tokio::time::{Instant, sleep_until};

use super::counts::Kind;

/// One line for each kind of request: the server limits them one by one.
#[derive(Debug, Default)]
pub(super) struct Lines {
    login: Line,
    run: Line,
    lot: Line,
    decision: Line,
    traceability: Line,
}

#[derive(Debug, Default)]
pub(super) struct Line {
    /// Held by its first. Whoever comes gets it in turn.
    turn: Mutex<()>,
    /// Until when its first waits.
    until: std::sync::Mutex<Option<Instant>>,
}

/// A place at the head of a line.
pub(super) type Turn<'a> = MutexGuard<'a, ()>;

// === impl Lines ===

impl Lines {
    pub fn of(&self, kind: Kind) -> &Line {
        match kind {
            Kind::Login => &self.login,
            Kind::Run => &self.run,
            Kind::Lot => &self.lot,
            Kind::Decision => &self.decision,
            Kind::Traceability => &self.traceability,
        }
    }

    /// Who waits, for the progress line: `lot 34 s`.
    pub fn waiting(&self) -> Vec<String> {
        let told = |kind: Kind| {
            let until = (*self.of(kind).until()).filter(|until| *until > Instant::now())?;
            let left = until.duration_since(Instant::now()).as_secs_f64().ceil();
            Some(format!("{} {left} s", kind.as_str()))
        };
        Kind::ALL.into_iter().filter_map(told).collect()
    }
}

// === impl Line ===

impl Line {
    /// Where nobody waits, one may go on at once; else this comes back with one's turn.
    pub async fn pass(&self) -> Option<Turn<'_>> {
        if self.turn.try_lock().is_ok() {
            return None;
        }
        Some(self.enter().await)
    }

    pub async fn enter(&self) -> Turn<'_> {
        self.turn.lock().await
    }

    /// At the head of the line. There may be nothing to wait for any more.
    pub async fn wait(&self, _: &Turn<'_>, until: Instant) {
        *self.until() = Some(until);
        sleep_until(until).await;
        *self.until() = None;
    }

    fn until(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
