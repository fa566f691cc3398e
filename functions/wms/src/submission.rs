//! What a client submits to be written: its body as a draft, and all that is wrong with it.

use crate::stamp::Stamp;
use crate::{Caller, Faults, Form, Problem, body, settings};
use spin_sdk::http::Request;

/// What a body came to. The draft may have holes where the body had faults: the statement that would write it is told so,
/// and looks up the rest. So a client hears of a wrong reference and of a wrong number in one answer, after its role was checked.
#[derive(Debug)]
pub struct Submission<T> {
    pub draft: T,
    pub faults: Faults,
    /// Why there was nothing to read.
    pub unreadable: Option<Problem>,
    pub stamp: Stamp,
}

// === impl Submission ===

impl<T: Default> Submission<T> {
    /// Reads the request's body with `read`. `route` is what its idempotency key is kept for.
    pub async fn read(
        request: Request,
        caller: Caller,
        route: &'static str,
        read: impl FnOnce(&mut Form<'_>) -> T,
    ) -> Self {
        let mut faults = Faults::default();
        let stamp = Stamp::of(request.headers(), caller.id, route, &mut faults);
        let path = request.uri().path().to_owned();
        let content = async {
            let body = body::read(request, body::MAX_BYTES).await?;
            Ok((body, settings::jwt_secret().await?))
        };
        match content.await {
            Ok((body, secret)) => {
                let stamp = stamp.with_content(secret, &path, &body);
                Self::over(&body, faults, stamp, read)
            }
            Err(problem) => Self {
                draft: T::default(),
                faults,
                unreadable: Some(problem),
                stamp,
            },
        }
    }

    /// Reads a body that is here already.
    pub fn over(
        body: &[u8],
        mut faults: Faults,
        stamp: Stamp,
        read: impl FnOnce(&mut Form<'_>) -> T,
    ) -> Self {
        let (draft, unreadable) =
            match Form::over(body, &mut faults).map(|mut form| read(&mut form)) {
                Ok(draft) => (draft, None),
                Err(problem) => (T::default(), Some(problem)),
            };
        Self {
            draft,
            faults,
            unreadable,
            stamp,
        }
    }
}

impl<T> Submission<T> {
    /// Whether the body had no fault of its own.
    pub fn is_sound(&self) -> bool {
        self.unreadable.is_none() && self.faults.is_empty()
    }

    /// The draft, or all that is wrong with it.
    pub fn accept(self) -> Result<T, Problem> {
        match self.unreadable {
            Some(problem) => Err(problem),
            None if self.faults.is_empty() => Ok(self.draft),
            None => Err(Problem::invalid(self.faults)),
        }
    }
}
