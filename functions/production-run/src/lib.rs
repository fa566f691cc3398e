//! `/api/production-runs/:id`: GET shows a run, PATCH ends it.

mod end;

use spin_sdk::http::{IntoResponse, Method, Request};
use uuid::Uuid;
use wms::database::maybe;
use wms::run::Run;
use wms::{Caller, Faults, Kind, Name as _, Operation, Outcome, Problem, Reply, Role, answer, url};

pub fn operations() -> Vec<Operation> {
    vec![
        Operation::get("/api/production-runs/:id", "getRun", "A production run")
            .ok::<Run>("The run.")
            .problems(&[Kind::RunNotFound]),
        Operation::new(
            Method::PATCH,
            "/api/production-runs/:id",
            "endRun",
            "Completes or cancels a run; there is no way back",
        )
        .roles(end::END.roles)
        .body(|form, _| end::Draft::read(form, None))
        .ok::<Run>("The run, which has ended.")
        .idempotent()
        .problems(&[Kind::RunNotFound, Kind::RunNotActive]),
    ]
}

#[cfg_attr(target_arch = "wasm32", spin_sdk::http_service)]
pub async fn handle(request: Request) -> impl IntoResponse {
    answer(match *request.method() {
        Method::GET | Method::HEAD => get(request).await,
        Method::PATCH => end::end(request).await,
        _ => Err(Problem::method_not_allowed("GET, PATCH, HEAD")),
    })
}

async fn get(request: Request) -> Outcome {
    let caller = Caller::of(request.headers()).await?;
    let id = run_id(&request);
    let rows = caller
        .read(
            Role::ALL,
            include_str!("get.sql"),
            [maybe(id)],
            Faults::default(),
        )
        .await?;
    let run: Option<Run> = rows.first().map_or(Ok(None), |row| row.document("run"))?;
    Ok(Reply::ok(&run.ok_or_else(not_found)?))
}

/// A segment that is no id is no run's.
fn run_id(request: &Request) -> Option<Uuid> {
    let id = url::segment_after(request.uri().path(), "production-runs")?;
    Uuid::try_parse(&id).ok()
}

fn not_found() -> Problem {
    Kind::RunNotFound.because("No production run has this id.")
}
