//! `PUT /api/users/:id/role`: gives a user another role. For administrators, of whom one always stays.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use spin_sdk::http::{IntoResponse, Method, Request};
use uuid::Uuid;
use wms::user::User;
use wms::write::{Facts, Write, Written};
use wms::{
    Caller, Faults, Form, Kind, Name as _, Operation, Outcome, Problem, Role, Submission, answer,
    url,
};

const CHANGE: Write = Write {
    route: "PUT /api/users/:id/role",
    roles: &[Role::Admin],
    statement: include_str!("change.sql"),
};

/// A change to be, as the statement reads it.
#[derive(Debug, Default, Serialize)]
struct Draft {
    user_id: Option<Uuid>,
    role: Option<&'static str>,
}

/// What the statement found.
#[derive(Debug, Deserialize)]
struct Found {
    user_known: bool,
}

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::new(
            Method::PUT,
            "/api/users/:id/role",
            "changeRole",
            "Gives a user another role",
        )
        .roles(CHANGE.roles)
        .body(|form, _| Draft::read(form, None))
        .ok::<User>("The user.")
        .idempotent()
        .problems(&[Kind::UserNotFound, Kind::LastAdmin]),
    ]
}

#[cfg_attr(target_arch = "wasm32", spin_sdk::http_service)]
pub async fn handle(request: Request) -> impl IntoResponse {
    answer(match *request.method() {
        Method::PUT => change(request).await,
        _ => Err(Problem::method_not_allowed("PUT")),
    })
}

async fn change(request: Request) -> Outcome {
    let caller = Caller::of(request.headers()).await?;
    let user_id =
        url::segment_after(request.uri().path(), "users").and_then(|id| Uuid::try_parse(&id).ok());
    let submission = Submission::read(request, caller, CHANGE.route, |form| {
        Draft::read(form, user_id)
    })
    .await;
    let written: Written<User, Found> = CHANGE.run(caller, submission, None).await?;
    Ok(written.reply(StatusCode::OK))
}

// === impl Found ===

impl Facts<Draft> for Found {
    fn find_faults(&self, _: &Draft, _: &mut Faults) {}

    fn conflict(self, _: Draft) -> Problem {
        if self.user_known {
            Kind::LastAdmin.because("Somebody has to be an administrator; make another one first.")
        } else {
            Kind::UserNotFound.because("No user has this id.")
        }
    }
}

// === impl Draft ===

impl Draft {
    fn read(form: &mut Form<'_>, user_id: Option<Uuid>) -> Self {
        let role = form.name::<Role>("role");
        Self {
            user_id,
            role: form.required("role", role).map(Role::as_str),
        }
    }
}
