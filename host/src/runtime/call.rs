//! A request with its instance.
//!
//! The guest runs in the task that waits for its answer, whenever that waits: [`Call::response`] and [`Call::drive`]. A response that is
//! still being made when its head is passed on, and what a guest does after its response, go on in a task of their own
//! ([`Call::detach`], [`Call::leave`]). A call that is dropped before it was left throws its instance away: whatever the guest was
//! doing ends, and nobody else is in it.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures::FutureExt;
use futures::channel::oneshot;
use futures::future::BoxFuture;
use http::Response;
use tokio::task::AbortHandle;
use tracing::warn;
use wasmtime_wasi_http::WasiBody;
use wasmtime_wasi_http::handler::Request;
use wasmtime_wasi_http::p3::bindings::http::types::ErrorCode;

use super::instance::{Instance, InstanceShared};
use super::limits::LimitExceeded;
use super::version::Serving;

/// Why an instance died with a request in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    Trap,
    CpuLimit,
    MemoryLimit,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum HandleError {
    #[error("the instance ended: {0:?}")]
    Ended(Failure),
    #[error("the function gave an error in place of a response: {0}")]
    Guest(String),
}

/// See the module's documentation.
pub struct Call {
    guest: Guest,
    head: Option<oneshot::Receiver<wasmtime::Result<Response<WasiBody>>>>,
    shared: Arc<InstanceShared>,
    failure: Arc<OnceLock<Failure>>,
}

/// Where the guest runs.
enum Guest {
    Here(BoxFuture<'static, ()>),
    Elsewhere(AbortHandle),
    Done,
}

// === impl Call ===

impl Call {
    pub(super) fn start(
        mut instance: Instance,
        request_id: Arc<str>,
        request: Request,
        serving: Serving,
        place: impl Send + 'static,
    ) -> Self {
        let (sender, head) = oneshot::channel();
        let failure = Arc::new(OnceLock::new());
        let shared = Arc::clone(&instance.shared);
        instance.begin(request_id);
        let cause = Arc::clone(&failure);
        let guest = async move {
            match instance.serve(request, sender).await {
                Ok(takes_another) => {
                    if instance.end() && takes_another {
                        serving.give_back(instance);
                    }
                }
                Err(error) => {
                    // Known before the instance, and with it the response's body, comes to its end.
                    _ = cause.set(told(&instance.shared, &error));
                }
            }
            drop(place);
            drop(serving);
        };
        Self {
            guest: Guest::Here(guest.boxed()),
            head: Some(head),
            shared,
            failure,
        }
    }

    /// Waits for the head of the response. To be asked once.
    pub async fn response(&mut self) -> Result<Response<WasiBody>, HandleError> {
        let answer = match self.head.take() {
            Some(head) => self.drive(head).await,
            None => Err(oneshot::Canceled),
        };
        match answer {
            Ok(Ok(response)) => Ok(response),
            // With WASI 0.2 the death of an instance is an answer, too: that it gave none.
            Ok(Err(_)) if self.failure().is_some() => Err(self.ended()),
            Ok(Err(error)) => Err(HandleError::Guest(match error.downcast_ref() {
                Some(ErrorCode::InternalError(Some(text))) => text.clone(),
                _ => format!("{error:#}"),
            })),
            Err(oneshot::Canceled) => Err(self.ended()),
        }
    }

    fn ended(&self) -> HandleError {
        HandleError::Ended(self.failure().unwrap_or(Failure::Trap))
    }

    /// Waits for something, and lets the guest run meanwhile.
    pub async fn drive<T>(&mut self, other: impl Future<Output = T>) -> T {
        let mut other = pin!(other);
        poll_fn(|cx| {
            if let Guest::Here(guest) = &mut self.guest
                && guest.poll_unpin(cx).is_ready()
            {
                self.guest = Guest::Done;
            }
            other.as_mut().poll(cx)
        })
        .await
    }

    /// From here on the guest runs in a task of its own, for no longer than `limit`.
    pub fn detach(&mut self, limit: Duration) {
        if let Guest::Here(guest) = std::mem::replace(&mut self.guest, Guest::Done) {
            let guest = tokio::spawn(tokio::time::timeout(limit, guest));
            self.guest = Guest::Elsewhere(guest.abort_handle());
        }
    }

    /// The response has ended as it should. What the guest has left to do, it may do as long as a request may take.
    pub fn leave(mut self) {
        self.detach(self.shared.config.limits.timeout);
        self.guest = Guest::Done;
    }

    /// Why the instance died, if it did.
    pub fn failure(&self) -> Option<Failure> {
        self.failure.get().copied()
    }

    /// Did the database fail the function while it served this request?
    pub fn database_failed(&self) -> bool {
        self.shared.database_failed.load(Ordering::Relaxed)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Guest::Elsewhere(guest) = &self.guest {
            guest.abort();
        }
    }
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call")
            .field("function", &self.shared.config.id)
            .finish_non_exhaustive()
    }
}

/// What to call it, when it is in the log.
fn told(shared: &InstanceShared, error: &wasmtime::Error) -> Failure {
    let (function, version) = (&shared.config.id, shared.version.version());
    let request_id = shared.request_id();
    let request_id = request_id.as_deref();
    let failure = match error.downcast_ref() {
        Some(LimitExceeded::Cpu(_)) => Failure::CpuLimit,
        Some(LimitExceeded::Memory { .. }) => Failure::MemoryLimit,
        None => Failure::Trap,
    };
    match failure {
        Failure::Trap => warn!(%function, version, request_id, "the function trapped: {error:?}"),
        _ => warn!(%function, version, request_id, "{}", error.root_cause()),
    }
    failure
}
