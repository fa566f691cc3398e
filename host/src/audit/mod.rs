//! The audit trail, checked from the outside: the chain of hashes over all events (migration 13) is walked link by link, and each event is
//! hashed anew.
//!
//! What it promises:
//! - **Independent.** The canonical text and the hash are computed here, not by the database's functions, which whoever changes events
//!   could change as well.
//! - **One point in time.** All of it is read in one snapshot: what is written meanwhile is not seen, and disturbs nothing.
//! - **Constant memory**, for any number of events.
//! - **Both ways.** Every link has its event, and every event its link; sequence numbers go from 1 without a gap.
//!
//! What a chain can't show by itself is that its end was cut off, or that all of it was made anew. [`Noted`] can: a head that was
//! written down elsewhere.

mod canonical;
mod chain;
mod error;
mod event;
mod fault;
#[cfg(test)]
mod tests;
mod trail;
mod watch;

use serde::Serialize;

use crate::manifest::Secret;
use chain::Chain;
use trail::Trail;

pub use chain::Hash;
pub use error::AuditError;
pub use fault::{Broken, Fault};
pub use watch::AuditWatch;

/// What is known of the chain from elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub struct Noted {
    /// The head of an earlier run: it has to be in the chain still.
    pub head: Option<Hash>,
    /// The chain had so many events already.
    pub at_least: Option<i64>,
}

/// What came of it.
#[derive(Debug, Serialize)]
pub struct Verdict {
    pub holds: bool,
    /// How many hold: all of them, or those before the fault.
    pub events: i64,
    /// The hash of the last one that holds; zeros if there is none.
    pub head: Hash,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<Broken>,
}

/// Checks all of the trail, or up to the first fault. `progress` hears after each batch how many events hold, and of how many.
pub async fn verify(
    database_url: &Secret,
    noted: Noted,
    mut progress: impl FnMut(i64, i64),
) -> Result<Verdict, AuditError> {
    let trail = Trail::open(database_url).await?;
    let total = trail.last_seq().await?;
    let mut chain = Chain::new(noted.head);
    let broken = loop {
        match trail.walk(&mut chain).await? {
            Ok(0) => break rest(&trail, &chain, noted).await?,
            Ok(_) => progress(chain.events(), total),
            Err(broken) => break Some(name(&trail, broken).await?),
        }
    };
    Ok(Verdict {
        holds: broken.is_none(),
        events: chain.events(),
        head: chain.head(),
        broken,
    })
}

/// What a walk along the links alone doesn't see.
async fn rest(trail: &Trail, chain: &Chain, noted: Noted) -> Result<Option<Broken>, AuditError> {
    if let Some(event) = trail.unlinked().await? {
        return Ok(Some(Broken::event(Fault::NoLink, None, event)));
    }
    let (links, events) = trail.counts().await?;
    if links != chain.events() || events != chain.events() {
        return Ok(Some(Broken::nothing(Fault::Strays { links, events })));
    }
    if let Some(at_least) = noted.at_least.filter(|seq| *seq > chain.events()) {
        return Ok(Some(Broken::nothing(Fault::Short { at_least })));
    }
    Ok((!chain.has_noted()).then(|| Broken::nothing(Fault::NotedGone)))
}

/// A missing link is named by its event, if that is still there.
async fn name(trail: &Trail, broken: Broken) -> Result<Broken, AuditError> {
    if broken.fault != Fault::Gap {
        return Ok(broken);
    }
    Ok(match trail.unlinked().await? {
        Some(event) => Broken::event(Fault::NoLink, broken.seq, event),
        None => broken,
    })
}
