//! `/api/users`: GET lists users, POST makes one. For administrators.

mod create;

use spin_sdk::http::{IntoResponse, Method, Request};
use wms::user::User;
use wms::{Kind, List, Operation, Problem, answer};

const LIST: List = List {
    roles: create::CREATE.roles,
    statement: include_str!("list.sql"),
    column: "person",
};

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/api/users", "listUsers", "Users, newest first")
            .roles(create::CREATE.roles)
            .page::<User>("A page of users."),
        Operation::post(
            "/api/users",
            "createUser",
            "Makes a user, who can log in with the password given",
        )
        .roles(create::CREATE.roles)
        .body(|form, _| create::Draft::read(form))
        .created::<User>("The user.")
        .idempotent()
        .problems(&[Kind::EmailTaken]),
    ]
}

#[cfg_attr(target_arch = "wasm32", spin_sdk::http_service)]
pub async fn handle(request: Request) -> impl IntoResponse {
    answer(match *request.method() {
        Method::GET | Method::HEAD => LIST.page::<User>(request, |_, _| Vec::new()).await,
        Method::POST => create::create(request).await,
        _ => Err(Problem::method_not_allowed("GET, POST, HEAD")),
    })
}
