//! What a client is told when it doesn't get what it asked for: RFC 9457 `application/problem+json`.
//!
//! `type` is stable: a client may branch on it. `detail` is for people and never holds SQL, an address or a secret.

use crate::faults::{Fault, Faults, Step};
use crate::reply::Reply;
use crate::{Name, Role};
use http::header::{ALLOW, HeaderName, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use schemars::JsonSchema;
use serde::Serialize;

/// How long a client should wait before it asks a saturated or unreachable database again, in seconds.
const RETRY_AFTER_SECONDS: &str = "1";

/// A problem's stable type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Unauthenticated,
    InvalidCredentials,
    Forbidden,
    LotNotFound,
    RunNotFound,
    UserNotFound,
    MethodNotAllowed,
    LotCodeTaken,
    EmailTaken,
    LastAdmin,
    RunNotActive,
    LinkToItself,
    LinkDuplicate,
    LinkCycle,
    ParentRejected,
    ParentOverdrawn,
    CcpLimitExceeded,
    IdempotencyKeyInUse,
    Stale,
    BodyTooLarge,
    UnsupportedMediaType,
    Invalid,
    IdempotencyKeyReused,
    Misconfigured,
    Internal,
    DatabaseUnavailable,
}

/// One problem, ready to be sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    kind: Kind,
    detail: String,
    faults: Vec<Fault>,
    header: Option<(HeaderName, String)>,
}

/// A problem in JSON.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub struct Document<'a> {
    /// `/problems/` and a name that stays: what a client may branch on.
    r#type: String,
    title: &'static str,
    status: u16,
    /// For people.
    detail: &'a str,
    /// All that is wrong with the request, where that is the problem.
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    errors: &'a [Fault],
}

// === impl Kind ===

impl Kind {
    /// The status, the last part of `type`, and the title.
    pub fn describe(self) -> (StatusCode, &'static str, &'static str) {
        use StatusCode as S;
        match self {
            Self::Unauthenticated => (S::UNAUTHORIZED, "unauthenticated", "Not authenticated"),
            Self::InvalidCredentials => (
                S::UNAUTHORIZED,
                "invalid-credentials",
                "Invalid credentials",
            ),
            Self::Forbidden => (S::FORBIDDEN, "forbidden", "Not allowed"),
            Self::LotNotFound => (S::NOT_FOUND, "lot-not-found", "Lot not found"),
            Self::RunNotFound => (S::NOT_FOUND, "run-not-found", "Production run not found"),
            Self::UserNotFound => (S::NOT_FOUND, "user-not-found", "User not found"),
            Self::MethodNotAllowed => (
                S::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "Method not allowed",
            ),
            Self::LotCodeTaken => (S::CONFLICT, "lot-code-taken", "Lot code taken"),
            Self::EmailTaken => (S::CONFLICT, "email-taken", "Email taken"),
            Self::LastAdmin => (S::CONFLICT, "last-admin", "Last administrator"),
            Self::RunNotActive => (S::CONFLICT, "run-not-active", "Production run not active"),
            Self::LinkToItself => (S::CONFLICT, "link-to-itself", "Lot linked to itself"),
            Self::LinkDuplicate => (S::CONFLICT, "link-duplicate", "Lots already linked"),
            Self::LinkCycle => (S::CONFLICT, "link-cycle", "Link closes a cycle"),
            Self::ParentRejected => (S::CONFLICT, "parent-rejected", "Parent lot rejected"),
            Self::ParentOverdrawn => (
                S::CONFLICT,
                "parent-overdrawn",
                "Not enough left of the parent lot",
            ),
            Self::CcpLimitExceeded => (S::CONFLICT, "ccp-limit-exceeded", "CCP limit exceeded"),
            Self::IdempotencyKeyInUse => (
                S::CONFLICT,
                "idempotency-key-in-use",
                "Idempotency key in use",
            ),
            Self::Stale => (S::PRECONDITION_FAILED, "stale", "Changed by somebody else"),
            Self::IdempotencyKeyReused => (
                S::UNPROCESSABLE_ENTITY,
                "idempotency-key-reused",
                "Idempotency key reused",
            ),
            Self::BodyTooLarge => (S::PAYLOAD_TOO_LARGE, "body-too-large", "Body too large"),
            Self::UnsupportedMediaType => (
                S::UNSUPPORTED_MEDIA_TYPE,
                "unsupported-media-type",
                "Unsupported media type",
            ),
            Self::Invalid => (S::UNPROCESSABLE_ENTITY, "validation", "Invalid request"),
            Self::Misconfigured => (
                S::INTERNAL_SERVER_ERROR,
                "misconfigured",
                "Service misconfigured",
            ),
            Self::Internal => (S::INTERNAL_SERVER_ERROR, "internal", "Internal error"),
            Self::DatabaseUnavailable => (
                S::SERVICE_UNAVAILABLE,
                "database-unavailable",
                "Database unavailable",
            ),
        }
    }

    /// The problem of this type.
    pub fn because(self, detail: impl Into<String>) -> Problem {
        let header = match self {
            Self::Unauthenticated | Self::InvalidCredentials => {
                Some((WWW_AUTHENTICATE, "Bearer".to_owned()))
            }
            Self::DatabaseUnavailable | Self::IdempotencyKeyInUse => {
                Some((RETRY_AFTER, RETRY_AFTER_SECONDS.to_owned()))
            }
            _ => None,
        };
        Problem {
            kind: self,
            detail: detail.into(),
            faults: Vec::new(),
            header,
        }
    }
}

// === impl Problem ===

impl Problem {
    /// No valid token, or nobody that it stands for. One text for all the reasons: a client can do the same about each.
    pub fn unauthenticated() -> Self {
        Kind::Unauthenticated.because("Not authenticated")
    }

    /// The caller has none of the roles that may do this.
    pub fn forbidden(roles: &[Role]) -> Self {
        let roles = Role::join(roles, ", ");
        let mut problem = Kind::Forbidden.because(format!("Requires one of: {roles}"));
        problem.header = Some((HeaderName::from_static("x-required-roles"), roles));
        problem
    }

    /// The path exists, with other methods.
    pub fn method_not_allowed(allowed: &'static str) -> Self {
        let mut problem = Kind::MethodNotAllowed.because(format!("Allowed here: {allowed}"));
        problem.header = Some((ALLOW, allowed.to_owned()));
        problem
    }

    /// Everything that is wrong with the request.
    pub fn invalid(faults: Faults) -> Self {
        let faults = faults.into_vec();
        let detail = match faults.as_slice() {
            [one] => one.to_string(),
            many => format!("{} faults, listed in `errors`", many.len()),
        };
        Self {
            faults,
            ..Kind::Invalid.because(detail)
        }
    }

    /// The body can't be read at all.
    pub fn unparsable(msg: &str) -> Self {
        let mut faults = Faults::default();
        faults.add(vec![Step::Field("body")], "json_invalid", msg);
        Self::invalid(faults)
    }

    /// The problem's stable type.
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl Problem {
    /// As it is sent.
    pub fn document(&self) -> Document<'_> {
        let (status, slug, title) = self.kind.describe();
        Document {
            r#type: format!("/problems/{slug}"),
            title,
            status: status.as_u16(),
            detail: &self.detail,
            errors: &self.faults,
        }
    }

    pub fn status(&self) -> StatusCode {
        self.kind.describe().0
    }
}

impl From<Problem> for Reply {
    fn from(problem: Problem) -> Self {
        let reply = Reply::json(problem.status(), &problem.document())
            .media_type(HeaderValue::from_static("application/problem+json"));
        match problem.header {
            Some((name, value)) => reply.header(name, &value),
            None => reply,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(problem: Problem) -> (http::response::Parts, serde_json::Value) {
        let (parts, body) = Reply::from(problem).into_parts();
        let body = serde_json::from_slice(&body).unwrap();
        (parts, body)
    }

    #[test]
    fn names_the_roles_that_may() {
        let (parts, body) = sent(Problem::forbidden(&[Role::Admin, Role::Manager]));
        assert_eq!(parts.status, 403);
        assert_eq!(parts.headers["x-required-roles"], "ADMIN, MANAGER");
        assert_eq!(parts.headers["content-type"], "application/problem+json");
        assert_eq!(body["detail"], "Requires one of: ADMIN, MANAGER");
        assert_eq!(body["type"], "/problems/forbidden");
        assert!(body.get("errors").is_none());
    }

    #[test]
    fn asks_for_a_token_and_for_patience() {
        assert_eq!(
            sent(Problem::unauthenticated()).0.headers["www-authenticate"],
            "Bearer"
        );
        assert_eq!(
            sent(Kind::DatabaseUnavailable.because("x")).0.headers["retry-after"],
            "1"
        );
    }

    #[test]
    fn lists_every_fault() {
        let mut faults = Faults::default();
        faults.body("weight_kg", "less_than_equal", "must be at most 10000");
        faults.body("lot_code", "missing", "is required");
        let (parts, body) = sent(Problem::invalid(faults));
        assert_eq!(parts.status, 422);
        assert_eq!(
            body["errors"][0]["loc"],
            serde_json::json!(["body", "weight_kg"])
        );
        assert_eq!(body["errors"][1]["type"], "missing");
        assert!(body["detail"].is_string());
    }
}
