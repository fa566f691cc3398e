//! Bodies: the request's, cut at the function's limit, and the response's, observed to its end.

use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;
use wasmtime_wasi_http::{Error, WasiBody};

use super::connection::OpenResponse;
use super::request::InFlight;
use crate::telemetry::red::{Observation, Reason};

/// A response's body.
#[derive(Debug)]
pub struct Body {
    content: Content,
    /// Observed until the client has taken the body.
    _observation: Option<Observation>,
    open: Option<OpenResponse>,
}

#[derive(Debug)]
enum Content {
    Whole(Full<Bytes>),
    Streamed(Box<FunctionBody>),
}

/// A function's response that is still being made.
#[derive(Debug)]
pub struct FunctionBody {
    inner: WasiBody,
    request: Shared,
    reaper: AbortHandle,
    ended: bool,
    /// Bytes that `Content-Length` promises and that haven't come.
    left: Option<u64>,
}

/// The request, until somebody ends it: the body when it ends, or the reaper when its time is over. The body can't keep the time
/// itself: nobody polls it while the client doesn't read.
#[derive(Clone, Debug)]
struct Shared(Arc<Mutex<Option<InFlight>>>);

/// Why a response ended before its end. The client sees a cut connection, the operator the reason in the metrics.
#[derive(Debug, thiserror::Error)]
pub enum Cut {
    #[error("the function's time was over")]
    Timeout,
    #[error("the function ended before its response did")]
    Ended,
    #[error("the function failed after the response's head: {0}")]
    Function(Error),
}

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

const EXCEEDED: u8 = 1;
const INTERRUPTED: u8 = 2;

// === impl Body ===

impl Body {
    /// A function's whole response.
    pub fn whole(bytes: Bytes, observation: Option<Observation>) -> Self {
        Self {
            content: Content::Whole(Full::new(bytes)),
            _observation: observation,
            open: None,
        }
    }

    /// A function's response of which only the head is known. `left` is its `Content-Length`.
    pub(super) fn streamed(
        inner: WasiBody,
        request: InFlight,
        deadline: Instant,
        left: Option<u64>,
    ) -> Self {
        let request = Shared(Arc::new(Mutex::new(Some(request))));
        let late = request.clone();
        let reaper = tokio::spawn(async move {
            tokio::time::sleep_until(deadline.into()).await;
            late.fail(Reason::Timeout);
        });
        Self {
            content: Content::Streamed(Box::new(FunctionBody {
                inner,
                request,
                reaper: reaper.abort_handle(),
                ended: false,
                left,
            })),
            _observation: None,
            open: None,
        }
    }

    /// Keeps `open` for as long as the body is not taken.
    pub fn keep(&mut self, open: OpenResponse) {
        self.open = Some(open);
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::whole(bytes, None)
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match &mut self.get_mut().content {
            Content::Whole(bytes) => Pin::new(bytes)
                .poll_frame(cx)
                .map_err(|never| match never {}),
            Content::Streamed(body) => body.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Whole(bytes) => bytes.is_end_stream(),
            Content::Streamed(body) => body.ended,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Whole(bytes) => bytes.size_hint(),
            Content::Streamed(body) => match body.left {
                Some(left) => SizeHint::with_exact(left),
                None => body.inner.size_hint(),
            },
        }
    }
}

// === impl FunctionBody ===

impl FunctionBody {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if self.ended {
            return Poll::Ready(None);
        }
        if self.request.is_over() {
            return Poll::Ready(Some(Err(Cut::Timeout)));
        }
        let frame = match ready!(Pin::new(&mut self.inner).poll_frame(cx)) {
            // Wasmtime ends the body of a guest that died as it ends one that is complete.
            None => match self.request.failure() {
                Some(reason) => {
                    self.request.fail(reason);
                    return Poll::Ready(Some(Err(Cut::Ended)));
                }
                None => {
                    self.complete();
                    return Poll::Ready(None);
                }
            },
            Some(Ok(frame)) => frame,
            Some(Err(error)) => {
                let reason = self.request.failure();
                self.request.fail(reason.unwrap_or(Reason::Error));
                return Poll::Ready(Some(Err(Cut::Function(error))));
            }
        };
        if let (Some(left), Some(data)) = (&mut self.left, frame.data_ref()) {
            *left = left.saturating_sub(data.remaining() as u64);
            if *left == 0 {
                self.complete();
            }
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn complete(&mut self) {
        self.ended = true;
        if let Some(request) = self.request.take() {
            drop(request.complete());
        }
    }
}

impl Drop for FunctionBody {
    fn drop(&mut self) {
        self.reaper.abort();
        // The client left. A guest that died while nobody read its response counts as what it is.
        let reason = self.request.failure();
        self.request
            .fail(reason.unwrap_or(Reason::ClientDisconnect));
    }
}

// === impl Shared ===

impl Shared {
    fn take(&self) -> Option<InFlight> {
        self.lock().take()
    }

    fn is_over(&self) -> bool {
        self.lock().is_none()
    }

    fn failure(&self) -> Option<Reason> {
        self.lock().as_ref().and_then(InFlight::failure)
    }

    fn fail(&self, reason: Reason) {
        if let Some(request) = self.take() {
            request.cut(reason);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<InFlight>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Limited ===

impl Limited {
    /// `None` is a request without a body.
    pub fn new(inner: Option<Incoming>, limit: u64) -> (Self, Arc<Upload>) {
        let upload = Arc::<Upload>::default();
        let limited = Self {
            inner,
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

    /// The client left before the body's end, or sent something that isn't one.
    pub fn interrupted(&self) -> bool {
        self.0.load(Ordering::Acquire) == INTERRUPTED
    }
}
