//! Makes a user.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use spin_sdk::http::Request;
use uuid::Uuid;
use wms::user::{self, User};
use wms::write::{Facts, Write, Written};
use wms::{Caller, Faults, Form, Kind, Name as _, Outcome, Problem, Role, Submission, password};

const NAME_MAX_CHARS: usize = 200;

/// Length is what keeps a password from being guessed.
const PASSWORD_MIN_CHARS: usize = 12;

pub const CREATE: Write = Write {
    route: "POST /api/users",
    roles: &[Role::Admin],
    statement: include_str!("create.sql"),
};

/// A user to be, as the statement reads it.
#[derive(Debug, Default, Serialize)]
pub struct Draft {
    id: Uuid,
    email: Option<String>,
    full_name: Option<String>,
    role: Option<&'static str>,
    password_hash: Option<String>,
}

/// What the statement found.
#[derive(Debug, Deserialize)]
struct Found {}

pub async fn create(request: Request) -> Outcome {
    let caller = Caller::of(request.headers()).await?;
    let submission = Submission::read(request, caller, CREATE.route, Draft::read).await;
    let written: Written<User, Found> = CREATE.run(caller, submission, None).await?;
    Ok(written.reply(StatusCode::CREATED))
}

// === impl Found ===

impl Facts<Draft> for Found {
    fn find_faults(&self, _: &Draft, _: &mut Faults) {}

    fn conflict(self, draft: Draft) -> Problem {
        let email = draft.email.unwrap_or_default();
        Kind::EmailTaken.because(format!("Another user has the address {email}."))
    }
}

// === impl Draft ===

impl Draft {
    pub fn read(form: &mut Form<'_>) -> Self {
        let email = user::email(form);
        let full_name = form.text("full_name", 1..=NAME_MAX_CHARS);
        let role = form.name::<Role>("role");
        let role = form.required("role", role).map(Role::as_str);
        let password = form.text("password", PASSWORD_MIN_CHARS..=user::PASSWORD_MAX_CHARS);
        let password = form.required("password", password);
        Self {
            id: Uuid::now_v7(),
            email,
            full_name,
            role,
            // Hashing takes time: not for a body that is refused anyway.
            password_hash: password
                .filter(|_| form.is_sound())
                .and_then(|password| password::hash(&password)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_draft_has_the_hash_and_not_the_password() {
        let body = br#"{"email":"a@b","role":"VIEWER","password":"twelve chars"}"#;
        let mut faults = Faults::default();
        let draft = Draft::read(&mut Form::over(body, &mut faults).unwrap());
        assert!(faults.is_empty());
        let sent = serde_json::to_string(&draft).unwrap();
        assert!(sent.contains("$argon2id$") && !sent.contains("twelve chars"));
    }

    #[test]
    fn a_password_is_long() {
        let body = br#"{"email":"a@b","role":"VIEWER","password":"eleven char"}"#;
        let mut faults = Faults::default();
        let draft = Draft::read(&mut Form::over(body, &mut faults).unwrap());
        assert!(!faults.is_empty() && draft.password_hash.is_none());
    }
}
