//! Requests that have nothing to do with what is tested, and that must not notice it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use tokio::task::JoinSet;

use crate::client::{Answer, PATIENCE, client};
use crate::host::Host;

/// Clients that ask again and again until they are stopped. Each of their requests must be answered with 200.
#[derive(Debug)]
pub struct Innocents {
    answered: Arc<AtomicU64>,
    over: Arc<AtomicBool>,
    clients: JoinSet<Result<()>>,
}

// === impl Innocents ===

impl Innocents {
    /// One client per path.
    pub fn start(host: &Host, paths: &[&str]) -> Self {
        let mut innocents = Self {
            answered: Arc::default(),
            over: Arc::default(),
            clients: JoinSet::new(),
        };
        for path in paths {
            let url = host.url(path);
            let (answered, over) = (Arc::clone(&innocents.answered), Arc::clone(&innocents.over));
            innocents.clients.spawn(async move {
                let client = client();
                while !over.load(Ordering::Relaxed) {
                    let answer = Answer::of(client.get(&url)).await?;
                    ensure!(
                        answer.status == 200,
                        "{url}: {} {}",
                        answer.status,
                        answer.text()
                    );
                    answered.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            });
        }
        innocents
    }

    /// Waits until so many more of their requests have been answered.
    pub async fn go_on(&self, requests: u64) -> Result<()> {
        let wanted = self.answered.load(Ordering::Relaxed) + requests;
        let deadline = Instant::now() + PATIENCE;
        while self.answered.load(Ordering::Relaxed) < wanted {
            if Instant::now() > deadline {
                bail!("the innocent requests are not answered any more");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// How many were answered; an error if one of them was not as it should be.
    pub async fn stop(mut self) -> Result<u64> {
        self.over.store(true, Ordering::Relaxed);
        while let Some(ended) = self.clients.join_next().await {
            ended??;
        }
        let answered = self.answered.load(Ordering::Relaxed);
        ensure!(answered > 0, "no innocent request was made");
        Ok(answered)
    }
}
