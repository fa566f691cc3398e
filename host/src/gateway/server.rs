//! The accept loop, and how it ends.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use socket2::{SockFilter, SockRef};
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, info, warn};

use super::request::Gateway;

/// A client has this long to send a request's head. It also ends connections that stay idle.
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

/// Serves until `shutdown` resolves, then drains for at most `drain_timeout`.
pub async fn serve(
    listener: TcpListener,
    gateway: Arc<Gateway>,
    shutdown: impl Future<Output = ()>,
    drain_timeout: Duration,
) -> Drain {
    let graceful = GracefulShutdown::new();
    accept_until(shutdown, &listener, &gateway, &graceful).await;

    gateway.drain();
    hold_off_new_connections(&listener);
    let handshakes = tokio::time::sleep(HANDSHAKES);
    accept_until(handshakes, &listener, &gateway, &graceful).await;
    drop(listener);
    info!(connections = graceful.count(), "draining");

    let lame_duck = async {
        while graceful.count() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    _ = tokio::time::timeout(LAME_DUCK.min(drain_timeout), lame_duck).await;

    match tokio::time::timeout(drain_timeout, graceful.shutdown()).await {
        Ok(()) => Drain::Complete,
        Err(_) => Drain::Cut,
    }
}

async fn accept_until(
    end: impl Future<Output = ()>,
    listener: &TcpListener,
    gateway: &Arc<Gateway>,
    graceful: &GracefulShutdown,
) {
    let mut end = std::pin::pin!(end);
    loop {
        tokio::select! {
            biased;
            () = &mut end => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, client)) => connection(stream, client, gateway, graceful),
                Err(error) => {
                    warn!(%error, "accept failed");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
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

fn connection(
    stream: TcpStream,
    client: SocketAddr,
    gateway: &Arc<Gateway>,
    graceful: &GracefulShutdown,
) {
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
    let gateway = Arc::clone(gateway);
    let service = service_fn(move |request| {
        let gateway = Arc::clone(&gateway);
        async move { Ok::<_, Infallible>(gateway.handle(request, client, local).await) }
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
    let watcher = graceful.watcher();
    tokio::spawn(async move {
        let connection = builder
            .serve_connection(TokioIo::new(stream), service)
            .into_owned();
        if let Err(error) = watcher.watch(connection).await {
            debug!(%client, error = %error, "connection ended");
        }
    });
}
