//! A lot is linked to what really went into it: never to itself, never in a circle, not twice, not to what was rejected, and to no more
//! than there is, with the lot named by its id or by its code.

use anyhow::{Context, Result};
use flowviz_tests::{User, Wms, segment};
use futures::future::join_all;
use serde_json::{Value, json};

const NOWHERE: &str = "00000000-0000-0000-0000-00000000dead";

fn parents(lot: &str) -> String {
    format!("/api/lots/{}/parents", segment(lot))
}

fn link(parent: &str, kg: impl Into<Value>) -> Value {
    json!({ "parent_lot_id": parent, "quantity_used_kg": kg.into() })
}

#[tokio::test]
async fn the_rules_of_links_hold() -> Result<()> {
    let wms = Wms::start().await?;
    let operator = User::login(&wms, "operator").await?;
    let lot = |code: &str| operator.lot(json!({ "lot_code": code, "weight_kg": 100 }));
    let (raw, mix, fg) = (lot("RAW/1").await?, lot("MIX 1").await?, lot("FG-1").await?);

    // By code and by id.
    let made = operator
        .post(&parents("MIX 1"), link(&raw, "60.005"))
        .await?;
    let first = made.is(201).body.clone();
    assert_eq!(first["parent_lot_id"], raw.as_str());
    assert_eq!(first["child_lot_id"], mix.as_str());
    assert_eq!(first["quantity_used_kg"], "60.00");
    let fields: Vec<&String> = first.as_object().context("a link")?.keys().collect();
    assert_eq!(
        fields,
        [
            "child_lot_id",
            "id",
            "linked_at",
            "parent_lot_id",
            "quantity_used_kg"
        ]
    );
    let second = operator
        .post(&parents(&fg), link(&mix, 10))
        .await?
        .is(201)
        .body
        .clone();

    // What a link must be.
    for (body, faults) in [
        (
            json!({}),
            vec![
                "body.parent_lot_id missing",
                "body.quantity_used_kg missing",
            ],
        ),
        (
            json!({ "parent_lot_id": "RAW/1", "quantity_used_kg": "a lot" }),
            vec![
                "body.parent_lot_id uuid_parsing",
                "body.quantity_used_kg decimal_parsing",
            ],
        ),
        (
            link(NOWHERE, 0),
            vec![
                "body.parent_lot_id unknown_reference",
                "body.quantity_used_kg greater_than_equal",
            ],
        ),
        (
            link(&raw, -1),
            vec!["body.quantity_used_kg greater_than_equal"],
        ),
        (
            link(&raw, 0.004),
            vec!["body.quantity_used_kg greater_than_equal"],
        ),
        (
            link(&raw, 10000.01),
            vec!["body.quantity_used_kg less_than_equal"],
        ),
        (
            link(NOWHERE, 1),
            vec!["body.parent_lot_id unknown_reference"],
        ),
    ] {
        // Also where the lot itself is unknown.
        for child in ["MIX 1", "NO-SUCH-LOT"] {
            let refused = operator.post(&parents(child), body.clone()).await?;
            refused.is_problem(422, "validation");
            assert_eq!(refused.faults(), faults);
        }
    }
    for child in [NOWHERE, "NO-SUCH-LOT"] {
        let refused = operator.post(&parents(child), link(&raw, 1)).await?;
        refused.is_problem(404, "lot-not-found");
        operator
            .get(&parents(child))
            .await?
            .is_problem(404, "lot-not-found");
    }

    // Each rule has its own name.
    for child in ["MIX 1", mix.as_str()] {
        let itself = operator.post(&parents(child), link(&mix, 1)).await?;
        itself.is_problem(409, "link-to-itself");
        let twice = operator.post(&parents(child), link(&raw, 1)).await?;
        twice.is_problem(409, "link-duplicate");
        // FG-1 is made of MIX 1, so it can't go into it; RAW/1 is two steps up.
        let circle = operator.post(&parents(child), link(&fg, 1)).await?;
        circle.is_problem(409, "link-cycle");
    }
    let circle = operator.post(&parents("RAW/1"), link(&fg, 1)).await?;
    circle.is_problem(409, "link-cycle");

    // 40 kg are left of RAW/1, and the tolerance is 0.5 % of 100 kg.
    lot("MIX 2").await?;
    let too_much = operator
        .post(&parents("MIX 2"), link(&raw, "40.51"))
        .await?;
    too_much.is_problem(409, "parent-overdrawn");
    let left = too_much.body["detail"].as_str().unwrap_or_default();
    assert!(left.contains("40.00 kg left"), "{left}");
    let third = operator
        .post(&parents("MIX 2"), link(&raw, "40.50"))
        .await?
        .is(201)
        .body
        .clone();
    // Of little, 0.05 kg are: the larger of the two.
    let little = json!({ "lot_code": "SAFFRON", "weight_kg": "1.00" });
    let little = operator.lot(little).await?;
    let too_much = operator
        .post(&parents("MIX 2"), link(&little, "1.06"))
        .await?;
    too_much.is_problem(409, "parent-overdrawn");
    operator
        .post(&parents("MIX 2"), link(&little, "1.05"))
        .await?
        .is(201);
    // What was never weighed has no limit.
    let unweighed = operator.lot(json!({ "lot_code": "WATER" })).await?;
    operator
        .post(&parents("MIX 2"), link(&unweighed, 9000))
        .await?
        .is(201);

    // Rejected is not used; held is, until somebody decides; and what was used before stays.
    let decide = |decision: &str| {
        let body = json!({ "lot_id": mix, "decision": decision, "notes": "smells of diesel" });
        operator.post("/api/qc-decisions", body)
    };
    lot("FG-2").await?;
    decide("FAIL").await?.is(201);
    let refused = operator.post(&parents("FG-2"), link(&mix, 1)).await?;
    refused.is_problem(409, "parent-rejected");
    decide("HOLD").await?.is(201);
    operator
        .post(&parents("FG-2"), link(&mix, 1))
        .await?
        .is(201);

    // Registration keeps the same rules, with every parent or none.
    let register = |code: &str, parents: Value| {
        operator.post("/api/lots", json!({ "lot_code": code, "parents": parents }))
    };
    let by_id = |id: &str| json!({ "lot_id": id, "quantity_used_kg": 1 });
    let by_code = |code: &str| json!({ "lot_code": code, "quantity_used_kg": 1 });
    let twice = register("N-1", json!([by_id(&fg), by_code("FG-1")])).await?;
    twice.is_problem(409, "link-duplicate");
    let itself = register("N-1", json!([by_code("FG-1"), by_code("N-1")])).await?;
    itself.is_problem(409, "link-to-itself");
    let unknown = json!([by_id(NOWHERE), by_code("NOBODY"), {}, { "lot_id": fg, "lot_code": "FG-1", "quantity_used_kg": 0 }, 7]);
    let unknown = register("N-1", unknown).await?;
    unknown.is_problem(422, "validation");
    assert_eq!(
        unknown.faults(),
        [
            "body.parents.0.lot_id unknown_reference",
            "body.parents.1.lot_code unknown_reference",
            "body.parents.2.lot_id missing",
            "body.parents.2.quantity_used_kg missing",
            "body.parents.3.lot_code value_error",
            "body.parents.3.quantity_used_kg greater_than_equal",
            "body.parents.4 dict_type",
        ]
    );
    let many: Vec<Value> = (0..501).map(|_| by_code("FG-1")).collect();
    assert_eq!(
        register("N-1", json!(many)).await?.faults(),
        ["body.parents too_long"]
    );
    operator
        .get("/api/lots/N-1")
        .await?
        .is_problem(404, "lot-not-found");

    // The list: what went into it, newest first; to everybody.
    let viewer = User::login(&wms, "viewer").await?;
    assert_eq!(
        viewer.get(&parents("MIX 1")).await?.is(200).body,
        json!([first])
    );
    assert_eq!(
        viewer.get(&parents(&fg)).await?.is(200).body,
        json!([second])
    );
    let listed = viewer.get(&parents("MIX 2")).await?;
    assert_eq!(
        listed.is(200).list("parent_lot_id"),
        [&unweighed, &little, &raw]
    );
    assert_eq!(listed.body[2], third);
    assert_eq!(viewer.get(&parents("RAW/1")).await?.is(200).body, json!([]));
    for other in [&viewer, &User::login(&wms, "auditor").await?] {
        let refused = other.post(&parents("NOBODY"), json!({})).await?;
        refused.is_problem(403, "forbidden");
        assert_eq!(
            refused.header("x-required-roles"),
            "ADMIN, MANAGER, OPERATOR"
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_rules_hold_for_many_at_once() -> Result<()> {
    let wms = Wms::start().await?;
    let operator = User::login(&wms, "operator").await?;

    // Ten want 20 kg each out of 100.
    let raw = operator
        .lot(json!({ "lot_code": "RAW", "weight_kg": 100 }))
        .await?;
    let taken = (0..10).map(async |n: i32| {
        let parents = json!([{ "lot_id": raw, "quantity_used_kg": 20 }]);
        let lot = json!({ "lot_code": format!("MIX-{n}"), "parents": parents });
        operator.post("/api/lots", lot).await
    });
    let mut got = 0;
    for answer in join_all(taken).await {
        let answer = answer?;
        if answer.status == 201 {
            got += 1;
        } else {
            answer.is_problem(409, "parent-overdrawn");
        }
    }
    assert_eq!(got, 5);

    // Ten the same code, ten the same link.
    let same = (0..10).map(|_| operator.post("/api/lots", json!({ "lot_code": "SAME" })));
    let mut made = Vec::new();
    for answer in join_all(same).await {
        let answer = answer?;
        if answer.status == 201 {
            made.push(answer.body["id"].clone());
        } else {
            answer.is_problem(409, "lot-code-taken");
        }
    }
    assert_eq!(made.len(), 1);
    let other = operator.lot(json!({ "lot_code": "OTHER" })).await?;
    let path = parents("SAME");
    let same = (0..10).map(|_| operator.post(&path, link(&other, 1)));
    let mut made = 0;
    for answer in join_all(same).await {
        let answer = answer?;
        if answer.status == 201 {
            made += 1;
        } else {
            answer.is_problem(409, "link-duplicate");
        }
    }
    assert_eq!(made, 1);

    // A ring of ten, each link by somebody else: it never closes.
    let mut ring = Vec::new();
    for n in 0..10 {
        ring.push(
            operator
                .lot(json!({ "lot_code": format!("RING-{n}") }))
                .await?,
        );
    }
    let links = (0..10).map(async |n: usize| {
        let child = parents(&ring[(n + 1) % 10]);
        operator.post(&child, link(&ring[n], 1)).await
    });
    let mut closed = 0;
    for answer in join_all(links).await {
        let answer = answer?;
        if answer.status != 201 {
            answer.is_problem(409, "link-cycle");
            closed += 1;
        }
    }
    assert_eq!(closed, 1);

    // Used and rejected at the same time: whichever came first, a rejected lot is used no more.
    for n in 0..5 {
        let bad = operator
            .lot(json!({ "lot_code": format!("BAD-{n}") }))
            .await?;
        let parents = json!([{ "lot_id": bad, "quantity_used_kg": 1 }]);
        let using = operator.post(
            "/api/lots",
            json!({ "lot_code": format!("OF-{n}"), "parents": parents }),
        );
        let fail = json!({ "lot_id": bad, "decision": "FAIL", "notes": "glass in the box" });
        let (used, failed) = tokio::join!(using, operator.post("/api/qc-decisions", fail));
        failed?.is(201);
        let used = used?;
        if used.status != 201 {
            used.is_problem(409, "parent-rejected");
        }
        assert_eq!(
            operator.get(&format!("/api/lots/{bad}")).await?.body["status"],
            "REJECTED"
        );
    }
    Ok(())
}
