//! A network between two parts of the system, as a TCP proxy: what bad ones do to a connection, done on command.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

use crate::HostOptions;

/// Pieces that are on their way at once, in one direction of one connection.
const ON_THEIR_WAY: usize = 256;

/// Passes everything on, both ways, until it is told otherwise.
#[derive(Debug)]
pub struct Network {
    pub address: SocketAddr,
    upstream: String,
    link: Arc<Link>,
    accepting: JoinHandle<()>,
}

/// How the network is until it is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    Fair,
    /// Everything takes this much longer, each way.
    Slow(Duration),
    /// A black hole: connections are accepted and bytes taken, and nothing arrives, nor does anybody hear that it doesn't. It arrives
    /// when the weather is better, as what TCP sends again does.
    Hole,
    /// Whoever connects is turned away.
    Closed,
}

/// What happens once, to every connection that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    Reset,
    Forget,
    HalfClose(Way),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    ToClient,
    ToServer,
}

#[derive(Debug)]
struct Link {
    weather: watch::Sender<Weather>,
    blows: broadcast::Sender<Blow>,
    losses: Mutex<Losses>,
}

#[derive(Debug, Default)]
struct Losses {
    marker: Option<String>,
    lost: Vec<String>,
}

// === impl Network ===

impl Network {
    /// One before this address.
    pub async fn before(upstream: String) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let link = Arc::new(Link {
            weather: watch::Sender::new(Weather::Fair),
            blows: broadcast::Sender::new(16),
            losses: Mutex::default(),
        });
        Ok(Self {
            address: listener.local_addr()?,
            accepting: tokio::spawn(accept(listener, upstream.clone(), Arc::clone(&link))),
            upstream,
            link,
        })
    }

    /// A host that is started so reaches what is behind the network only through it.
    pub fn divert(&self, options: &mut HostOptions) {
        for (_, value) in &mut options.env {
            *value = value.replace(&self.upstream, &self.address.to_string());
        }
    }

    pub fn turn(&self, weather: Weather) {
        self.link.weather.send_replace(weather);
    }

    /// Every open connection is reset, on both sides.
    pub fn reset(&self) {
        self.blow(Blow::Reset);
    }

    /// What is between forgets every open connection: the server's side ends, and the client's leads nowhere without ever hearing of it.
    pub fn forget(&self) {
        self.blow(Blow::Forget);
    }

    /// Every open connection ends in one direction, and goes on in the other.
    pub fn half_close(&self, way: Way) {
        self.blow(Blow::HalfClose(way));
    }

    /// The next answer with this text in it gets lost: it is swallowed, and its connection closed on both sides.
    pub fn lose(&self, marker: &str) {
        self.link.losses().marker = Some(marker.to_owned());
    }

    /// The answers that got lost so far.
    pub fn lost(&self) -> Vec<String> {
        self.link.losses().lost.clone()
    }

    fn blow(&self, blow: Blow) {
        // An error says that no connection is open.
        _ = self.link.blows.send(blow);
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.accepting.abort();
        self.reset();
    }
}

// === impl Link ===

impl Link {
    /// When what sets out now may arrive.
    fn arrival(&self) -> Instant {
        match *self.weather.borrow() {
            Weather::Slow(by) => Instant::now() + by,
            _ => Instant::now(),
        }
    }

    async fn passable(&self) {
        let mut weather = self.weather.subscribe();
        // The sender is ours, so this never fails.
        _ = weather.wait_for(|weather| *weather != Weather::Hole).await;
    }

    fn losses(&self) -> MutexGuard<'_, Losses> {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner)
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

async fn accept(listener: TcpListener, upstream: String, link: Arc<Link>) {
    while let Ok((client, _)) = listener.accept().await {
        if *link.weather.borrow() == Weather::Closed {
            _ = client.set_zero_linger();
            continue;
        }
        let (upstream, link) = (upstream.clone(), Arc::clone(&link));
        tokio::spawn(async move {
            // Before anything is awaited: it is open from now on.
            let blows = link.blows.subscribe();
            link.passable().await;
            sleep_until(link.arrival()).await;
            let upstream = TcpStream::connect(upstream).await?;
            carry(client, upstream, &link, blows).await
        });
    }
}

async fn carry(
    mut client: TcpStream,
    mut upstream: TcpStream,
    link: &Link,
    mut blows: broadcast::Receiver<Blow>,
) -> std::io::Result<()> {
    // What waits must not be held up by us, too.
    client.set_nodelay(true)?;
    upstream.set_nodelay(true)?;
    let (to_server, to_client) = (watch::Sender::new(false), watch::Sender::new(false));
    let end = {
        let (from_client, into_client) = client.split();
        let (from_upstream, into_upstream) = upstream.split();
        let asking = pump(
            from_client,
            into_upstream,
            to_server.subscribe(),
            link,
            Way::ToServer,
        );
        let answering = pump(
            from_upstream,
            into_client,
            to_client.subscribe(),
            link,
            Way::ToClient,
        );
        let ending = async {
            loop {
                match blows.recv().await {
                    Ok(Blow::HalfClose(Way::ToServer)) => _ = to_server.send(true),
                    Ok(Blow::HalfClose(Way::ToClient)) => _ = to_client.send(true),
                    Ok(Blow::Forget) => return Blow::Forget,
                    Ok(Blow::Reset) | Err(_) => return Blow::Reset,
                }
            }
        };
        tokio::select! {
            // An error of either ends both, and drops the sockets.
            ended = async { tokio::try_join!(asking, answering) } => return ended.map(drop),
            end = ending => end,
        }
    };
    if end == Blow::Forget {
        drop(upstream);
        while !matches!(blows.recv().await, Ok(Blow::Reset) | Err(_)) {}
        return client.set_zero_linger();
    }
    client.set_zero_linger()?;
    upstream.set_zero_linger()
}

/// One direction of a connection.
async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    mut closed: watch::Receiver<bool>,
    link: &Link,
    way: Way,
) -> std::io::Result<()> {
    let (set_out, mut arriving) = mpsc::channel::<(Instant, Bytes)>(ON_THEIR_WAY);
    let reading = async move {
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let length = from.read(&mut buffer).await?;
            let piece = &buffer[..length];
            if piece.is_empty() {
                return Ok(());
            }
            if way == Way::ToClient && link.losses().takes(piece) {
                return Err(std::io::ErrorKind::ConnectionAborted.into());
            }
            let piece = Bytes::copy_from_slice(piece);
            if set_out.send((link.arrival(), piece)).await.is_err() {
                return Ok(());
            }
        }
    };
    let writing = async {
        let passing = async {
            while let Some((due, piece)) = arriving.recv().await {
                sleep_until(due).await;
                link.passable().await;
                to.write_all(&piece).await?;
            }
            sleep_until(link.arrival()).await;
            link.passable().await;
            std::io::Result::Ok(())
        };
        tokio::select! {
            passed = passing => passed?,
            _ = closed.wait_for(|closed| *closed) => {}
        }
        to.shutdown().await?;
        // What still comes goes nowhere.
        while arriving.recv().await.is_some() {}
        Ok(())
    };
    tokio::try_join!(reading, writing).map(drop)
}
