//! Why nothing was changed.

use http::StatusCode;

/// In every case what was live is live.
#[derive(Debug, thiserror::Error)]
pub enum DeployError {
    #[error("the application has no function `{0}`")]
    NoFunction(String),
    #[error("another version of this function is being checked; wait for it, and try again")]
    SwapInProgress,
    #[error("the manifest is being read again, or a function swapped; wait for it, and try again")]
    ReloadInProgress,
    /// What is wrong with the component.
    #[error("{0}")]
    Component(String),
    #[error("{0}")]
    Probe(String),
    #[error("no version of this function was live before")]
    NothingToRollBackTo,
    #[error(
        "none of the versions that are kept begins with `{0}`; `GET /functions/<id>` lists them"
    )]
    NoVersion(String),
    #[error("the state can't be saved: {0}")]
    NotSaved(String),
    /// What is wrong with the manifest.
    #[error("{0}")]
    Manifest(String),
}

// === impl DeployError ===

impl DeployError {
    /// What was to be live was looked at, and isn't.
    pub fn is_rejection(&self) -> bool {
        match self {
            Self::Component(_) | Self::Probe(_) | Self::NotSaved(_) | Self::Manifest(_) => true,
            Self::NoFunction(_)
            | Self::SwapInProgress
            | Self::ReloadInProgress
            | Self::NothingToRollBackTo
            | Self::NoVersion(_) => false,
        }
    }

    /// The status, and the last part of a problem's `type` and its title.
    pub fn describe(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::NoFunction(_) => (
                StatusCode::NOT_FOUND,
                "function-not-found",
                "No such function",
            ),
            Self::SwapInProgress => (StatusCode::CONFLICT, "swap-in-progress", "Swap in progress"),
            Self::ReloadInProgress => (
                StatusCode::CONFLICT,
                "reload-in-progress",
                "Reload in progress",
            ),
            Self::Component(_) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "component-rejected",
                "Component rejected",
            ),
            Self::Probe(_) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "probe-failed",
                "Probe failed",
            ),
            Self::NothingToRollBackTo => (
                StatusCode::CONFLICT,
                "nothing-to-roll-back-to",
                "Nothing to roll back to",
            ),
            Self::NoVersion(_) => (
                StatusCode::NOT_FOUND,
                "version-not-found",
                "No such version",
            ),
            Self::NotSaved(_) => (
                StatusCode::INSUFFICIENT_STORAGE,
                "state-not-saved",
                "State not saved",
            ),
            Self::Manifest(_) => (
                StatusCode::UNPROCESSABLE_ENTITY,
                "manifest-rejected",
                "Manifest rejected",
            ),
        }
    }
}
