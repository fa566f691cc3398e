//! `POST /api/login`: email and password in, the user and a token out.

mod password;

use serde::Serialize;
use spin_sdk::http::{IntoResponse, Method, Request};
use spin_sdk::http_service;
use uuid::Uuid;
use wms::caller::now;
use wms::database::text;
use wms::form::Submission;
use wms::token::Claims;
use wms::{Database, Form, Kind, Outcome, Problem, Reply, Row, answer, metrics, settings};

/// The longest address that mail can be sent to.
const EMAIL_MAX_CHARS: usize = 254;

/// A longer password adds work for us and nothing for its owner.
const PASSWORD_MAX_CHARS: usize = 1024;

#[derive(Default)]
struct Credentials {
    email: Option<String>,
    password: Option<String>,
}

/// A user, as it leaves the API.
#[derive(Debug, Serialize)]
struct User {
    id: String,
    email: String,
    full_name: Option<String>,
    role: String,
    created_at: Option<String>,
    last_login: Option<String>,
}

#[derive(Serialize)]
struct Welcome {
    user: User,
    token: String,
}

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    answer(match *request.method() {
        Method::POST => login(request).await,
        _ => Err(Problem::method_not_allowed("POST")),
    })
}

async fn login(request: Request) -> Outcome {
    let credentials = Submission::read(request, Credentials::read)
        .await
        .accept()?;
    let secret = settings::jwt_secret().await?;
    let database = Database::connect().await?;

    let user = admit(&database, credentials).await?;
    let result = if user.is_some() { "success" } else { "failure" };
    metrics::count("flowviz_login_attempts_total", &[("result", result)], 1.0);

    let user = user.ok_or_else(|| Kind::InvalidCredentials.because("Invalid credentials"))?;
    let subject = Uuid::try_parse(&user.id).ok();
    let token = subject.and_then(|id| Claims::new(id, &user.role, now()).sign(&secret));
    let token = token.ok_or_else(|| Kind::Internal.because("No token could be made."))?;
    Ok(Reply::ok(&Welcome { user, token }))
}

/// The user, if the password is theirs. Takes the same time for a user who doesn't exist or has no password.
async fn admit(database: &Database, credentials: Credentials) -> Result<Option<User>, Problem> {
    let (email, password) = (
        credentials.email.unwrap_or_default(),
        credentials.password.unwrap_or_default(),
    );
    let rows = database
        .query(include_str!("find.sql"), vec![text(email)])
        .await?;
    let account = rows.first();
    let hash = account
        .map(|row| row.maybe("password_hash"))
        .transpose()?
        .flatten();
    let is_theirs = password::verify(&password, hash.as_deref());

    let Some(account) = account.filter(|_| is_theirs) else {
        return Ok(None);
    };
    let rows = database
        .query(include_str!("welcome.sql"), vec![text(account.text("id")?)])
        .await?;
    rows.first().map(User::of).transpose()
}

// === impl Credentials ===

impl Credentials {
    fn read(form: &mut Form<'_>) -> Self {
        let email = form.text("email", 1..=EMAIL_MAX_CHARS);
        if email.as_deref().is_some_and(|email| !is_address(email)) {
            form.fault("email", "value_error", "must be an email address");
        }
        let password = form.text("password", 1..=PASSWORD_MAX_CHARS);
        Self {
            email: form.required("email", email),
            password: form.required("password", password),
        }
    }
}

/// One `@` between two parts without spaces: what tells a slip from an address. Only a mail that arrives tells the rest.
fn is_address(text: &str) -> bool {
    let parts = text.split_once('@');
    parts.is_some_and(|(name, domain)| {
        [name, domain].iter().all(|part| {
            !part.is_empty()
                && !part.contains(|letter: char| {
                    letter == '@' || letter.is_whitespace() || letter.is_control()
                })
        })
    })
}

// === impl User ===

impl User {
    fn of(row: &Row) -> Result<Self, Problem> {
        Ok(Self {
            id: row.text("id")?,
            email: row.text("email")?,
            full_name: row.maybe("full_name")?,
            role: row.text("role")?,
            created_at: row.maybe("created_at")?,
            last_login: row.maybe("last_login")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wms::Faults;

    fn is_sound(body: &str) -> bool {
        let mut faults = Faults::default();
        Credentials::read(&mut Form::over(body.as_bytes(), &mut faults).unwrap());
        faults.is_empty()
    }

    #[test]
    fn both_fields_are_required() {
        assert!(is_sound(r#"{"email":"a@b","password":"x"}"#));
        for body in [
            "{}",
            r#"{"email":"a@b"}"#,
            r#"{"password":"x"}"#,
            r#"{"email":"a@b","password":""}"#,
        ] {
            assert!(!is_sound(body), "{body}");
        }
    }

    #[test]
    fn tells_an_address_from_a_slip() {
        assert!(is_address("admin@flowviz.com"));
        for slip in ["admin", "@b", "a@", "a@b@c", "a b@c", "a@b c"] {
            assert!(!is_address(slip), "{slip}");
        }
    }
}
