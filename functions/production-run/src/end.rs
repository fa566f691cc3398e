//! Ends a run. Its summary is the database's (migration 16), which sees every lot that was registered before the end.

use http::StatusCode;
use serde::{Deserialize, Serialize};
use spin_sdk::http::Request;
use uuid::Uuid;
use wms::run::{Run, RunStatus};
use wms::write::{Facts, Write, Written};
use wms::{Caller, Faults, Form, Name as _, Outcome, Problem, Role, Submission, database, metrics};

pub const END: Write = Write {
    route: "PATCH /api/production-runs/:id",
    roles: &[Role::Admin, Role::Manager, Role::Operator],
    statement: include_str!("end.sql"),
};

/// An end to be, as the statement reads it.
#[derive(Debug, Default, Serialize)]
pub struct Draft {
    run_id: Option<Uuid>,
    status: Option<&'static str>,
}

/// What the statement found.
#[derive(Debug, Deserialize)]
struct Found {
    run_known: bool,
}

pub async fn end(request: Request) -> Outcome {
    let caller = Caller::of(request.headers()).await?;
    let run_id = crate::run_id(&request);
    let submission =
        Submission::read(request, caller, END.route, |form| Draft::read(form, run_id)).await;
    let written: Written<Run, Found> = END.run(caller, submission, None).await?;
    if written.facts.is_some() {
        let status = ("status", written.document.status.as_str());
        metrics::count("flowviz_production_runs_finished_total", &[status], 1.0);
    }
    Ok(written.reply(StatusCode::OK))
}

// === impl Found ===

impl Facts<Draft> for Found {
    fn find_faults(&self, _: &Draft, _: &mut Faults) {}

    fn conflict(self, _: Draft) -> Problem {
        if self.run_known {
            database::internal("a run was neither ended nor was its end refused")
        } else {
            crate::not_found()
        }
    }
}

// === impl Draft ===

impl Draft {
    pub fn read(form: &mut Form<'_>, run_id: Option<Uuid>) -> Self {
        let status = form.name_of("status", &[RunStatus::Completed, RunStatus::Cancelled]);
        Self {
            run_id,
            status: form.required("status", status).map(RunStatus::as_str),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_makes_a_run_active_again() {
        let read = |body: &str| {
            let mut faults = Faults::default();
            Draft::read(&mut Form::over(body.as_bytes(), &mut faults).unwrap(), None);
            faults.is_empty()
        };
        assert!(read(r#"{"status":"COMPLETED"}"#) && read(r#"{"status":"CANCELLED"}"#));
        assert!(!read(r#"{"status":"ACTIVE"}"#) && !read(r#"{"status":"DONE"}"#) && !read("{}"));
    }
}
