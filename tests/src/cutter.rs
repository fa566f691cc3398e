//! A TCP proxy that loses an answer: what a bad network does at the worst of moments.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Result;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Passes everything on, both ways, until an answer holds the text that it waits for: that one is swallowed, and its connection closed
/// on both sides.
#[derive(Debug)]
pub struct Cutter {
    pub address: SocketAddr,
    losses: Arc<Mutex<Losses>>,
    accepting: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Losses {
    marker: Option<String>,
    lost: Vec<String>,
}

// === impl Cutter ===

impl Cutter {
    pub async fn before(upstream: String) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let losses = Arc::<Mutex<Losses>>::default();
        let shared = Arc::clone(&losses);
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (upstream, losses) = (upstream.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    let upstream = TcpStream::connect(upstream).await?;
                    pass(client, upstream, &losses).await
                });
            }
        });
        Ok(Self {
            address,
            losses,
            accepting,
        })
    }

    /// The next answer with this text in it gets lost.
    pub fn lose(&self, marker: &str) {
        locked(&self.losses).marker = Some(marker.to_owned());
    }

    /// What got lost so far.
    pub fn lost(&self) -> Vec<String> {
        locked(&self.losses).lost.clone()
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

// === impl Losses ===

impl Losses {
    /// Whether this is the answer to lose.
    fn takes(&mut self, answer: &[u8]) -> bool {
        let answer = String::from_utf8_lossy(answer);
        let wanted = self
            .marker
            .take_if(|marker| answer.contains(marker.as_str()));
        if wanted.is_some() {
            self.lost.push(answer.into_owned());
        }
        wanted.is_some()
    }
}

fn locked(losses: &Mutex<Losses>) -> MutexGuard<'_, Losses> {
    losses.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn pass(
    client: TcpStream,
    upstream: TcpStream,
    losses: &Mutex<Losses>,
) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_upstream, mut to_upstream) = upstream.into_split();
    let asking = async {
        tokio::io::copy(&mut from_client, &mut to_upstream).await?;
        to_upstream.shutdown().await
    };
    let answering = async {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let length = from_upstream.read(&mut buffer).await?;
            let piece = &buffer[..length];
            if piece.is_empty() {
                return to_client.shutdown().await;
            }
            if locked(losses).takes(piece) {
                return Err(std::io::ErrorKind::ConnectionAborted.into());
            }
            to_client.write_all(piece).await?;
        }
    };
    // An error of either ends both, and drops the sockets.
    tokio::try_join!(asking, answering).map(drop)
}
