//! Starts a run, under a code that nobody has yet.

use chrono::{DateTime, Utc};
use http::StatusCode;
use http::header::LOCATION;
use serde::{Deserialize, Serialize};
use spin_sdk::http::Request;
use std::ops::RangeInclusive;
use uuid::Uuid;
use wms::decimal::Kilograms;
use wms::run::Run;
use wms::write::{Facts, Write, Written};
use wms::{Caller, Faults, Form, Outcome, Problem, Role, Submission, database};

/// More than any plant makes in a day.
const TARGET: RangeInclusive<Kilograms> = Kilograms::whole(0)..=Kilograms::whole(10_000_000);

/// A day has 65,536 codes; the first of so many that is free is taken.
const CODES: usize = 16;

pub const START: Write = Write {
    route: "POST /api/production-runs",
    roles: &[Role::Admin, Role::Manager, Role::Operator],
    statement: include_str!("start.sql"),
};

/// A run to be, as the statement reads it.
#[derive(Debug, Default, Serialize)]
pub struct Draft {
    id: Uuid,
    codes: Vec<String>,
    scenario_id: Option<Uuid>,
    operator_id: Option<Uuid>,
    daily_target_kg: Option<Kilograms>,
}

/// What the statement found.
#[derive(Debug, Deserialize)]
struct Found {
    scenario_known: bool,
    operator_known: bool,
}

pub async fn start(request: Request) -> Outcome {
    let caller = Caller::of(request.headers()).await?;
    let submission = Submission::read(request, caller, START.route, |form| {
        Draft::read(form, caller)
    })
    .await;
    let operator = submission.draft.operator_id;
    let written: Written<Run, Found> = START.run(caller, submission, operator).await?;
    let location = format!("/api/production-runs/{}", written.document.id);
    Ok(written
        .reply(StatusCode::CREATED)
        .header(LOCATION, &location))
}

/// `PRD-YYYYMMDD-XXXX`, the day in UTC.
fn code(at: DateTime<Utc>, random: Uuid) -> String {
    let [first, second, ..] = random.into_bytes();
    format!("PRD-{}-{first:02X}{second:02X}", at.format("%Y%m%d"))
}

// === impl Found ===

impl Facts<Draft> for Found {
    fn find_faults(&self, _: &Draft, faults: &mut Faults) {
        faults.reference(self.scenario_known, "scenario_id");
        faults.reference(self.operator_known, "operator_id");
    }

    /// Sixteen random codes out of 65,536 were all taken, or two runs took the same one at the same time.
    fn conflict(self, _: Draft) -> Problem {
        database::unavailable("no run code is free")
    }
}

// === impl Draft ===

impl Draft {
    pub fn read(form: &mut Form<'_>, caller: Caller) -> Self {
        let scenario_id = form.uuid("scenario_id");
        Self {
            id: Uuid::now_v7(),
            codes: (0..CODES)
                .map(|_| code(Utc::now(), Uuid::new_v4()))
                .collect(),
            scenario_id: form.required("scenario_id", scenario_id),
            operator_id: form.uuid("operator_id").or(Some(caller.id)),
            daily_target_kg: form.decimal("daily_target_kg", TARGET),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_code_is_always_one(seconds in 0_i64..253_402_300_800, random: u128) {
            let at = DateTime::from_timestamp(seconds, 0).unwrap();
            let code = code(at, Uuid::from_u128(random));
            let parts: Vec<&str> = code.split('-').collect();
            prop_assert_eq!(parts.len(), 3);
            prop_assert_eq!(parts[0], "PRD");
            prop_assert_eq!(parts[1].len(), 8);
            prop_assert!(parts[1].bytes().all(|digit| digit.is_ascii_digit()));
            prop_assert_eq!(parts[2].len(), 4);
            prop_assert!(parts[2].bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F')));
        }
    }

    #[test]
    fn a_code_has_the_day_and_four_digits() {
        let at = DateTime::from_timestamp(1_768_456_800, 0).unwrap();
        assert_eq!(
            code(at, Uuid::from_u128(0x0abc << 112)),
            "PRD-20260115-0ABC"
        );
    }
}
