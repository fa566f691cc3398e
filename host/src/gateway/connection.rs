//! One connection: what moves on it, and when it has to go.
//!
//! A client may be silent, or not read what it asked for; neither may hold a connection for ever, on any protocol and at any stage
//! of one. hyper's own timers cover only the head of an HTTP/1 request, so this looks at the socket.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection with no request on it, on which nothing moves, is closed after this.
const IDLE: Duration = Duration::from_secs(30);
/// A client that reads nothing of what is sent to it is given up after this.
const STALLED: Duration = Duration::from_secs(30);
/// How often a connection is looked at.
const EVERY: Duration = Duration::from_secs(5);

/// What happens on a connection. Times are in milliseconds since it began.
#[derive(Debug)]
pub struct Activity {
    began: Instant,
    moved: AtomicU64,
    /// Since when nothing could be written, and 1; 0: not so.
    blocked: AtomicU64,
    /// Responses that haven't ended.
    open: AtomicUsize,
    /// The same, of all connections.
    all_open: Arc<AtomicUsize>,
}

/// A response that hasn't ended.
#[derive(Debug)]
pub struct OpenResponse(Arc<Activity>);

/// A socket that tells what moves on it.
#[derive(Debug)]
pub struct Watched {
    socket: TcpStream,
    activity: Arc<Activity>,
}

// === impl Activity ===

impl Activity {
    pub fn new(all_open: &Arc<AtomicUsize>) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            moved: AtomicU64::new(0),
            blocked: AtomicU64::new(0),
            open: AtomicUsize::new(0),
            all_open: Arc::clone(all_open),
        })
    }

    pub fn watch(self: &Arc<Self>, socket: TcpStream) -> Watched {
        Watched {
            socket,
            activity: Arc::clone(self),
        }
    }

    /// A request has come.
    pub fn open(self: &Arc<Self>) -> OpenResponse {
        self.open.fetch_add(1, Ordering::AcqRel);
        self.all_open.fetch_add(1, Ordering::AcqRel);
        OpenResponse(Arc::clone(self))
    }

    /// Resolves when the connection should be closed.
    pub async fn expired(&self) {
        loop {
            tokio::time::sleep(EVERY).await;
            if self.has_expired(self.now()) {
                return;
            }
        }
    }

    fn has_expired(&self, now: u64) -> bool {
        let since = |then: u64| Duration::from_millis(now.saturating_sub(then));
        let blocked = self.blocked.load(Ordering::Acquire);
        if blocked > 0 && since(blocked) > STALLED {
            return true;
        }
        self.open.load(Ordering::Acquire) == 0 && since(self.moved.load(Ordering::Acquire)) > IDLE
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn moved(&self) {
        self.moved.store(self.now(), Ordering::Release);
    }

    fn wrote<T>(&self, result: &Poll<io::Result<T>>) {
        if result.is_ready() {
            self.blocked.store(0, Ordering::Release);
            self.moved();
        } else {
            let now = self.now() + 1;
            // Since the first time that it was so.
            _ = self
                .blocked
                .compare_exchange(0, now, Ordering::AcqRel, Ordering::Acquire);
        }
    }
}

// === impl OpenResponse ===

impl Drop for OpenResponse {
    fn drop(&mut self) {
        self.0.moved();
        self.0.open.fetch_sub(1, Ordering::AcqRel);
        self.0.all_open.fetch_sub(1, Ordering::AcqRel);
    }
}

// === impl Watched ===

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.socket).poll_read(cx, buffer);
        if read.is_ready() {
            self.activity.moved();
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.socket).poll_write(cx, bytes);
        self.activity.wrote(&wrote);
        wrote
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wrote = Pin::new(&mut self.socket).poll_write_vectored(cx, bytes);
        self.activity.wrote(&wrote);
        wrote
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE_MS: u64 = IDLE.as_millis() as u64;
    const STALLED_MS: u64 = STALLED.as_millis() as u64;

    #[test]
    fn a_silent_connection_expires_and_one_with_a_request_does_not() {
        let activity = Activity::new(&Arc::default());
        assert!(!activity.has_expired(IDLE_MS));
        assert!(activity.has_expired(IDLE_MS + 1));

        let response = activity.open();
        assert!(!activity.has_expired(10 * IDLE_MS));
        assert_eq!(activity.all_open.load(Ordering::Acquire), 1);
        drop(response);
        assert!(activity.has_expired(10 * IDLE_MS));
        assert_eq!(activity.all_open.load(Ordering::Acquire), 0);
    }

    #[test]
    fn a_client_that_does_not_read_is_given_up_with_its_request() {
        let activity = Activity::new(&Arc::default());
        let _response = activity.open();
        activity.wrote::<usize>(&Poll::Pending);
        assert!(!activity.has_expired(STALLED_MS));
        assert!(activity.has_expired(2 * STALLED_MS));
        activity.wrote(&Poll::Ready(Ok(1)));
        assert!(!activity.has_expired(2 * STALLED_MS));
    }
}
