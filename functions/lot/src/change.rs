//! Changes a lot, if it is still the one that the client has seen.

use http::StatusCode;
use http::header::{ETAG, HeaderMap, IF_MATCH};
use serde::{Deserialize, Serialize};
use spin_sdk::http::Request;
use uuid::Uuid;
use wms::decimal::{Celsius, Kilograms};
use wms::lot::register::{REGISTER, TEMPERATURE, WEIGHT};
use wms::lot::{Lot, Named};
use wms::scalar::Object;
use wms::write::{Facts, Write, Written};
use wms::{Caller, Faults, Form, Kind, Outcome, Problem, Submission};

pub const CHANGE: Write = Write {
    route: "PATCH /api/lots/:id",
    roles: REGISTER.roles,
    statement: include_str!("change.sql"),
};

/// Which lot, and in which state.
#[derive(Debug, Default, Serialize)]
pub struct Target {
    #[serde(flatten)]
    lot: Named,
    /// The states that the client has seen; `None`: any will do.
    etags: Option<Vec<String>>,
}

/// A change to be, as the statement reads it.
#[derive(Debug, Default, Serialize)]
pub struct Draft {
    target: Target,
    /// The fields that are given. The others stay.
    given: Vec<&'static str>,
    phase_id: Option<Uuid>,
    weight_kg: Option<Kilograms>,
    temperature_c: Option<Celsius>,
    metadata: Object,
}

/// What the statement found.
#[derive(Debug, Deserialize)]
struct Found {
    lot_known: bool,
    phase_known: bool,
    metadata_fits: bool,
}

pub async fn change(request: Request) -> Outcome {
    let caller = Caller::of(request.headers()).await?;
    let target = Target::of(request.uri().path(), request.headers());
    let submission = Submission::read(request, caller, CHANGE.route, |form| {
        Draft::read(form, target)
    })
    .await;
    let written: Written<Lot, Found> = CHANGE.run(caller, submission, None).await?;
    Ok(written
        .reply(StatusCode::OK)
        .header(ETAG, &written.document.etag()))
}

// === impl Found ===

impl Facts<Draft> for Found {
    fn find_faults(&self, _: &Draft, faults: &mut Faults) {
        faults.reference(self.phase_known, "phase_id");
        faults.metadata(self.metadata_fits);
    }

    fn conflict(self, _: Draft) -> Problem {
        if self.lot_known {
            Kind::Stale.because(
                "The lot has changed since; get it again, and see whether the change still fits.",
            )
        } else {
            Named::not_found()
        }
    }
}

// === impl Target ===

impl Target {
    fn of(path: &str, headers: &HeaderMap) -> Self {
        let tags: Vec<String> = headers
            .get_all(IF_MATCH)
            .iter()
            // Bytes that are no text are no tag of ours, and still a condition that isn't met.
            .flat_map(|value| value.to_str().unwrap_or_default().split(','))
            .map(|tag| tag.trim().to_owned())
            .collect();
        let any = tags.is_empty() || tags.iter().any(|tag| tag == "*");
        let bare = |tag: String| tag.trim_matches('"').to_owned();
        Self {
            lot: Named::of(path),
            etags: (!any).then(|| tags.into_iter().map(bare).collect()),
        }
    }
}

// === impl Draft ===

impl Draft {
    pub fn read(form: &mut Form<'_>, target: Target) -> Self {
        let fields = ["phase_id", "weight_kg", "temperature_c", "metadata"];
        Self {
            target,
            given: fields.into_iter().filter(|field| form.has(field)).collect(),
            phase_id: form.uuid("phase_id"),
            weight_kg: form.decimal("weight_kg", WEIGHT),
            temperature_c: form.decimal("temperature_c", TEMPERATURE),
            metadata: form.object("metadata").unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn etags(value: &'static str) -> Option<Vec<String>> {
        let headers = HeaderMap::from_iter([(IF_MATCH, HeaderValue::from_static(value))]);
        Target::of("/api/lots/A", &headers).etags
    }

    #[test]
    fn without_a_condition_any_state_will_do() {
        assert_eq!(Target::of("/api/lots/A", &HeaderMap::new()).etags, None);
        assert_eq!(etags("*"), None);
        assert_eq!(etags("\"*\""), Some(vec!["*".to_owned()]));
        assert_eq!(
            etags("\"a\", \"b\""),
            Some(vec!["a".to_owned(), "b".to_owned()])
        );
        // A weak tag matches nothing here, and an empty condition neither.
        assert_eq!(etags("W/\"a\""), Some(vec!["W/\"a".to_owned()]));
        assert_eq!(etags(""), Some(vec![String::new()]));
    }

    #[test]
    fn null_unsets_and_absence_keeps() {
        let mut faults = Faults::default();
        let body = br#"{"weight_kg":null,"metadata":{"a":1},"lot_code":"other"}"#;
        let draft = Draft::read(
            &mut Form::over(body, &mut faults).unwrap(),
            Target::default(),
        );
        assert!(faults.is_empty());
        assert_eq!(draft.given, ["weight_kg", "metadata"]);
        assert_eq!(draft.weight_kg, None);
    }
}
