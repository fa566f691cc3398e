//! `POST /api/refresh-token`: a new token for one that still holds.

use serde::Serialize;
use spin_sdk::http::{IntoResponse, Method, Request};
use wms::caller::now;
use wms::schemars::JsonSchema;
use wms::token::Claims;
use wms::{
    Caller, Faults, Kind, Name as _, Operation, Outcome, Problem, Reply, Role, answer, settings,
};

#[derive(Serialize, JsonSchema)]
#[schemars(crate = "wms::schemars")]
struct Refreshed {
    /// Good for 30 minutes from now. The one before stays good until it expires.
    token: String,
}

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::post(
            "/api/refresh-token",
            "refreshToken",
            "A new token for one that still holds",
        )
        .ok::<Refreshed>("The token."),
    ]
}

#[cfg_attr(target_arch = "wasm32", spin_sdk::http_service)]
pub async fn handle(request: Request) -> impl IntoResponse {
    answer(match *request.method() {
        Method::POST => refresh(request).await,
        _ => Err(Problem::method_not_allowed("POST")),
    })
}

async fn refresh(request: Request) -> Outcome {
    let caller = Caller::of(request.headers()).await?;
    let rows = caller
        .read(
            Role::ALL,
            "SELECT role, unseen FROM caller",
            [],
            Faults::default(),
        )
        .await?;
    // The role as it is now, not as it was when the token was made.
    let role = rows
        .first()
        .map(|row| row.name::<Role>("role"))
        .transpose()?;
    let claims = role.map(|role| Claims::new(caller.id, role.as_str(), now()));
    let secret = settings::jwt_secret().await?;
    let token = claims.and_then(|claims| claims.sign(secret));
    let token = token.ok_or_else(|| Kind::Internal.because("No token could be made."))?;
    Ok(Reply::ok(&Refreshed { token }))
}
