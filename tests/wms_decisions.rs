//! A decision is recorded for ever, by whoever may take it, and says what HACCP wants to know: which lot and gate, why not, how cold. The
//! lot's status follows from the newest one of each gate.

use anyhow::Result;
use flowviz_tests::{Reply, User, Wms};
use futures::future::join_all;
use serde_json::{Value, json};

const NOWHERE: &str = "00000000-0000-0000-0000-00000000dead";
const ADMIN: &str = "00000000-0000-0000-0000-000000000001";
const WHY: &str = "the door was open";

/// The id of a gate, by ten times its number.
fn gate(tenfold: u32) -> String {
    format!("00000000-0000-4000-a002-{tenfold:012}")
}

#[tokio::test]
async fn a_decision_says_all_that_it_must() -> Result<()> {
    let wms = Wms::start().await?;
    let operator = User::login(&wms, "operator").await?;
    let manager = User::login(&wms, "manager").await?;
    let auditor = User::login(&wms, "auditor").await?;
    let admin = User::login(&wms, "admin").await?;
    let viewer = User::login(&wms, "viewer").await?;
    let lot = operator.lot(json!({ "lot_code": "FRZ-1" })).await?;
    let decide = async |who: &User<'_>, more: Value| -> Result<Reply> {
        let mut body = json!({ "lot_id": lot, "decision": "PASS" });
        for (field, value) in more.as_object().into_iter().flatten() {
            body[field] = value.clone();
        }
        who.post("/api/qc-decisions", body).await
    };

    // All the faults at once, the references among them.
    for (body, faults) in [
        (
            json!({}),
            vec!["body.decision missing", "body.lot_id missing"],
        ),
        (
            json!({ "lot_id": NOWHERE, "qc_gate_id": NOWHERE, "decision": "pass", "temperature_c": -50.06, "notes": "n".repeat(1001) }),
            vec![
                "body.decision enum",
                "body.lot_id unknown_reference",
                "body.notes string_too_long",
                "body.qc_gate_id unknown_reference",
                "body.temperature_c greater_than_equal",
            ],
        ),
        (
            json!({ "lot_id": "FRZ-1", "qc_gate_id": 7, "decision": "FAIL", "temperature_c": 100.06, "notes": "bad", "digital_signature": "s".repeat(4097) }),
            vec![
                "body.digital_signature string_too_long",
                "body.lot_id uuid_parsing",
                "body.notes value_error",
                "body.qc_gate_id string_type",
                "body.temperature_c less_than_equal",
            ],
        ),
        (
            json!({ "lot_id": lot, "qc_gate_id": gate(70), "decision": "HOLD" }),
            vec!["body.notes value_error", "body.temperature_c missing"],
        ),
    ] {
        let refused = operator.post("/api/qc-decisions", body).await?;
        refused.is_problem(422, "validation");
        assert_eq!(refused.faults(), faults);
    }
    let unknown = decide(&manager, json!({ "operator_id": NOWHERE })).await?;
    assert_eq!(unknown.faults(), ["body.operator_id unknown_reference"]);

    // Who may, and for whom.
    let refused = decide(&viewer, json!({ "decision": 1 })).await?;
    refused.is_problem(403, "forbidden");
    assert_eq!(
        refused.header("x-required-roles"),
        "ADMIN, MANAGER, AUDITOR, OPERATOR"
    );
    for who in [&operator, &auditor] {
        let refused = decide(who, json!({ "operator_id": ADMIN, "decision": "pass" })).await?;
        refused.is_problem(403, "forbidden");
        assert_eq!(refused.header("x-required-roles"), "ADMIN, MANAGER");
    }
    for who in [&manager, &admin] {
        let decided = decide(who, json!({ "operator_id": ADMIN })).await?;
        assert_eq!(decided.is(201).body["operator_id"], ADMIN);
    }

    // The longest there are, and the shortest reason: ten characters, blanks around them not counted.
    let (notes, signature) = ("ő".repeat(1000), "🥙".repeat(4096));
    let longest = json!({ "decision": "FAIL", "notes": notes, "digital_signature": signature });
    let decided = decide(&auditor, longest).await?;
    assert_eq!(
        (
            &decided.is(201).body["notes"],
            &decided.body["digital_signature"]
        ),
        (&json!(notes), &json!(signature))
    );
    for (notes, status) in [
        ("123456789", 422),
        ("  123456789 \n", 422),
        ("1234567890", 201),
        (" 1234567890\t", 201),
    ] {
        for decision in ["HOLD", "FAIL"] {
            let decision = json!({ "decision": decision, "notes": notes });
            decide(&operator, decision).await?.is(status);
        }
    }
    let silent = decide(
        &operator,
        json!({ "notes": " ", "temperature_c": "-18.25" }),
    )
    .await?;
    assert_eq!(
        (&silent.is(201).body["notes"], &silent.body["temperature_c"]),
        (&Value::Null, &json!("-18.2"))
    );

    // A limit is a limit only at a critical control point; a measurement is judged as it is stored, to a tenth of a degree.
    let receipt = json!({ "qc_gate_id": gate(10), "temperature_c": 9.9 });
    decide(&operator, receipt).await?.is(201);
    decide(&operator, json!({ "qc_gate_id": gate(10) }))
        .await?
        .is(201);
    for (celsius, status) in [
        ("-18", 201),
        ("-18.04", 201),
        ("-17.95", 201),
        ("-50", 201),
        ("-17.94", 409),
        ("-17.9", 409),
        ("0", 409),
    ] {
        let freeze = json!({ "qc_gate_id": gate(70), "temperature_c": celsius });
        let decided = decide(&operator, freeze).await?;
        decided.is(status);
        if status == 409 {
            decided.is_problem(409, "ccp-limit-exceeded");
            assert!(decided.body["detail"].to_string().contains("at most -18.0"));
        }
    }
    // To hold or to fail what is too warm is right. To pass it is a manager's, with notes.
    let warm = |decision: &str| json!({ "qc_gate_id": gate(70), "temperature_c": -3, "decision": decision, "notes": WHY });
    for decision in ["HOLD", "FAIL"] {
        decide(&operator, warm(decision)).await?.is(201);
    }
    for who in [&operator, &auditor] {
        decide(who, warm("PASS"))
            .await?
            .is_problem(409, "ccp-limit-exceeded");
    }
    let mut overrides = Vec::new();
    for who in [&manager, &admin] {
        let decided = decide(who, warm("PASS")).await?;
        overrides.push(decided.is(201).body["id"].clone());
    }
    // A manager's PASS within the limits overrides nothing.
    let cold = json!({ "qc_gate_id": gate(70), "temperature_c": -20, "notes": WHY });
    decide(&manager, cold).await?.is(201);
    let (events, _) = auditor
        .pages("/api/audit-events?entity=qc_decision")
        .await?;
    let of = |action: &str| -> Vec<Value> {
        let events = events
            .iter()
            .rev()
            .filter(|event| event["action"] == action);
        events.map(|event| event["entity_id"].clone()).collect()
    };
    assert_eq!(of("decision.overridden"), overrides);
    let metrics = wms.host.metrics().await?;
    let counted = metrics.get(r#"flowviz_ccp_overrides_total{gate_number="7"}"#);
    assert_eq!(counted, Some(overrides.len() as f64));
    let (decisions, _) = operator.pages("/api/qc-decisions?limit=7").await?;
    assert_eq!(
        of("decision.recorded").len(),
        decisions.len() - overrides.len()
    );
    Ok(())
}

#[tokio::test]
async fn the_newest_decision_of_each_gate_makes_the_status() -> Result<()> {
    let wms = Wms::start().await?;
    let operator = User::login(&wms, "operator").await?;
    let lot = operator.lot(json!({ "lot_code": "MIX-1" })).await?;
    let path = format!("/api/lots/{lot}");
    let decide = |gate: Option<u32>, decision: &str| {
        let gate = gate.map(self::gate);
        let body = json!({ "lot_id": lot, "qc_gate_id": gate, "decision": decision, "notes": WHY });
        operator.post("/api/qc-decisions", body)
    };
    for (gate, decision, status) in [
        (Some(10), "PASS", "RELEASED"),
        (Some(30), "HOLD", "ON_HOLD"),
        (Some(10), "PASS", "ON_HOLD"),
        (Some(50), "FAIL", "REJECTED"),
        (Some(30), "PASS", "REJECTED"),
        (None, "HOLD", "REJECTED"),
        (Some(50), "PASS", "ON_HOLD"),
        (Some(65), "FAIL", "REJECTED"),
        (None, "PASS", "REJECTED"),
        (Some(65), "HOLD", "ON_HOLD"),
        (Some(65), "PASS", "RELEASED"),
    ] {
        decide(gate, decision).await?.is(201);
        let found = operator.get(&path).await?;
        assert_eq!(found.body["status"], status, "{gate:?} {decision}");
        let listed = operator.get(&format!("/api/lots?status={status}")).await?;
        assert!(listed.list("id").contains(&&*lot), "{status}");
    }

    // Many at once: the status is what the decisions say, whichever was last.
    for _ in 0..3 {
        let verdicts = ["PASS", "HOLD", "FAIL"].into_iter().cycle().take(12);
        for decided in join_all(verdicts.map(|verdict| decide(Some(40), verdict))).await {
            decided?.is(201);
        }
        let newest = operator
            .get(&format!(
                "/api/qc-decisions?lot_id={lot}&gate_number=4&limit=1"
            ))
            .await?;
        let expected = match newest.list("decision")[..] {
            ["PASS"] => "RELEASED",
            ["HOLD"] => "ON_HOLD",
            _ => "REJECTED",
        };
        assert_eq!(operator.get(&path).await?.body["status"], expected);
    }
    Ok(())
}
