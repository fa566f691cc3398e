//! Links an input to a lot. The rules of links are the database's (migration 3).

use http::StatusCode;
use serde::{Deserialize, Serialize};
use spin_sdk::http::Request;
use uuid::Uuid;
use wms::decimal::Kilograms;
use wms::link::Link;
use wms::lot::Named;
use wms::lot::register::{QUANTITY, REGISTER};
use wms::write::{Facts, Write, Written};
use wms::{Caller, Faults, Form, Outcome, Problem, Submission, database};

pub const LINK: Write = Write {
    route: "POST /api/lots/:id/parents",
    roles: REGISTER.roles,
    statement: include_str!("link.sql"),
};

/// A link to be, as the statement reads it.
#[derive(Debug, Default, Serialize)]
pub struct Draft {
    id: Uuid,
    /// The lot that the parent goes into.
    child: Named,
    parent_lot_id: Option<Uuid>,
    quantity_used_kg: Option<Kilograms>,
}

/// What the statement found.
#[derive(Debug, Deserialize)]
struct Found {
    child_known: bool,
    parent_known: bool,
}

pub async fn link(request: Request) -> Outcome {
    let caller = Caller::of(request.headers()).await?;
    let child = Named::of(request.uri().path());
    let submission =
        Submission::read(request, caller, LINK.route, |form| Draft::read(form, child)).await;
    let written: Written<Link, Found> = LINK.run(caller, submission, None).await?;
    Ok(written.reply(StatusCode::CREATED))
}

// === impl Found ===

impl Facts<Draft> for Found {
    fn find_faults(&self, _: &Draft, faults: &mut Faults) {
        faults.reference(self.parent_known, "parent_lot_id");
    }

    fn conflict(self, _: Draft) -> Problem {
        if self.child_known {
            database::internal("a link was neither made nor refused")
        } else {
            Named::not_found()
        }
    }
}

// === impl Draft ===

impl Draft {
    pub fn read(form: &mut Form<'_>, child: Named) -> Self {
        let parent_lot_id = form.uuid("parent_lot_id");
        let parent_lot_id = form.required("parent_lot_id", parent_lot_id);
        let quantity_used_kg = form.decimal("quantity_used_kg", QUANTITY);
        Self {
            id: Uuid::now_v7(),
            child,
            parent_lot_id,
            quantity_used_kg: form.required("quantity_used_kg", quantity_used_kg),
        }
    }
}
