//! `GET /api/me`: who the caller is.

use spin_sdk::http::{IntoResponse, Method, Request};
use wms::user::User;
use wms::{Caller, Faults, Name as _, Operation, Outcome, Problem, Reply, Role, answer, database};

pub fn operations() -> Vec<Operation> {
    vec![Operation::get("/api/me", "getMe", "The user whose token this is").ok::<User>("The user.")]
}

#[cfg_attr(target_arch = "wasm32", spin_sdk::http_service)]
pub async fn handle(request: Request) -> impl IntoResponse {
    answer(match *request.method() {
        Method::GET | Method::HEAD => me(request).await,
        _ => Err(Problem::method_not_allowed("GET, HEAD")),
    })
}

async fn me(request: Request) -> Outcome {
    let caller = Caller::of(request.headers()).await?;
    let rows = caller
        .read(Role::ALL, include_str!("me.sql"), [], Faults::default())
        .await?;
    let user: Option<User> = rows
        .first()
        .map_or(Ok(None), |row| row.document("person"))?;
    let user = user.ok_or_else(|| database::internal("a caller without a user"))?;
    Ok(Reply::ok(&user))
}
