//! A lot changes only as its rules allow, and nobody overwrites what they haven't seen: what is given changes, the rest stays, and the
//! ETag tells one state from another.

use anyhow::{Context, Result};
use flowviz_tests::{Reply, User, Wms, segment};
use futures::future::{join_all, try_join_all};
use reqwest::Method;
use serde_json::{Value, json};

const PHASE: &str = "00000000-0000-4000-a003-000000000001";
const ROLE: &str = "/api/users/00000000-0000-0000-0000-000000000005/role";
const WRITERS: usize = 60;
const NOWHERE: &str = "00000000-0000-0000-0000-00000000dead";

#[tokio::test]
async fn what_is_given_changes_and_the_rest_stays() -> Result<()> {
    let wms = Wms::start().await?;
    let operator = User::login(&wms, "operator").await?;
    let code = "RAW/1 ő%";
    let lot = json!({ "lot_code": code, "lot_type": "RAW", "weight_kg": 100, "temperature_c": 3, "metadata": { "supplier": "A" } });
    let id = operator.lot(lot).await?;
    let (by_id, by_code) = (
        format!("/api/lots/{id}"),
        format!("/api/lots/{}", segment(code)),
    );
    let before = operator.get(&by_code).await?.is(200).body.clone();

    // Field by field, by id and by code.
    let changes = [
        (
            json!({ "weight_kg": "90.255" }),
            "weight_kg",
            json!("90.26"),
        ),
        (
            json!({ "temperature_c": -1.25 }),
            "temperature_c",
            json!("-1.2"),
        ),
        (json!({ "phase_id": PHASE }), "phase_id", json!(PHASE)),
        (
            json!({ "metadata": { "b": 1 } }),
            "metadata",
            json!({ "b": 1 }),
        ),
        (json!({ "weight_kg": null }), "weight_kg", Value::Null),
        (
            json!({ "temperature_c": null }),
            "temperature_c",
            Value::Null,
        ),
        (json!({ "phase_id": null }), "phase_id", Value::Null),
        (json!({ "metadata": null }), "metadata", json!({})),
    ];
    let mut expected = before.clone();
    for (place, (change, field, value)) in changes.into_iter().enumerate() {
        let path = if place % 2 == 0 { &by_id } else { &by_code };
        let changed = operator.patch(path, change).await?;
        expected[field] = value;
        let updated = &changed.is(200).body["updated_at"];
        assert!(
            updated.as_str() > expected["updated_at"].as_str(),
            "{field}"
        );
        expected["updated_at"] = updated.clone();
        assert_eq!(changed.body, expected, "{field}");
        let found = operator.get(&by_id).await?;
        assert_eq!(found.body, expected, "{field}");
        assert_eq!(found.header("etag"), changed.header("etag"), "{field}");
    }

    // What can't be changed is ignored, as every unknown field; a change to what is there already is none.
    let others = json!({ "lot_code": "X", "lot_type": "FG", "status": "RELEASED", "operator_id": NOWHERE, "created_at": null, "id": NOWHERE });
    for change in [
        others,
        json!({}),
        json!({ "weight_kg": null, "metadata": {} }),
    ] {
        let unchanged = operator.patch(&by_id, change).await?;
        assert_eq!(unchanged.is(200).body, expected);
    }

    // All the faults at once.
    let body =
        json!({ "weight_kg": 10000.01, "temperature_c": "cold", "phase_id": "x", "metadata": [] });
    let refused = operator.patch(&by_id, body).await?;
    refused.is_problem(422, "validation");
    assert_eq!(
        refused.faults(),
        [
            "body.metadata dict_type",
            "body.phase_id uuid_parsing",
            "body.temperature_c decimal_parsing",
            "body.weight_kg less_than_equal",
        ]
    );
    let long = json!({ "phase_id": NOWHERE, "metadata": { "a": "x".repeat(16 * 1024) } });
    let refused = operator.patch(&by_id, long).await?;
    assert_eq!(
        refused.faults(),
        ["body.metadata too_long", "body.phase_id unknown_reference"]
    );
    let longest = 16 * 1024 - r#"{"a": ""}"#.len();
    for (length, status) in [(longest, 200), (longest + 1, 422)] {
        let metadata = json!({ "metadata": { "a": "x".repeat(length) } });
        operator.patch(&by_id, metadata).await?.is(status);
    }
    // Where there is no such lot, the faults still come first.
    let nowhere = format!("/api/lots/{NOWHERE}");
    let refused = operator.patch(&nowhere, json!({ "weight_kg": -1 })).await?;
    refused.is_problem(422, "validation");
    for path in [
        &nowhere,
        "/api/lots/NO-SUCH-LOT",
        "/api/lots/%FF",
        "/api/lots/%00",
    ] {
        let refused = operator.patch(path, json!({})).await?;
        refused.is_problem(404, "lot-not-found");
    }

    // A lot weighs at least what went out of it, with the tolerance of a link: 0.5 % or 0.05 kg.
    let scale = operator
        .lot(json!({ "lot_code": "SCALE", "weight_kg": 200 }))
        .await?;
    let scale = format!("/api/lots/{scale}");
    let parents = json!([{ "lot_code": "SCALE", "quantity_used_kg": "100.50" }]);
    operator
        .lot(json!({ "lot_code": "CHILD", "parents": parents }))
        .await?;
    let weigh = |kg: &str| operator.patch(&scale, json!({ "weight_kg": kg }));
    let refused = weigh("99.99").await?;
    refused.is_problem(409, "parent-overdrawn");
    assert!(refused.body["detail"].to_string().contains("SCALE"));
    assert_eq!(operator.get(&scale).await?.body["weight_kg"], "200.00");
    assert_eq!(weigh("100.00").await?.is(200).body["weight_kg"], "100.00");
    weigh("0").await?.is_problem(409, "parent-overdrawn");
    assert_eq!(
        operator
            .patch(&scale, json!({ "weight_kg": null }))
            .await?
            .is(200)
            .body["weight_kg"],
        Value::Null
    );

    // Who may, and how.
    for other in ["auditor", "viewer"] {
        let other = User::login(&wms, other).await?;
        let refused = other.patch(&by_id, json!({ "weight_kg": -1 })).await?;
        refused.is_problem(403, "forbidden");
        assert_eq!(
            refused.header("x-required-roles"),
            "ADMIN, MANAGER, OPERATOR"
        );
    }
    for (method, path) in [
        (Method::DELETE, by_id.clone()),
        (Method::PUT, by_id.clone()),
        (Method::PATCH, format!("{by_id}/parents")),
        (Method::DELETE, "/api/qc-decisions".to_owned()),
        (Method::PATCH, "/api/qc-decisions".to_owned()),
        (Method::POST, "/api/audit-events".to_owned()),
    ] {
        let refused = operator.ask(method.clone(), &path, Some(json!({}))).await?;
        refused.is_problem(405, "method-not-allowed");
        let allow: Vec<&str> = refused.header("allow").split(", ").collect();
        assert!(allow.contains(&"GET") && !allow.contains(&method.as_str()));
    }
    Ok(())
}

#[tokio::test]
async fn nobody_overwrites_what_they_have_not_seen() -> Result<()> {
    let wms = Wms::start().await?;
    let operator = User::login(&wms, "operator").await?;
    let id = operator
        .lot(json!({ "lot_code": "RAW-1", "weight_kg": 100 }))
        .await?;
    let path = format!("/api/lots/{id}");
    let seen = operator.get(&path).await?.header("etag").to_owned();
    assert!(seen.starts_with('"') && seen.ends_with('"'), "{seen}");
    let weigh = |kg: i32, tags: &[&str]| {
        let mut request = operator.request(Method::PATCH, &path);
        for tag in tags {
            request = request.header("if-match", *tag);
        }
        Reply::to(request.json(&json!({ "weight_kg": kg })))
    };

    // Who has seen it, changes it; then it is another.
    let other = r#""2026-01-15T06:00:00.000000Z""#;
    let changed = weigh(99, &[&format!("{other}, {seen}")]).await?;
    assert_eq!(changed.is(200).body["weight_kg"], "99.00");
    let now = changed.header("etag").to_owned();
    assert_ne!(now, seen);
    let weak = format!("W/{now}");
    for stale in [&seen[..], other, "\"\"", "\"*\"", "", &weak, "\u{fd}"] {
        let refused = weigh(98, &[stale]).await?;
        refused.is_problem(412, "stale");
    }
    weigh(98, &[&seen, other]).await?.is_problem(412, "stale");
    assert_eq!(operator.get(&path).await?.header("etag"), now);
    // `*` is any state; one of several headers is enough; so is none.
    weigh(97, &["*"]).await?.is(200);
    let now = operator.get(&path).await?.header("etag").to_owned();
    weigh(96, &[other, &now]).await?.is(200);
    weigh(95, &[]).await?.is(200);
    // No such lot comes before its state; a fault of the body before both.
    let nowhere = operator
        .request(Method::PATCH, "/api/lots/NOBODY")
        .header("if-match", &now);
    let nowhere = Reply::to(nowhere.json(&json!({}))).await?;
    nowhere.is_problem(404, "lot-not-found");
    let faulty = operator
        .request(Method::PATCH, &path)
        .header("if-match", &now);
    let faulty = Reply::to(faulty.json(&json!({ "weight_kg": "x" }))).await?;
    faulty.is_problem(422, "validation");

    // A decision is a change of the lot, if its status changes.
    let now = operator.get(&path).await?.header("etag").to_owned();
    for (decision, status) in [("PASS", "RELEASED"), ("PASS", "RELEASED")] {
        let decision = json!({ "lot_id": id, "decision": decision });
        operator.post("/api/qc-decisions", decision).await?.is(201);
        assert_eq!(operator.get(&path).await?.body["status"], status);
    }
    weigh(94, &[&now]).await?.is_problem(412, "stale");

    // A client that has the lot already isn't sent it again.
    let current = operator.get(&path).await?.header("etag").to_owned();
    let get = |tag: &str| {
        let request = operator.request(Method::GET, &path);
        Reply::to(request.header("if-none-match", tag))
    };
    let (weak, several) = (format!("W/{current}"), format!("{other}, {current}"));
    for known in [&current[..], &weak, &several, "*"] {
        let same = get(known).await?;
        assert_eq!(same.status, 304, "{known}");
        assert_eq!(
            (same.header("etag"), &same.body),
            (&current[..], &Value::Null)
        );
    }
    for unknown in [&now[..], other, "", "\"*\""] {
        let other = get(unknown).await?;
        assert_eq!(other.is(200).header("etag"), current);
    }

    // Ten with the same state in hand: one of them changes it.
    for round in 0..5 {
        let seen = operator.get(&path).await?.header("etag").to_owned();
        let mine = [&seen[..]];
        let all = (0..10).map(|client| weigh(200 + 10 * round + client, &mine));
        let mut done = Vec::new();
        for answer in join_all(all).await {
            let answer = answer?;
            if answer.status == 200 {
                done.push(answer.body["weight_kg"].clone());
            } else {
                answer.is_problem(412, "stale");
            }
        }
        let now = operator.get(&path).await?;
        assert_eq!(done, [now.body["weight_kg"].clone()]);
    }

    // Ten who don't care: all are done, one after the other, and the trail tells each step.
    let all = (0..10).map(|client| weigh(300 + client, &[]));
    for answer in join_all(all).await {
        answer?.is(200);
    }
    let auditor = User::login(&wms, "auditor").await?;
    let (events, _) = auditor
        .pages(&format!("/api/audit-events?entity_id={id}"))
        .await?;
    let mut changes: Vec<&Value> = events
        .iter()
        .filter(|event| event["action"] == "lot.changed")
        .collect();
    assert_eq!(changes.len(), 4 + 5 + 10);
    changes.sort_by_key(|event| event["after"]["updated_at"].to_string());
    for pair in changes.windows(2) {
        let (earlier, later) = (&pair[0]["after"], &pair[1]["before"]);
        assert_eq!(earlier["weight_kg"], later["weight_kg"]);
    }
    let last = changes.last().context("a change")?;
    assert_eq!(last["after"], operator.get(&path).await?.body);
    Ok(())
}

/// Everybody writes about the same two lots and the same users at once: they wait in line, and nobody is sent away with a 503.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_who_write_about_one_lot_do_not_get_in_each_others_way() -> Result<()> {
    let wms = Wms::start().await?;
    let (admin, operator) = (
        User::login(&wms, "admin").await?,
        User::login(&wms, "operator").await?,
    );
    let busy = |code: &str| admin.lot(json!({ "lot_code": code, "weight_kg": 10_000 }));
    let (one, other) = (busy("ONE").await?, busy("OTHER").await?);
    let parents = [&one, &other].map(|id| json!({ "lot_id": id, "quantity_used_kg": 1 }));
    let roles = ["ADMIN", "VIEWER", "MANAGER"];
    let write = async |n: usize| -> Result<()> {
        let about = if n.is_multiple_of(2) { &one } else { &other };
        let path = format!("/api/lots/{about}");
        let lot = json!({ "lot_code": format!("MADE-{n}"), "parents": parents });
        let decision = json!({ "lot_id": about, "decision": "HOLD", "notes": "now and then" });
        let role = json!({ "role": roles[n % roles.len()] });
        let (changed, made, faulty, decided, promoted) = tokio::try_join!(
            admin.patch(&path, json!({ "temperature_c": n % 7 })),
            operator.post("/api/lots", lot),
            admin.patch(&path, json!({ "metadata": "no object" })),
            operator.post("/api/qc-decisions", decision),
            admin.put(ROLE, role),
        )?;
        changed.is(200);
        made.is(201);
        faulty.is(422);
        decided.is(201);
        promoted.is(200);
        Ok(())
    };
    let logins = (0..4).map(|_| wms.login("operator"));
    let writers = try_join_all((0..WRITERS).map(write));
    tokio::try_join!(writers, try_join_all(logins))?;
    Ok(())
}
