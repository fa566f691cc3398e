//! Bodies: the request's, cut at the function's limit, and the response's, observed to its end.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::time::Sleep;
use wasmtime_wasi_http::{Error, WasiBody};

use super::request::InFlight;
use crate::telemetry::red::Reason;

/// A response's body.
#[derive(Debug)]
pub enum Body {
    /// The host's own.
    Text(Full<Bytes>),
    /// A function's.
    Function(Box<FunctionBody>),
}

/// A function's response, from its head to its end.
#[derive(Debug)]
pub struct FunctionBody {
    inner: WasiBody,
    /// `None` when the response has ended.
    request: Option<InFlight>,
    deadline: Pin<Box<Sleep>>,
    /// Bytes that `Content-Length` promises and that haven't come.
    left: Option<u64>,
}

/// Why a response ended before its end. The client sees a cut connection, the operator the reason in the metrics.
#[derive(Debug, thiserror::Error)]
pub enum Cut {
    #[error("the function's time was over")]
    Timeout,
    #[error("the function failed after the response's head: {0}")]
    Function(Error),
    #[error("the function's instance ended after the response's head")]
    Ended,
}

/// A request's body of at most so many bytes.
#[derive(Debug)]
pub struct Limited {
    inner: Incoming,
    limit: u64,
    left: u64,
    /// Set when the client sent more.
    pub exceeded: Arc<AtomicBool>,
}

// === impl FunctionBody ===

impl FunctionBody {
    /// `left` is the response's `Content-Length`; 0 also for a response that has no body whatever its headers say.
    pub(super) fn new(
        inner: WasiBody,
        request: InFlight,
        deadline: Pin<Box<Sleep>>,
        left: Option<u64>,
    ) -> Self {
        let mut body = Self {
            inner,
            request: Some(request),
            deadline,
            left,
        };
        if left == Some(0) || http_body::Body::is_end_stream(&body.inner) {
            body.complete();
        }
        body
    }

    fn complete(&mut self) {
        if let Some(request) = self.request.take() {
            request.complete();
        }
    }

    fn fail(&mut self, reason: Reason) {
        if let Some(request) = self.request.take() {
            request.cut(reason);
        }
    }
}

impl Drop for FunctionBody {
    fn drop(&mut self) {
        // The client left. A guest that died while nobody read its response counts as what it is.
        let reason = self.request.as_ref().and_then(InFlight::failure);
        self.fail(reason.unwrap_or(Reason::ClientDisconnect));
    }
}

// === impl Body ===

impl From<Bytes> for Body {
    fn from(text: Bytes) -> Self {
        Self::Text(Full::new(text))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let body = match self.get_mut() {
            Self::Text(text) => {
                return Pin::new(text)
                    .poll_frame(cx)
                    .map_err(|never| match never {});
            }
            Self::Function(body) => body.as_mut(),
        };
        if body.request.is_some() && body.deadline.as_mut().poll(cx).is_ready() {
            body.fail(Reason::Timeout);
            return Poll::Ready(Some(Err(Cut::Timeout)));
        }
        match ready!(Pin::new(&mut body.inner).poll_frame(cx)) {
            // Wasmtime ends the body of a guest that died as it ends one that is complete.
            None => match body.request.as_ref().and_then(InFlight::failure) {
                Some(reason) => {
                    body.fail(reason);
                    Poll::Ready(Some(Err(Cut::Ended)))
                }
                None => {
                    body.complete();
                    Poll::Ready(None)
                }
            },
            Some(Ok(frame)) => {
                if let (Some(left), Some(data)) = (&mut body.left, frame.data_ref()) {
                    *left = left.saturating_sub(data.remaining() as u64);
                    if *left == 0 {
                        body.complete();
                    }
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => {
                let reason = body.request.as_ref().and_then(InFlight::failure);
                body.fail(reason.unwrap_or(Reason::Error));
                Poll::Ready(Some(Err(Cut::Function(error))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_end_stream(),
            Self::Function(body) => body.left == Some(0) || body.inner.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => text.size_hint(),
            Self::Function(body) => match body.left {
                Some(left) => SizeHint::with_exact(left),
                None => body.inner.size_hint(),
            },
        }
    }
}

// === impl Limited ===

impl Limited {
    pub fn new(inner: Incoming, limit: u64) -> Self {
        Self {
            inner,
            limit,
            left: limit,
            exceeded: Arc::default(),
        }
    }
}

impl http_body::Body for Limited {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        Poll::Ready(match frame {
            Some(Ok(frame)) => {
                let bytes = frame.data_ref().map_or(0, |data| data.remaining() as u64);
                match self.left.checked_sub(bytes) {
                    Some(left) => {
                        self.left = left;
                        Some(Ok(frame))
                    }
                    None => {
                        self.exceeded.store(true, Ordering::Release);
                        Some(Err(Error::HttpRequestBodySize(Some(self.limit))))
                    }
                }
            }
            Some(Err(error)) => Some(Err(error.into())),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
