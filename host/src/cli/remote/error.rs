//! Why there is no answer to work with: one message each, which says what to do.

use std::error::Error;
use std::time::Duration;

use http::StatusCode;

use super::answers::Problem;
use super::table::printable;
use super::url::AdminUrl;

#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    #[error(
        "no host can be reached at {url}: {cause}; is `flowviz up` running? Another address is named by --admin URL or \
         FLOWVIZ_ADMIN_URL"
    )]
    Unreachable { url: AdminUrl, cause: String },
    #[error(
        "{url}: the connection ended before the answer: {cause}; `flowviz functions` tells what is live"
    )]
    Cut { url: AdminUrl, cause: String },
    #[error(
        "{url}: no answer within {} s; `flowviz functions` tells what is live",
        .patience.as_secs()
    )]
    Late { url: AdminUrl, patience: Duration },
    /// The host said why.
    #[error("{0}")]
    Refused(String),
    #[error(
        "{url} answered {status}, and not in the way of a FlowViz host's admin listener: {why}; the address is named by --admin URL or \
         FLOWVIZ_ADMIN_URL"
    )]
    Foreign {
        url: AdminUrl,
        status: StatusCode,
        why: String,
    },
    #[error(
        "the token can't be sent in a header: it holds a line break or another control character"
    )]
    TokenNotSendable,
    #[error(transparent)]
    Http(#[from] http::Error),
}

// === impl RemoteError ===

impl RemoteError {
    /// A refusal in the host's own words, and where to set right what only the command line can.
    pub(super) fn refused(status: StatusCode, problem: &Problem) -> Self {
        let Problem {
            r#type,
            title,
            detail,
        } = problem;
        // Several faults, one a line.
        let space = if detail.trim_end().contains('\n') {
            '\n'
        } else {
            ' '
        };
        let mut text = format!("{title}:{space}{}", detail.trim_end());
        if status == StatusCode::UNAUTHORIZED {
            text += " Give the host's token in FLOWVIZ_ADMIN_TOKEN, or name its file with --admin-token-file.";
        }
        if r#type == "/problems/not-found" {
            text += " Is that the admin address? It is named by --admin URL or FLOWVIZ_ADMIN_URL.";
        }
        Self::Refused(text.lines().map(printable).collect::<Vec<_>>().join("\n"))
    }
}

/// What is at the bottom of an error: `Connection refused`, below two layers that say that it was an error.
pub(super) fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::RemoteError;
    use crate::cli::remote::answers::Problem;

    fn refused(status: StatusCode, slug: &str, detail: &str) -> String {
        let problem = Problem {
            r#type: format!("/problems/{slug}"),
            title: "Manifest rejected".to_owned(),
            detail: detail.to_owned(),
        };
        RemoteError::refused(status, &problem).to_string()
    }

    #[test]
    fn a_refusal_is_one_message() {
        let status = StatusCode::UNPROCESSABLE_ENTITY;
        assert_eq!(
            refused(status, "manifest-rejected", "No such key."),
            "Manifest rejected: No such key."
        );
        assert_eq!(
            refused(
                status,
                "manifest-rejected",
                "spin.toml:3: a\nspin.toml:9: b\n"
            ),
            "Manifest rejected:\nspin.toml:3: a\nspin.toml:9: b"
        );
    }

    #[test]
    fn a_refusal_says_what_the_command_line_can_do() {
        let text = refused(StatusCode::UNAUTHORIZED, "unauthorized", "No token.");
        assert!(text.contains("FLOWVIZ_ADMIN_TOKEN") && text.contains("--admin-token-file"));
        let text = refused(StatusCode::NOT_FOUND, "not-found", "No such path.");
        assert!(text.contains("--admin URL"));
        let text = refused(StatusCode::NOT_FOUND, "function-not-found", "No `x`.");
        assert!(!text.contains("--admin URL"));
    }

    #[test]
    fn a_terminal_is_not_told_what_to_do() {
        let text = refused(
            StatusCode::UNPROCESSABLE_ENTITY,
            "component-rejected",
            "import `\x1b[2J\x07`",
        );
        assert_eq!(text, "Manifest rejected: import `?[2J?`");
    }
}
