//! An error with all its causes, in one line.

use std::error::Error;

/// For the message of an error that tells its cause itself, and so has no `source` to tell it again.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut causes = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    causes.join(": ")
}
