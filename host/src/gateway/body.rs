//! The response's body, observed to its end.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::{Buf, Bytes};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::Full;
use tokio::task::AbortHandle;
use wasmtime_wasi_http::{Error, WasiBody};

use super::connection::OpenResponse;
use super::in_flight::InFlight;
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
    /// What of it has come already.
    beginning: VecDeque<Frame<Bytes>>,
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

    /// A function's response of which only the `beginning` is known. `left` is its `Content-Length`.
    pub(super) fn streamed(
        beginning: VecDeque<Frame<Bytes>>,
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
                beginning,
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
        let frame = match self.beginning.pop_front() {
            Some(frame) => Some(Ok(frame)),
            None => ready!(Pin::new(&mut self.inner).poll_frame(cx)),
        };
        let frame = match frame {
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
