//! Looks after a pool while nobody asks it for anything: connections that are old or closed go, and a few are kept warm, so that the
//! first requests after a pause, or after an outage, needn't all log in.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::pool::Pool;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(1);

/// Looks after `pool` for as long as it lives. Called again, does nothing.
pub(super) fn start(pool: &Arc<Pool>) {
    if pool.kept.load(Ordering::Relaxed) || pool.kept.swap(true, Ordering::AcqRel) {
        return;
    }
    let pool = Arc::downgrade(pool);
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(EVERY).await;
            let Some(pool) = pool.upgrade() else {
                return;
            };
            pool.prune();
            pool.warm().await;
        }
    });
}
