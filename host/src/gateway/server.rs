//! The accept loop, and how it ends.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use socket2::{SockFilter, SockRef};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::connection::Activity;
use super::request::Gateway;
use super::schedule::Schedule;

/// A client has this long to send a request's head.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a request's head. hyper answers 431 beyond it.
const MAX_HEAD: usize = 64 * 1024;
const MAX_HEADERS: usize = 128;
/// Requests that one HTTP/2 connection may have open.
const MAX_STREAMS: u32 = 256;
/// While it drains, the host goes on answering on open connections for this long, so that each client hears `Connection: close`
/// from a response before the connection ends. A client that sends just as an idle connection is closed would see an error.
const LAME_DUCK: Duration = Duration::from_secs(1);
/// How long handshakes that are under way when the host starts to drain may take to complete.
const HANDSHAKES: Duration = Duration::from_millis(200);
/// How long the last bytes of the last responses have to leave, once every request is answered.
const FLUSH: Duration = Duration::from_millis(500);
/// How often a draining host looks whether it is done.
const POLL: Duration = Duration::from_millis(10);
/// After an accept that failed, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drain {
    /// Every request was answered.
    Complete,
    /// The drain timeout was over with responses still open.
    Cut,
}

/// The gateway's listener, and what bounds it.
#[derive(Debug)]
pub struct Server {
    pub listener: TcpListener,
    pub gateway: Arc<Gateway>,
    /// Beyond these, clients wait in the kernel's queue.
    pub max_connections: usize,
    /// From the first signal to the end.
    pub drain_timeout: Duration,
}

/// What all connections share.
#[derive(Debug)]
struct Shared {
    gateway: Arc<Gateway>,
    places: Arc<Semaphore>,
    /// Responses that haven't ended.
    open: Arc<AtomicUsize>,
    graceful: GracefulShutdown,
}

// === impl Server ===

impl Server {
    /// Serves, and calls the scheduled functions, until `shutdown` resolves, then drains.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Drain {
        let shared = Shared {
            gateway: self.gateway,
            places: Arc::new(Semaphore::new(self.max_connections)),
            open: Arc::default(),
            graceful: GracefulShutdown::new(),
        };
        let schedule = Schedule::start(Arc::clone(shared.gateway.live()));
        accept_until(shutdown, &self.listener, &shared).await;

        let deadline = Instant::now() + self.drain_timeout;
        shared.gateway.drain();
        schedule.end();
        hold_off_new_connections(&self.listener);
        let handshakes = tokio::time::sleep(HANDSHAKES);
        accept_until(handshakes, &self.listener, &shared).await;
        drop(self.listener);
        info!(
            connections = shared.graceful.count(),
            requests = shared.open.load(Ordering::Acquire),
            "draining"
        );
        let drained = async { tokio::join!(shared.drain(), schedule.ended()) };
        match tokio::time::timeout_at(deadline, drained).await {
            Ok(((), ())) => Drain::Complete,
            Err(_) => Drain::Cut,
        }
    }
}

// === impl Shared ===

impl Shared {
    /// Until every request is answered. A connection without one isn't waited for: nobody was promised anything on it.
    async fn drain(self) {
        let lame_duck = async {
            while self.graceful.count() > 0 {
                tokio::time::sleep(POLL).await;
            }
        };
        _ = tokio::time::timeout(LAME_DUCK, lame_duck).await;
        let answered = async {
            let mut quiet = Duration::ZERO;
            // What was answered last is still on its way to its client.
            while quiet < FLUSH {
                tokio::time::sleep(POLL).await;
                quiet = match self.open.load(Ordering::Acquire) {
                    0 => quiet + POLL,
                    _ => Duration::ZERO,
                };
            }
        };
        tokio::select! {
            () = self.graceful.shutdown() => {}
            () = answered => {}
        }
    }
}

async fn accept_until(end: impl Future<Output = ()>, listener: &TcpListener, shared: &Shared) {
    let mut end = std::pin::pin!(end);
    let mut failing = false;
    loop {
        let accept = async {
            let place = Arc::clone(&shared.places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            biased;
            () = &mut end => break,
            accepted = accept => accepted,
        };
        match (accepted, place) {
            (Ok((stream, client)), Ok(place)) => {
                failing = false;
                connection(stream, client, shared, place);
            }
            (Err(error), _) => {
                // Once per bout: it fails again and again while the cause lasts.
                if !std::mem::replace(&mut failing, true) {
                    warn!(%error, "accept failed");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            (_, Err(_)) => break,
        }
    }
}

/// Makes the kernel ignore attempts to connect. Closing a listener resets connections that the kernel has completed but that
/// nobody has accepted, whose clients believe they are served; with no new ones coming, the last of them can be accepted first.
/// Who is ignored tries again by itself within a second, and finds the port closed, or the host's successor.
fn hold_off_new_connections(listener: &TcpListener) {
    // TCP's flags are in the byte 13; SYN without ACK asks for a connection.
    const SYN: u32 = 0x02;
    const SYN_OR_ACK: u32 = 0x12;
    let filter = [
        SockFilter::new(0x30, 0, 0, 13),         // load the flags
        SockFilter::new(0x54, 0, 0, SYN_OR_ACK), // keep these two
        SockFilter::new(0x15, 0, 1, SYN),        // asks for a connection?
        SockFilter::new(0x06, 0, 0, 0),          // yes: drop
        SockFilter::new(0x06, 0, 0, u32::MAX),   // no: pass
    ];
    if let Err(error) = SockRef::from(listener).attach_filter(&filter) {
        debug!(%error, "the kernel takes no filter: a client that connects just now may see a reset");
    }
}

fn connection(stream: TcpStream, client: SocketAddr, shared: &Shared, place: OwnedSemaphorePermit) {
    // Small responses would wait for the client's delayed acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        debug!(%error, "TCP_NODELAY");
    }
    let local = match stream.local_addr() {
        Ok(local) => local,
        Err(error) => {
            debug!(%error, "the connection is gone already");
            return;
        }
    };
    let activity = Activity::new(&shared.open);
    let socket = activity.watch(stream);
    let gateway = Arc::clone(&shared.gateway);
    let requests = Arc::clone(&activity);
    let service = service_fn(move |request| {
        let gateway = Arc::clone(&gateway);
        let open = requests.open();
        async move { Ok::<_, Infallible>(gateway.handle(request, client, local, open).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(MAX_HEAD as u32)
        .max_concurrent_streams(MAX_STREAMS);
    let watcher = shared.graceful.watcher();
    tokio::spawn(async move {
        let connection = builder
            .serve_connection(TokioIo::new(socket), service)
            .into_owned();
        tokio::select! {
            ended = watcher.watch(connection) => {
                if let Err(error) = ended {
                    debug!(%client, %error, "connection ended");
                }
            }
            () = activity.expired() => debug!(%client, "connection closed: nothing moves on it"),
        }
        drop(place);
    });
}
