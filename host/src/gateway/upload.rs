//! The request's body: cut at the function's limit, taken in whole where a rate limit wants to see it, and read to its end where
//! nobody does.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf as _, Bytes};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tokio::runtime::Handle;
use wasmtime_wasi_http::{Error, WasiBody};

/// A request's body of at most so many bytes. What the function leaves of it is [`discard`]ed.
#[derive(Debug)]
pub struct Limited {
    /// `None` when there is nothing more to read.
    inner: Option<Incoming>,
    limit: u64,
    left: u64,
    upload: Arc<Upload>,
}

/// What became of a request's body.
#[derive(Debug, Default)]
pub struct Upload(AtomicU8);

/// Why a body could not be taken in whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unread {
    /// It has more bytes than this.
    TooLarge(u64),
    /// The client left before its end, or sent something that isn't one.
    Interrupted,
    Late,
}

const EXCEEDED: u8 = 1;
const INTERRUPTED: u8 = 2;

// === impl Limited ===

impl Limited {
    pub fn new(inner: Incoming, limit: u64) -> (Self, Arc<Upload>) {
        let upload = Arc::<Upload>::default();
        let limited = Self {
            inner: Some(inner),
            limit,
            left: limit,
            upload: Arc::clone(&upload),
        };
        (limited, upload)
    }
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(inner) = &mut self.inner else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(inner).poll_frame(cx));
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, |data| data.remaining() as u64);
                match self.left.checked_sub(bytes) {
                    Some(left) => {
                        self.left = left;
                        Some(Ok(frame))
                    }
                    None => {
                        self.upload.0.store(EXCEEDED, Ordering::Release);
                        self.leave();
                        Some(Err(Error::HttpRequestBodySize(Some(self.limit))))
                    }
                }
            }
            Some(Err(_)) => {
                self.upload.0.store(INTERRUPTED, Ordering::Release);
                self.inner = None;
                Some(Err(Error::ConnectionTerminated))
            }
            None => {
                self.inner = None;
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.inner
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Limited {
    /// All of it, if it comes in time.
    pub async fn whole(self, deadline: Instant) -> Result<Bytes, Unread> {
        let (limit, upload) = (self.limit, Arc::clone(&self.upload));
        match tokio::time::timeout_at(deadline.into(), self.collect()).await {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(_)) if upload.exceeded() => Err(Unread::TooLarge(limit)),
            Ok(Err(_)) => Err(Unread::Interrupted),
            Err(_) => Err(Unread::Late),
        }
    }

    fn leave(&mut self) {
        if let Some(inner) = self.inner.take() {
            discard(inner);
        }
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        self.leave();
    }
}

/// A body that is here.
pub fn whole(bytes: Bytes) -> WasiBody {
    Full::new(bytes)
        .map_err(|never| match never {})
        .boxed_unsync()
}

/// Reads on, for a while, what nobody wants. To close a connection on a client that still sends would reset it, and take away the
/// answer that says why.
pub fn discard(mut body: Incoming) {
    const BYTES: u64 = 16 * 1024 * 1024;
    const TIME: Duration = Duration::from_secs(5);
    let (false, Ok(runtime)) = (body.is_end_stream(), Handle::try_current()) else {
        return;
    };
    runtime.spawn(tokio::time::timeout(TIME, async move {
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, |data| data.len() as u64);
            if read > BYTES {
                break;
            }
        }
    }));
}

// === impl Upload ===

impl Upload {
    /// The client sent more than it may.
    pub fn exceeded(&self) -> bool {
        self.0.load(Ordering::Acquire) == EXCEEDED
    }

    /// That, or the client left before the body's end, or sent something that isn't one.
    pub fn is_broken(&self) -> bool {
        matches!(self.0.load(Ordering::Acquire), EXCEEDED | INTERRUPTED)
    }
}
