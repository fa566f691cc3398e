//! Lists and reference data: newest first, page by page, each row once however many come in between, narrowed by every filter of the
//! contract, and the scenario that ships is the one that is written there.

use anyhow::{Context, Result};
use flowviz_tests::{User, Wms, segment};
use serde_json::{Value, json};

const NOWHERE: &str = "00000000-0000-0000-0000-00000000dead";

#[tokio::test]
async fn every_list_is_paged_by_key() -> Result<()> {
    let wms = Wms::start().await?;
    let admin = User::login(&wms, "admin").await?;
    let database = wms.database().await?;
    // Seven rows each, of three moments: rows of the same moment have only their ids to tell them apart.
    let at = "'2026-01-15T06:00:00.000001Z'::timestamptz + n / 3 * interval '1 microsecond'";
    database
        .batch_execute(&format!(
            "INSERT INTO lots (lot_code, lot_type, created_at) SELECT 'P-' || n, 'RAW', {at} FROM generate_series(0, 6) n;
            INSERT INTO lots (lot_code) VALUES ('CHILD');
            INSERT INTO users (email, role, created_at) SELECT 'p-' || n || '@x', 'VIEWER', {at} FROM generate_series(0, 6) n;
            INSERT INTO production_runs (run_code, started_at) SELECT 'PRD-' || n, {at} FROM generate_series(0, 6) n;
            INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg, linked_at)
            SELECT p.id, c.id, n, {at} FROM generate_series(0, 6) n JOIN lots p ON p.lot_code = 'P-' || n JOIN lots c ON c.lot_code = 'CHILD';
            INSERT INTO qc_decisions (lot_id, decision, decided_at) SELECT id, 'PASS', {at} FROM lots CROSS JOIN generate_series(0, 6) n WHERE lot_code = 'CHILD';
            INSERT INTO audit_events (at, action, entity, entity_id) SELECT {at}, 'test', 'test', '{NOWHERE}' FROM generate_series(0, 6) n"
        ))
        .await?;
    let lists = [
        (
            "/api/lots?lot_type=RAW&code_prefix=P-",
            "created_at",
            "INSERT INTO lots (lot_code, lot_type) VALUES ('P-' || gen_random_uuid(), 'RAW')",
        ),
        (
            "/api/users?",
            "created_at",
            "INSERT INTO users (email) VALUES (gen_random_uuid() || '@x')",
        ),
        (
            "/api/production-runs?status=ACTIVE",
            "started_at",
            "INSERT INTO production_runs (run_code) VALUES ('PRD-' || gen_random_uuid())",
        ),
        (
            "/api/lots/CHILD/parents?",
            "linked_at",
            "INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
            SELECT p.id, c.id, 1 FROM lots p JOIN lots c ON c.lot_code = 'CHILD' WHERE p.lot_code NOT LIKE 'P-_' AND p.lot_code <> 'CHILD'
                AND NOT EXISTS (SELECT FROM lot_genealogy g WHERE g.parent_lot_id = p.id AND g.child_lot_id = c.id) LIMIT 1",
        ),
        (
            "/api/qc-decisions?decision=PASS",
            "decided_at",
            "INSERT INTO qc_decisions (lot_id, decision) SELECT id, 'PASS' FROM lots WHERE lot_code = 'CHILD'",
        ),
        (
            "/api/audit-events?entity=test",
            "at",
            "INSERT INTO audit_events (action, entity, entity_id) VALUES ('test', 'test', gen_random_uuid())",
        ),
    ];
    for (list, time, insert) in lists {
        let whole = admin.get(&format!("{list}&limit=200")).await?;
        assert!(whole.is(200).next_page().is_none(), "{list}");
        let whole = whole.body.as_array().context("a list")?.clone();
        assert!(whole.len() >= 7, "{list} {}", whole.len());
        let key = |row: &Value| (row[time].to_string(), row["id"].to_string());
        assert!(
            whole.windows(2).all(|pair| key(&pair[0]) > key(&pair[1])),
            "{list}"
        );
        assert_eq!(
            admin.get(list).await?.body,
            json!(whole),
            "100 rows by default"
        );

        for limit in [1, 2, 3, whole.len(), whole.len() - 1] {
            // While somebody walks from page to page, others come: nothing is shown twice, nothing left out.
            let (mut seen, mut next) = (Vec::new(), Some(format!("{list}&limit={limit}")));
            while let Some(path) = next {
                let page = admin.get(&path).await?;
                let rows = page.is(200).body.as_array().context("a list")?;
                assert!(rows.len() <= limit);
                seen.extend(rows.iter().cloned());
                next = page.next_page().map(str::to_owned);
                if limit == 2 {
                    database.batch_execute(insert).await?;
                }
            }
            let known: Vec<&Value> = seen.iter().filter(|row| whole.contains(row)).collect();
            assert_eq!(known, whole.iter().collect::<Vec<_>>(), "{list} {limit}");
        }
        for (query, fault) in [
            ("limit=0", "query.limit value_error"),
            ("limit=201", "query.limit value_error"),
            ("limit=two", "query.limit value_error"),
            ("cursor=!", "query.cursor value_error"),
            ("cursor=AAAA", "query.cursor value_error"),
        ] {
            let refused = admin.get(&format!("{list}&{query}")).await?;
            refused.is_problem(422, "validation");
            assert_eq!(refused.faults(), [fault], "{list} {query}");
        }
        let both = admin.get(&format!("{list}&limit=x&cursor=y")).await?;
        assert_eq!(both.faults().len(), 2, "{list}");
    }
    // The path of the next page is as it was sent.
    let code = "CHILD / ő";
    database
        .batch_execute(&format!(
            "UPDATE lots SET lot_code = '{code}' WHERE lot_code = 'CHILD'"
        ))
        .await?;
    let (links, pages) = admin
        .pages(&format!("/api/lots/{}/parents?limit=3", segment(code)))
        .await?;
    assert!(links.len() >= 7 && pages >= 3);
    Ok(())
}

#[tokio::test]
async fn every_filter_narrows() -> Result<()> {
    let wms = Wms::start().await?;
    let operator = User::login(&wms, "operator").await?;
    let run = operator
        .post(
            "/api/production-runs",
            json!({ "scenario_id": "00000000-0000-4000-a000-000000000001" }),
        )
        .await?;
    let run = run.is(201).body["id"].as_str().context("an id")?.to_owned();
    for (code, lot_type, run) in [
        ("100%_A", "MIX", Some(&run)),
        ("100%_B", "FG", Some(&run)),
        ("100xxB", "MIX", None),
        ("\\'ő🥙", "SKW", None),
    ] {
        operator
            .lot(json!({ "lot_code": code, "lot_type": lot_type, "production_run_id": run }))
            .await?;
    }
    let lot = operator
        .get(&format!("/api/lots/{}", segment("100%_A")))
        .await?
        .body
        .clone();
    let id = lot["id"].as_str().context("an id")?;
    let gate = |number: u32| format!("00000000-0000-4000-a002-{number:012}");
    for (gate, decision) in [(gate(65), "PASS"), (gate(60), "HOLD"), (gate(65), "HOLD")] {
        let decision = json!({ "lot_id": id, "qc_gate_id": gate, "decision": decision, "notes": "weighed once more" });
        operator.post("/api/qc-decisions", decision).await?.is(201);
    }

    let created = lot["created_at"].as_str().context("a time")?;
    let to_the_microsecond = format!("created_from={created}&lot_type=MIX");
    let before = format!("created_to={created}&lot_type=MIX");
    let with_an_offset = format!(
        "created_from={}&code_prefix=100",
        created.replace('Z', "%2B00:00")
    );
    let in_run = format!("production_run_id={run}");
    let in_run_and_more =
        format!("production_run_id={run}&lot_type=FG&status=PENDING&code_prefix=1");
    let odd = format!("code_prefix={}", segment("\\'ő"));
    for (query, codes) in [
        ("lot_type=SKW", vec!["\\'ő🥙"]),
        (&in_run, vec!["100%_B", "100%_A"]),
        (&in_run_and_more, vec!["100%_B"]),
        ("status=ON_HOLD", vec!["100%_A"]),
        ("status=REJECTED", vec![]),
        // No wildcards: `%` and `_` are themselves.
        ("code_prefix=100%25_", vec!["100%_B", "100%_A"]),
        ("code_prefix=%25", vec![]),
        ("code_prefix=_", vec![]),
        ("code_prefix=100%25_a", vec![]),
        (&odd, vec!["\\'ő🥙"]),
        (&to_the_microsecond, vec!["100xxB", "100%_A"]),
        (&before, vec!["MIX-BATCH-88"]),
        (&with_an_offset, vec!["100xxB", "100%_B", "100%_A"]),
        (
            "production_run_id=00000000-0000-0000-0000-00000000dead",
            vec![],
        ),
        // Of a repeated one the last counts, an unknown one is ignored; an empty prefix is every lot's.
        (
            "lot_type=&lot_type=RAW&lot_type=SKW&color=red&code_prefix=",
            vec!["\\'ő🥙"],
        ),
    ] {
        let listed = operator.get(&format!("/api/lots?{query}")).await?;
        assert_eq!(listed.is(200).list("lot_code"), codes, "{query}");
    }
    let of_lot = format!("lot_id={id}");
    let all = format!("lot_id={id}&decision=HOLD&gate_number=6.50");
    for (query, decisions) in [
        (&of_lot[..], vec!["HOLD", "HOLD", "PASS"]),
        (&all, vec!["HOLD"]),
        ("gate_number=6.5", vec!["HOLD", "PASS"]),
        ("gate_number=6", vec!["HOLD"]),
        ("gate_number=7", vec![]),
        ("decision=PASS", vec!["PASS"]),
        ("decision=FAIL", vec![]),
        ("lot_id=00000000-0000-0000-0000-00000000dead", vec![]),
    ] {
        let listed = operator.get(&format!("/api/qc-decisions?{query}")).await?;
        assert_eq!(listed.is(200).list("decision"), decisions, "{query}");
    }
    let refused = operator
        .get("/api/lots?lot_type=mix&status=released&production_run_id=1&created_from=today&created_to=2026-01-15&code_prefix=%00")
        .await?;
    refused.is_problem(422, "validation");
    assert_eq!(
        refused.faults(),
        [
            "query.code_prefix value_error",
            "query.created_from datetime_parsing",
            "query.created_to datetime_parsing",
            "query.lot_type enum",
            "query.production_run_id uuid_parsing",
            "query.status enum",
        ]
    );
    let empty = operator
        .get("/api/lots?status=&lot_type&created_to=")
        .await?;
    assert_eq!(
        empty.faults(),
        [
            "query.created_to datetime_parsing",
            "query.lot_type enum",
            "query.status enum",
        ],
        "an empty value is a slip, and no wish for all lots"
    );
    let refused = operator
        .get("/api/qc-decisions?lot_id=A&decision=pass&gate_number=six")
        .await?;
    assert_eq!(
        refused.faults(),
        [
            "query.decision enum",
            "query.gate_number decimal_parsing",
            "query.lot_id uuid_parsing"
        ]
    );
    Ok(())
}

#[tokio::test]
async fn the_audit_trail_is_for_those_who_audit() -> Result<()> {
    let wms = Wms::start().await?;
    let operator = User::login(&wms, "operator").await?;
    let manager = User::login(&wms, "manager").await?;
    let auditor = User::login(&wms, "auditor").await?;
    let admin = User::login(&wms, "admin").await?;
    for other in [&operator, &manager, &User::login(&wms, "viewer").await?] {
        let refused = other.get("/api/audit-events?from=never").await?;
        refused.is_problem(403, "forbidden");
        assert_eq!(refused.header("x-required-roles"), "ADMIN, AUDITOR");
    }

    let id = operator
        .lot(json!({ "lot_code": "A-1", "weight_kg": 9, "metadata": { "a": 1e2 } }))
        .await?;
    let path = format!("/api/lots/{id}");
    manager
        .patch(&path, json!({ "weight_kg": 8 }))
        .await?
        .is(200);
    let decision = json!({ "lot_id": id, "decision": "PASS" });
    let decision = operator
        .post("/api/qc-decisions", decision)
        .await?
        .is(201)
        .body
        .clone();
    // What is refused, or asked only, leaves nothing.
    operator
        .post("/api/lots", json!({ "lot_code": "A-1" }))
        .await?
        .is(409);
    operator.post("/api/lots", json!({})).await?.is(422);
    operator
        .patch(&path, json!({ "weight_kg": -1 }))
        .await?
        .is(422);
    operator.get(&path).await?.is(200);

    let events = auditor
        .get(&format!("/api/audit-events?entity_id={id}"))
        .await?;
    assert_eq!(
        events.is(200).list("action"),
        ["lot.changed", "lot.registered"]
    );
    let (changed, registered) = (&events.body[0], &events.body[1]);
    let fields: Vec<&String> = changed.as_object().context("an event")?.keys().collect();
    assert_eq!(
        fields,
        [
            "action",
            "actor_id",
            "actor_role",
            "after",
            "at",
            "before",
            "entity",
            "entity_id",
            "hash",
            "id",
            "prev_hash",
            "request_id"
        ]
    );
    assert_eq!(
        (&changed["actor_role"], &registered["actor_role"]),
        (&json!("MANAGER"), &json!("OPERATOR"))
    );
    assert_eq!(registered["before"], Value::Null);
    assert_eq!(
        (
            &changed["before"]["weight_kg"],
            &changed["after"]["weight_kg"]
        ),
        (&json!("9.00"), &json!("8.00"))
    );
    assert_eq!(registered["after"]["metadata"]["a"], 100.0);

    let at = changed["at"].as_str().context("a time")?;
    let decided = decision["id"].as_str().context("an id")?;
    let until = format!("entity=lot&to={at}");
    let from = format!("entity=lot&from={at}");
    let of = format!("entity_id={decided}");
    let by = "actor_id=00000000-0000-0000-0000-000000000003&entity=lot".to_owned();
    let none = format!("entity=qc_decision&entity_id={id}");
    for (query, actions) in [
        (&until, vec!["lot.registered"]),
        (&from, vec!["lot.changed"]),
        (&of, vec!["decision.recorded"]),
        (&by, vec!["lot.changed"]),
        (&none, vec![]),
        (&"entity=%27%20OR%201=1".to_owned(), vec![]),
    ] {
        for who in [&auditor, &admin] {
            let listed = who.get(&format!("/api/audit-events?{query}")).await?;
            assert_eq!(listed.is(200).list("action"), actions, "{query}");
        }
    }
    let refused = auditor
        .get("/api/audit-events?entity=%00&entity_id=x&actor_id=y&from=now&to=0000-01-01T00:00:00Z")
        .await?;
    assert_eq!(
        refused.faults(),
        [
            "query.actor_id uuid_parsing",
            "query.entity value_error",
            "query.entity_id uuid_parsing",
            "query.from datetime_parsing",
            "query.to datetime_parsing",
        ]
    );
    Ok(())
}

#[tokio::test]
async fn the_scenario_is_the_one_that_ships() -> Result<()> {
    let wms = Wms::start().await?;
    let viewer = User::login(&wms, "viewer").await?;
    let scenarios = viewer.get("/api/scenarios").await?;
    assert_eq!(scenarios.is(200).body.as_array().map(Vec::len), Some(1));
    let scenario = &scenarios.body[0];
    assert_eq!(
        (&scenario["version"], &scenario["is_active"]),
        (&json!("1.0.0"), &json!(true))
    );
    assert_eq!(scenario["config"]["key"], "doner-kft");

    let rows = |list: &str| scenario[list].as_array().cloned().unwrap_or_default();
    let streams: Vec<String> = rows("streams")
        .iter()
        .map(|stream| {
            [
                &stream["stream_key"],
                &stream["name"]["en"],
                &stream["color"],
            ]
            .map(|text| text.as_str().unwrap_or_default())
            .join(" ")
        })
        .collect();
    assert_eq!(
        streams,
        [
            "A Preparation #ff6b9d",
            "B Production #4a9eff",
            "C Service #00ff88"
        ]
    );

    // Number, stream, gate, what it makes.
    let find = |list: &str, id: &Value, field: &str| -> String {
        let found = rows(list).into_iter().find(|row| row["id"] == *id);
        found.map_or("-".to_owned(), |row| {
            row[field].to_string().replace('"', "")
        })
    };
    let phases: Vec<String> = rows("phases")
        .iter()
        .map(|phase| {
            let stream = find("streams", &phase["stream_id"], "stream_key");
            let gate = find("gates", &phase["qc_gate_id"], "gate_number");
            let makes = phase["lot_type"].as_str().unwrap_or("-");
            format!("{} {stream} {gate} {makes}", phase["phase_number"])
        })
        .collect();
    assert_eq!(
        phases,
        [
            "0 - - -",
            "1 A 1 RAW",
            "2 A 3 DEB",
            "3 A 4 BULK",
            "4 B 5 MIX",
            "5 B 6 SKW",
            "6 B 6.5 SKW",
            "7 C 7 FRZ",
            "8 C 8 FG",
            "9 C 8 -",
            "10 C - -",
        ]
    );

    let gates = viewer.get("/api/qc-gates").await?;
    assert_eq!(gates.is(200).body, scenario["gates"]);
    let gates = gates.body.as_array().context("gates")?;
    let shown: Vec<String> = gates
        .iter()
        .map(|gate| {
            format!(
                "{} {} {} {}",
                gate["gate_number"], gate["name"]["en"], gate["is_ccp"], gate["limits"]
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            r#"1 "Receipt" false {"max_c":"4.0","min_c":"0.0"}"#,
            r#"3 "Deboning" false null"#,
            r#"4 "BULK readiness" false null"#,
            r#"5 "Mix" false null"#,
            r#"6 "Skewer weigh" false null"#,
            r#"6.5 "SKU split" false null"#,
            r#"7 "Freeze" true {"max_c":"-18.0","min_c":null}"#,
            r#"8 "Final release" false null"#,
        ]
    );
    for gate in gates {
        let fields: Vec<&String> = gate.as_object().context("a gate")?.keys().collect();
        assert_eq!(
            fields,
            [
                "checklist",
                "gate_number",
                "gate_type",
                "id",
                "is_ccp",
                "limits",
                "name",
                "scenario_id"
            ]
        );
        assert_eq!(
            (&gate["scenario_id"], &gate["checklist"]),
            (&scenario["id"], &json!([]))
        );
        assert!(
            ["CHECKPOINT", "BLOCKING", "INFO"]
                .contains(&gate["gate_type"].as_str().unwrap_or_default())
        );
    }
    // Both languages, everywhere.
    let mut named = vec![scenario.clone()];
    named.extend(["streams", "phases", "gates"].into_iter().flat_map(rows));
    for row in named {
        for language in ["hu", "en"] {
            assert!(
                row["name"][language]
                    .as_str()
                    .is_some_and(|name| !name.is_empty()),
                "{row}"
            );
        }
    }
    Ok(())
}
