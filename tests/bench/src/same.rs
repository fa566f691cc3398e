//! Both systems give the same answers to the same requests: otherwise a ratio would compare different work.
//!
//! Compared are the status, the headers that a client acts on, and the whole body as JSON. What each request makes anew (ids, times,
//! the names of new lots) is masked, and has to be there all the same.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderName, HeaderValue, IF_NONE_MATCH};
use http::{Method, Request};
use http_body_util::Full;
use serde_json::{Value, json};

use crate::cases::{Case, Requests};
use crate::load::{Answer, Connection};
use crate::plant::{Data, User};
use crate::server::System;

const HEADERS: &[&str] = &[
    "allow",
    "cache-control",
    "content-type",
    "etag",
    "idempotency-replayed",
    "location",
    "retry-after",
    "www-authenticate",
    "x-required-roles",
];
/// Its value differs with each request. How a body's end is told (`content-length`, chunks) is the server's own matter.
const THERE: &[&str] = &["date"];
/// Fields of what a write has made.
const NEW: &[&str] = &["id", "created_at", "updated_at", "decided_at"];

/// So many requests of each case are asked, too.
const OF_EACH_CASE: u64 = 48;

/// What a client sees of an answer.
#[derive(Debug, PartialEq)]
struct Seen {
    status: u16,
    headers: BTreeMap<&'static str, String>,
    body: Value,
}

/// Asks both systems, who serve the same database; an error tells the first answer that differs. Gives the number of requests.
pub async fn check(
    data: &Arc<Data>,
    jwt_secret: &str,
    addresses: &BTreeMap<System, SocketAddr>,
    cases: &[Case],
) -> Result<usize> {
    let mut all: Vec<Vec<(String, Seen)>> = Vec::new();
    for (system, address) in addresses {
        // As long as the other's, since lengths are compared.
        let name = format!("CHECK-{:.6}", system.as_str());
        let asker = |user: User| {
            Requests::new(
                Arc::clone(data),
                *address,
                &user.token(jwt_secret)?,
                name.clone(),
            )
        };
        let requests = steps(&asker(User::Operator)?, &asker(User::Viewer)?, cases);
        let mut connection = Connection::open(*address).await?;
        let mut answers = Vec::new();
        for (step, request) in requests {
            let method = request.method().clone();
            let answer = connection
                .answer(request)
                .await
                .with_context(|| format!("{system}: {step}"))?;
            answers.push((step, Seen::of(answer, &method, &name)));
        }
        all.push(answers);
    }
    let [one, other] = all.as_slice() else {
        bail!("two systems can be compared, not {}", all.len());
    };
    for ((step, one), (_, other)) in one.iter().zip(other) {
        if one != other {
            bail!(
                "the answers differ, so there is nothing to compare: {step}\n{one:#?}\n{other:#?}"
            );
        }
    }
    Ok(one.len())
}

fn steps(
    operator: &Requests,
    viewer: &Requests,
    cases: &[Case],
) -> Vec<(String, Request<Full<Bytes>>)> {
    let mut steps = refusals(operator, viewer);
    for case in cases {
        for number in 0..OF_EACH_CASE {
            steps.push((format!("{case} {number}"), operator.request(*case, number)));
        }
    }
    steps
}

/// What the load doesn't ask: a server that left these out would have less to do.
fn refusals(operator: &Requests, viewer: &Requests) -> Vec<(String, Request<Full<Bytes>>)> {
    // Numbers that no load has come to when this is asked.
    let lot = |number: u64, change: &dyn Fn(&mut Value)| {
        let mut lot =
            json!({ "lot_code": format!("{}-{number}", operator.name()), "weight_kg": 1 });
        change(&mut lot);
        operator.post("/api/lots", 1_000_000 + number, &lot)
    };
    let known = operator.data.lots.first().map_or("", |code| code);
    let stock = operator.data.stock.first().map(|lot| lot.id);
    let goods = operator.data.goods.first().map(|lot| lot.id);
    let decision = |number: u64, decision: Value| {
        operator.post("/api/qc-decisions", 2_000_000 + number, &decision)
    };
    let by_id = format!("/api/lots/{}", stock.unwrap_or_default());

    let mut steps = vec![
        ("a lot by its id", operator.get(&by_id)),
        ("no such lot", operator.get("/api/lots/NONE")),
        (
            "a lot that the client has",
            with(operator.get(&by_id), IF_NONE_MATCH, "*"),
        ),
        (
            "a lot without a token",
            without(operator.get(&by_id), AUTHORIZATION),
        ),
        (
            "a lot with another's token",
            with(operator.get(&by_id), AUTHORIZATION, "Bearer a.b.c"),
        ),
        (
            "no such lot to trace",
            operator.get("/api/traceability/NONE"),
        ),
        ("a new lot", lot(1, &|_| ())),
        ("the same again", lot(1, &|_| ())),
        (
            "another with the same key",
            lot(1, &|lot| put(lot, "weight_kg", json!(2))),
        ),
        (
            "a code that is taken",
            lot(2, &|lot| put(lot, "lot_code", json!(known))),
        ),
        (
            "two faults",
            lot(3, &|lot| {
                put(lot, "weight_kg", json!(-1));
                put(lot, "lot_type", json!("NONE"));
            }),
        ),
        (
            "references to nothing",
            lot(4, &|lot| {
                put(
                    lot,
                    "production_run_id",
                    json!("00000000-0000-0000-0000-00000000ffff"),
                );
                put(
                    lot,
                    "parents",
                    json!([{ "lot_code": "NONE", "quantity_used_kg": 1 }]),
                );
            }),
        ),
        (
            "more than there is of a parent",
            lot(5, &|lot| {
                put(
                    lot,
                    "parents",
                    json!([{ "lot_code": known, "quantity_used_kg": 10000 }]),
                );
            }),
        ),
        (
            "for somebody else",
            lot(6, &|lot| {
                put(
                    lot,
                    "operator_id",
                    json!("00000000-0000-0000-0000-000000000001"),
                );
            }),
        ),
        ("no JSON", with(lot(7, &|_| ()), CONTENT_TYPE, "text/plain")),
        (
            "a viewer's lot",
            viewer.post("/api/lots", 3_000_000, &json!({ "lot_code": "VIEWED" })),
        ),
        (
            "a hold without a reason",
            decision(1, json!({ "lot_id": goods, "decision": "HOLD" })),
        ),
        (
            "a decision on no lot",
            decision(
                2,
                json!({ "lot_id": "00000000-0000-0000-0000-00000000ffff", "decision": "PASS" }),
            ),
        ),
    ];
    // A lot of one's own, found by its code.
    steps.push((
        "the new lot",
        operator.get(&format!("/api/lots/{}-1", operator.name())),
    ));
    steps
        .into_iter()
        .map(|(step, request)| (step.to_owned(), request))
        .collect()
}

fn put(lot: &mut Value, field: &str, value: Value) {
    if let Some(fields) = lot.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
}

fn with(
    mut request: Request<Full<Bytes>>,
    name: HeaderName,
    value: &'static str,
) -> Request<Full<Bytes>> {
    request
        .headers_mut()
        .insert(name, HeaderValue::from_static(value));
    request
}

fn without(mut request: Request<Full<Bytes>>, name: HeaderName) -> Request<Full<Bytes>> {
    request.headers_mut().remove(name);
    request
}

// === impl Seen ===

impl Seen {
    /// `name` is what the asker's new lots are named after.
    fn of(answer: Answer, method: &Method, name: &str) -> Self {
        let text = String::from_utf8_lossy(&answer.body).replace(name, "NAME");
        let mut body = serde_json::from_str(&text).unwrap_or(Value::String(text.clone()));
        let is_new = method == Method::POST || text.contains("NAME");
        if is_new {
            mask(&mut body);
        }
        let value = |name: &str| {
            answer
                .headers
                .get(name)
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let mut headers = BTreeMap::new();
        for name in HEADERS {
            headers.extend(value(name).map(|value| (*name, value)));
        }
        for name in THERE {
            headers.extend(value(name).map(|_| (*name, "there".to_owned())));
        }
        for (name, value) in &mut headers {
            // It ends with the new lot's id, or is its time.
            if *name == "location" || (*name == "etag" && is_new) {
                *value = format!("{} characters", value.len());
            }
        }
        Self {
            status: answer.status.as_u16(),
            headers,
            body,
        }
    }
}

/// Texts that are new are as long as each other, and nothing else.
fn mask(body: &mut Value) {
    let Some(fields) = body.as_object_mut() else {
        return;
    };
    for name in NEW {
        if let Some(Value::String(text)) = fields.get_mut(*name) {
            *text = format!("{} characters", text.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderMap, StatusCode};

    fn seen(body: &'static str, method: &Method) -> Seen {
        let headers =
            HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
        let answer = Answer {
            status: StatusCode::OK,
            headers,
            body: Bytes::from_static(body.as_bytes()),
        };
        Seen::of(answer, method, "CHECK-1")
    }

    #[test]
    fn what_is_new_may_differ_and_nothing_else() {
        let of = |body| seen(body, &Method::POST);
        let one = of(r#"{"id":"a1","lot_code":"CHECK-1-7","weight_kg":"1.00"}"#);
        assert_eq!(
            one,
            of(r#"{"lot_code":"CHECK-1-7","id":"b2","weight_kg":"1.00"}"#)
        );
        assert_ne!(
            one,
            of(r#"{"id":"a1","lot_code":"CHECK-1-7","weight_kg":"2.00"}"#)
        );
        assert_ne!(
            one,
            of(r#"{"id":null,"lot_code":"CHECK-1-7","weight_kg":"1.00"}"#)
        );
    }

    #[test]
    fn what_is_read_must_be_the_very_same() {
        let of = |body| seen(body, &Method::GET);
        assert_ne!(of(r#"{"id":"a1"}"#), of(r#"{"id":"b2"}"#));
    }
}
