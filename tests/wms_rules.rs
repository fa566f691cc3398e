//! What the WMS stores keeps its rules: decimals and bounds, links and their mass, decisions and the status that follows from them.

use anyhow::{Context, Result};
use flowviz_tests::{Reply, User, Wms};
use reqwest::StatusCode;
use serde_json::{Value, json};

#[tokio::test]
async fn metadata_is_bounded_as_it_is_stored() -> Result<()> {
    let wms = Wms::start().await?;
    let operator = User::login(&wms, "operator").await?;
    let register = |code: &str, metadata: String| {
        // Written by hand: a number must reach the function as `1e308`.
        let body = format!(r#"{{"lot_code":"{code}","metadata":{metadata}}}"#);
        Reply::to(
            wms.http
                .post(wms.host.url("/api/lots"))
                .bearer_auth(&operator.token)
                .header("content-type", "application/json")
                .body(body),
        )
    };
    let text = |text: String| format!(r#"{{"a":"{text}"}}"#);
    // As jsonb writes it: `{"a": "..."}`.
    let longest = 16 * 1024 - r#"{"a": ""}"#.len();
    let full = register("FULL", text("x".repeat(longest))).await?;
    assert_eq!(full.status, StatusCode::CREATED, "{}", full.body);
    for (code, metadata) in [
        ("ONE-MORE", text("x".repeat(longest + 1))),
        ("LONG", text("x".repeat(255_000))),
        ("WIDE", text("é".repeat(9_000))),
        // 13 MB once the numbers are written out.
        (
            "NUMBERS",
            format!(r#"{{"a":[{}1]}}"#, "1e308,".repeat(42_000)),
        ),
    ] {
        let answer = register(code, metadata).await?;
        answer.is_problem(422, "validation");
        assert_eq!(answer.faults(), ["body.metadata too_long"], "{code}");
        assert!(answer.body["detail"].to_string().contains("16 KiB"));
        operator
            .get(&format!("/api/lots/{code}"))
            .await?
            .is_problem(404, "lot-not-found");
    }

    // Together with what else is wrong.
    let nowhere = "00000000-0000-0000-0000-00000000dead";
    let metadata = json!({ "a": "x".repeat(20_000) });
    let answer = operator
        .post(
            "/api/lots",
            json!({ "lot_code": "", "phase_id": nowhere, "metadata": metadata }),
        )
        .await?;
    assert_eq!(
        answer.faults(),
        [
            "body.lot_code string_too_short",
            "body.metadata too_long",
            "body.phase_id unknown_reference",
        ]
    );

    // Whoever writes; but a lot that has more from former times can still be decided on.
    let database = wms.database().await?;
    let insert = "INSERT INTO lots (lot_code, metadata) VALUES ('OLD', jsonb_build_object('a', repeat('x', 20000)))";
    let refused = database.batch_execute(insert).await.unwrap_err();
    assert_eq!(
        refused.code(),
        Some(&tokio_postgres::error::SqlState::CHECK_VIOLATION)
    );
    database
        .batch_execute(&format!(
            "ALTER TABLE lots DISABLE TRIGGER lots_metadata_fits; {insert}; ALTER TABLE lots ENABLE TRIGGER lots_metadata_fits"
        ))
        .await?;
    let old = operator.get("/api/lots/OLD").await?;
    let decision = json!({ "lot_id": old.body["id"], "decision": "PASS" });
    let decided = operator.post("/api/qc-decisions", decision).await?;
    assert_eq!(decided.status, StatusCode::CREATED, "{}", decided.body);

    // The largest pages there can be fit into their functions' memory.
    database
        .batch_execute(
            "INSERT INTO lots (lot_code, metadata)
             SELECT 'PAGE-' || n, jsonb_build_object('a', repeat('é', 8187)) FROM generate_series(1, 200) n;
             INSERT INTO qc_decisions (lot_id, decision, notes, digital_signature)
             SELECT id, 'PASS', repeat('🥙', 1000), repeat('🥙', 4096) FROM lots WHERE lot_code LIKE 'PAGE-%'",
        )
        .await?;
    for path in ["/api/lots?limit=200", "/api/qc-decisions?limit=200"] {
        let page = operator.get(path).await?;
        assert_eq!(page.status, StatusCode::OK, "{path}: {}", page.body);
        assert_eq!(page.body.as_array().map(Vec::len), Some(200), "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn numbers_keep_their_decimals_and_lists_their_order() -> Result<()> {
    let wms = Wms::start().await?;
    let operator = User::login(&wms, "operator").await?;
    for (code, weight, stored) in [
        ("A", json!(12.345), "12.34"),
        ("B", json!("12.355"), "12.36"),
        ("C", json!("1e3"), "1000.00"),
        ("D", json!(0), "0.00"),
        ("E", json!(10000), "10000.00"),
    ] {
        let lot = json!({ "lot_code": code, "lot_type": "RAW", "weight_kg": weight, "temperature_c": -3.25 });
        let answer = operator.post("/api/lots", lot).await?;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        assert_eq!(answer.body["weight_kg"], stored, "{weight}");
        assert_eq!(answer.body["temperature_c"], "-3.2");
        assert_eq!(answer.body["metadata"], json!({}));
        assert_eq!(answer.body["phase_id"], Value::Null);
        let location = answer.header("location").to_owned();
        assert_eq!(operator.get(&location).await?.body, answer.body);
    }
    operator
        .post("/api/lots", json!({ "lot_code": "A" }))
        .await?
        .is_problem(409, "lot-code-taken");

    // Newest first, page by page, stable though a lot comes in between.
    let mut seen = Vec::new();
    let mut next = "/api/lots?limit=2&lot_type=RAW".to_owned();
    loop {
        let page = operator.get(&next).await?;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        for lot in page.body.as_array().context("a list")? {
            seen.push(lot["lot_code"].as_str().unwrap_or_default().to_owned());
        }
        if seen.len() == 2 {
            operator
                .lot(json!({ "lot_code": "LATE", "lot_type": "RAW" }))
                .await?;
        }
        match page.header("link").split(&['<', '>'][..]).nth(1) {
            Some(link) => next = link.to_owned(),
            None => break,
        }
    }
    let (new, demo) = seen.split_at(5);
    assert_eq!(new, ["E", "D", "C", "B", "A"]);
    assert_eq!(demo.len(), 2, "{demo:?}");
    Ok(())
}

#[tokio::test]
async fn links_and_decisions_keep_the_rules() -> Result<()> {
    let wms = Wms::start().await?;
    let operator = User::login(&wms, "operator").await?;
    let manager = User::login(&wms, "manager").await?;
    let raw = operator
        .lot(json!({ "lot_code": "RAW", "lot_type": "RAW", "weight_kg": 100 }))
        .await?;
    let mix = |code: &str, parents: Value| json!({ "lot_code": code, "lot_type": "MIX", "parents": parents });
    let from_raw = |kg: &str| json!({ "lot_id": raw, "quantity_used_kg": kg });

    operator
        .post("/api/lots", mix("M1", json!([from_raw("100.51")])))
        .await?
        .is_problem(409, "parent-overdrawn");
    operator
        .get("/api/lots/M1")
        .await?
        .is_problem(404, "lot-not-found");
    // 0.5 % of 100 kg is the tolerance.
    operator.lot(mix("M2", json!([from_raw("100.50")]))).await?;
    let twice = json!([from_raw("0"), from_raw("0")]);
    let twice = operator.post("/api/lots", mix("M3", twice)).await?;
    assert!(twice.status.is_client_error(), "{}", twice.body);
    let itself = json!([{ "lot_code": "M4", "quantity_used_kg": 1 }]);
    operator
        .post("/api/lots", mix("M4", itself))
        .await?
        .is_problem(409, "link-to-itself");
    let unknown = json!([{ "lot_code": "NOBODY", "quantity_used_kg": 1 }]);
    operator
        .post("/api/lots", mix("M5", unknown))
        .await?
        .is_problem(422, "validation");

    // The newest decision per gate makes the status; a rejected lot feeds nothing.
    let database = wms.database().await?;
    let gate = async |number: &str| -> Result<String> {
        let row = database
            .query_one(
                "SELECT id::text FROM qc_gates WHERE gate_number = $1::text::numeric",
                &[&number],
            )
            .await?;
        Ok(row.get(0))
    };
    let (mixing, freezing) = (gate("5").await?, gate("7").await?);
    let status = async || -> Result<Value> {
        Ok(operator.get(&format!("/api/lots/{raw}")).await?.body["status"].clone())
    };
    let decide =
        async |user: &User<'_>, gate: &str, decision: &str, more: Value| -> Result<Reply> {
            let mut body = json!({ "lot_id": raw, "qc_gate_id": gate, "decision": decision });
            for (name, value) in more.as_object().into_iter().flatten() {
                body[name] = value.clone();
            }
            user.post("/api/qc-decisions", body).await
        };
    assert_eq!(status().await?, "PENDING");
    assert_eq!(
        decide(&operator, &mixing, "PASS", json!({})).await?.status,
        StatusCode::CREATED
    );
    assert_eq!(status().await?, "RELEASED");
    decide(&operator, &mixing, "HOLD", json!({ "notes": "too short" }))
        .await?
        .is_problem(422, "validation");
    decide(
        &operator,
        &mixing,
        "HOLD",
        json!({ "notes": "measured again in an hour" }),
    )
    .await?;
    assert_eq!(status().await?, "ON_HOLD");
    decide(&operator, &mixing, "PASS", json!({})).await?;
    assert_eq!(status().await?, "RELEASED");

    // A critical control point wants a temperature, within its limits unless a manager says why not.
    decide(&operator, &freezing, "PASS", json!({}))
        .await?
        .is_problem(422, "validation");
    let warm = json!({ "temperature_c": "-17.9", "notes": "door was open for a while" });
    decide(&operator, &freezing, "PASS", warm.clone())
        .await?
        .is_problem(409, "ccp-limit-exceeded");
    let silent = json!({ "temperature_c": "-17.9" });
    decide(&manager, &freezing, "PASS", silent)
        .await?
        .is_problem(409, "ccp-limit-exceeded");
    for blank in ["", "\t\n", "\u{a0}", "\u{2003}\u{3000}", "\u{200b}"] {
        let blank = json!({ "temperature_c": "-17.9", "notes": blank });
        decide(&manager, &freezing, "PASS", blank)
            .await?
            .is_problem(409, "ccp-limit-exceeded");
    }
    let padded = json!({ "notes": "123456789\u{a0}\u{a0}" });
    decide(&operator, &mixing, "HOLD", padded)
        .await?
        .is_problem(422, "validation");
    let overridden = decide(&manager, &freezing, "PASS", warm).await?;
    assert_eq!(overridden.status, StatusCode::CREATED);
    let cold = json!({ "temperature_c": -18 });
    assert_eq!(
        decide(&operator, &freezing, "PASS", cold).await?.status,
        StatusCode::CREATED
    );

    decide(
        &operator,
        &mixing,
        "FAIL",
        json!({ "notes": "foreign body in the mixer" }),
    )
    .await?;
    assert_eq!(status().await?, "REJECTED");
    operator
        .post("/api/lots", mix("M6", json!([from_raw("0.01")])))
        .await?
        .is_problem(409, "parent-rejected");

    let listed = operator
        .get(&format!("/api/qc-decisions?lot_id={raw}&gate_number=5"))
        .await?;
    let decisions: Vec<&str> = listed
        .body
        .as_array()
        .context("a list")?
        .iter()
        .filter_map(|d| d["decision"].as_str())
        .collect();
    assert_eq!(decisions, ["FAIL", "PASS", "HOLD", "PASS"], "newest first");
    let counted = wms.host.metrics().await?;
    let at = |decision, gate| {
        counted.sum(
            "flowviz_qc_decisions_total",
            &[("decision", decision), ("gate_number", gate)],
        )
    };
    assert_eq!(
        (
            at("PASS", "5"),
            at("HOLD", "5"),
            at("FAIL", "5"),
            at("PASS", "7")
        ),
        (2.0, 1.0, 1.0, 2.0)
    );
    // The database itself keeps them.
    for statement in [
        "UPDATE qc_decisions SET decision = 'PASS'",
        "DELETE FROM qc_decisions",
    ] {
        assert!(
            database.execute(statement, &[]).await.is_err(),
            "{statement}"
        );
    }
    Ok(())
}
