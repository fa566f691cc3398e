//! `POST /api/login`: email and password in, the user and a token out.

use serde::Serialize;
use spin_sdk::http::{IntoResponse, Method, Request};
use uuid::Uuid;
use wms::caller::now;
use wms::database::text;
use wms::schemars::JsonSchema;
use wms::token::Claims;
use wms::user::{self, User};
use wms::{
    Database, Faults, Form, Kind, Name as _, Operation, Outcome, Problem, Reply, answer, body,
    metrics, password, settings,
};

#[derive(Debug)]
struct Credentials {
    email: String,
    password: String,
}

#[derive(Serialize, JsonSchema)]
#[schemars(crate = "wms::schemars")]
struct Welcome {
    user: User,
    /// For `Authorization: Bearer`; good for 30 minutes.
    token: String,
}

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::post(
            "/api/login",
            "login",
            "Email and password in, the user and a token out",
        )
        .anybody()
        .body(|form, _| Credentials::read(form))
        .ok::<Welcome>("Welcome.")
        .problems(&[Kind::InvalidCredentials]),
    ]
}

#[cfg_attr(target_arch = "wasm32", spin_sdk::http_service)]
pub async fn handle(request: Request) -> impl IntoResponse {
    answer(match *request.method() {
        Method::POST => login(request).await,
        _ => Err(Problem::method_not_allowed("POST")),
    })
}

async fn login(request: Request) -> Outcome {
    let request_id = wms::stamp::request_id(request.headers());
    let body = body::read(request, body::MAX_BYTES).await?;
    let mut faults = Faults::default();
    let credentials = Credentials::read(&mut Form::over(&body, &mut faults)?);
    let credentials = credentials.ok_or_else(|| Problem::invalid(faults))?;
    let secret = settings::jwt_secret().await?;
    let database = Database::connect().await?;

    let user = admit(&database, credentials, request_id).await?;
    let result = if user.is_some() { "success" } else { "failure" };
    metrics::count("flowviz_login_attempts_total", &[("result", result)], 1.0);

    let user = user.ok_or_else(|| Kind::InvalidCredentials.because("Invalid credentials"))?;
    let token = Claims::new(user.id, user.role.as_str(), now()).sign(secret);
    let token = token.ok_or_else(|| Kind::Internal.because("No token could be made."))?;
    Ok(Reply::ok(&Welcome { user, token }))
}

/// The user, if the password is theirs. Takes the same time for a user who doesn't exist or has no password.
async fn admit(
    database: &Database,
    credentials: Credentials,
    request_id: Option<String>,
) -> Result<Option<User>, Problem> {
    let rows = database
        .query(include_str!("find.sql"), vec![text(credentials.email)])
        .await?;
    let account = rows.first();
    let hash = account
        .map(|row| row.maybe("password_hash"))
        .transpose()?
        .flatten();
    let is_theirs = password::verify(&credentials.password, hash.as_deref());

    let Some(account) = account.filter(|_| is_theirs) else {
        return Ok(None);
    };
    let parameters = vec![
        text(account.text("id")?),
        text(Uuid::now_v7()),
        wms::database::maybe(request_id),
    ];
    let rows = database
        .query(include_str!("welcome.sql"), parameters)
        .await?;
    rows.first().map_or(Ok(None), |row| row.document("person"))
}

// === impl Credentials ===

impl Credentials {
    fn read(form: &mut Form<'_>) -> Option<Self> {
        let email = user::email(form);
        let password = form.text("password", 1..=user::PASSWORD_MAX_CHARS);
        let password = form.required("password", password);
        if !form.is_sound() {
            return None;
        }
        Some(Self {
            email: email?,
            password: password?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_fields_are_required() {
        let is_sound = |body: &str| {
            let mut faults = Faults::default();
            Credentials::read(&mut Form::over(body.as_bytes(), &mut faults).unwrap()).is_some()
        };
        assert!(is_sound(r#"{"email":"a@b","password":"x"}"#));
        for body in [
            "{}",
            r#"{"email":"a@b"}"#,
            r#"{"email":"a","password":"x"}"#,
            r#"{"password":"x"}"#,
            r#"{"email":"a@b","password":""}"#,
        ] {
            assert!(!is_sound(body), "{body}");
        }
    }
}
