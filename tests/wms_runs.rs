//! A production run starts under a code of its own, takes lots while it is active, and ends once: what it came to is exactly what was
//! registered in it, however many register at that moment.

use std::sync::Arc;

use anyhow::{Context, Result};
use flowviz_tests::{User, Wms};
use reqwest::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

const SCENARIO: &str = "00000000-0000-4000-a000-000000000001";
const NOWHERE: &str = "00000000-0000-0000-0000-00000000dead";

/// Who registers while the run ends.
const CLIENTS: usize = 20;

async fn start(user: &User<'_>) -> Result<Value> {
    let run = json!({ "scenario_id": SCENARIO });
    let run = user.post("/api/production-runs", run).await?;
    Ok(run.is(201).body.clone())
}

fn path(run: &Value) -> String {
    let id = run["id"].as_str().unwrap_or_default();
    format!("/api/production-runs/{id}")
}

#[tokio::test]
async fn a_run_starts_and_ends_and_there_is_no_way_back() -> Result<()> {
    let wms = Wms::start().await?;
    let operator = User::login(&wms, "operator").await?;
    let manager = User::login(&wms, "manager").await?;

    // What a run must be.
    for (body, faults) in [
        (json!({}), vec!["body.scenario_id missing"]),
        (
            json!({ "scenario_id": null }),
            vec!["body.scenario_id missing"],
        ),
        (
            json!({ "scenario_id": NOWHERE, "daily_target_kg": -1 }),
            vec![
                "body.daily_target_kg greater_than_equal",
                "body.scenario_id unknown_reference",
            ],
        ),
        (
            json!({ "scenario_id": "doner-kft", "daily_target_kg": "NaN" }),
            vec![
                "body.daily_target_kg decimal_parsing",
                "body.scenario_id uuid_parsing",
            ],
        ),
        (
            json!({ "scenario_id": SCENARIO, "daily_target_kg": 1e8 }),
            vec!["body.daily_target_kg less_than_equal"],
        ),
    ] {
        let refused = operator.post("/api/production-runs", body).await?;
        refused.is_problem(422, "validation");
        assert_eq!(refused.faults(), faults);
    }
    let for_another =
        json!({ "scenario_id": SCENARIO, "operator_id": "00000000-0000-0000-0000-000000000001" });
    let refused = operator
        .post("/api/production-runs", for_another.clone())
        .await?;
    refused.is_problem(403, "forbidden");
    assert_eq!(refused.header("x-required-roles"), "ADMIN, MANAGER");
    let by_manager = manager.post("/api/production-runs", for_another).await?;
    let by_manager = by_manager.is(201).body.clone();
    assert_eq!(
        by_manager["operator_id"],
        "00000000-0000-0000-0000-000000000001"
    );
    let for_nobody = json!({ "scenario_id": SCENARIO, "operator_id": NOWHERE });
    let refused = manager.post("/api/production-runs", for_nobody).await?;
    assert_eq!(refused.faults(), ["body.operator_id unknown_reference"]);

    // A run that starts: its code has the day, and nobody else's number.
    let target = json!({ "scenario_id": SCENARIO, "daily_target_kg": 1500.005 });
    let started = operator.post("/api/production-runs", target).await?;
    let run = started.is(201).body.clone();
    assert_eq!(started.header("location"), path(&run));
    assert_eq!(
        (&run["status"], &run["daily_target_kg"]),
        (&json!("ACTIVE"), &json!("1500.00"))
    );
    assert_eq!(
        (&run["ended_at"], &run["summary"]),
        (&Value::Null, &Value::Null)
    );
    let code = run["run_code"].as_str().context("a code")?;
    let parts: Vec<&str> = code.split('-').collect();
    let day: String = run["started_at"].as_str().context("a time")?[..10].replace('-', "");
    assert_eq!((parts.len(), parts[0]), (3, "PRD"), "{code}");
    // Midnight may pass between the code and the row.
    assert!(
        parts[1].len() == 8 && parts[1].parse::<u32>()? <= day.parse()?,
        "{code}"
    );
    assert!(
        parts[2].len() == 4 && parts[2].bytes().all(|byte| byte.is_ascii_hexdigit()),
        "{code}"
    );
    assert_ne!(run["run_code"], by_manager["run_code"]);
    assert_eq!(operator.get(&path(&run)).await?.is(200).body, run);

    // What is no run.
    for segment in [NOWHERE, "nothing", code, "%00", "%FF", "%2F"] {
        let path = format!("/api/production-runs/{segment}");
        operator.get(&path).await?.is_problem(404, "run-not-found");
        let end = json!({ "status": "COMPLETED" });
        let refused = operator.patch(&path, end).await?;
        refused.is_problem(404, "run-not-found");
    }

    // What is no end.
    for (body, fault) in [
        (json!({}), "body.status missing"),
        (json!({ "status": "ACTIVE" }), "body.status enum"),
        (json!({ "status": "completed" }), "body.status enum"),
        (json!({ "status": 7 }), "body.status string_type"),
    ] {
        let refused = operator.patch(&path(&run), body).await?;
        refused.is_problem(422, "validation");
        assert_eq!(refused.faults(), [fault]);
    }

    // It takes lots while it is active, and lots of no run don't count.
    let lot = |code: &str, run: &Value| json!({ "lot_code": code, "lot_type": "RAW", "weight_kg": 10, "production_run_id": run["id"] });
    operator.lot(lot("R-1", &run)).await?;
    operator
        .lot(json!({ "lot_code": "R-NONE", "weight_kg": 5 }))
        .await?;
    let nowhere = operator
        .post("/api/lots", lot("R-2", &json!({ "id": NOWHERE })))
        .await?;
    assert_eq!(
        nowhere.faults(),
        ["body.production_run_id unknown_reference"]
    );

    let finished = async |status: &str| -> Result<f64> {
        let labels = [("status", status)];
        let metrics = wms.host.metrics().await?;
        Ok(metrics.sum("flowviz_production_runs_finished_total", &labels))
    };
    assert_eq!(finished("COMPLETED").await?, 0.0);
    // It ends once, whichever way.
    for (run, first) in [(&run, "COMPLETED"), (&by_manager, "CANCELLED")] {
        let ended = operator
            .patch(&path(run), json!({ "status": first }))
            .await?;
        assert_eq!(ended.is(200).body["status"], first);
        assert!(ended.body["ended_at"].is_string());
        for again in ["COMPLETED", "CANCELLED"] {
            let refused = operator
                .patch(&path(run), json!({ "status": again }))
                .await?;
            refused.is_problem(409, "run-not-active");
        }
        let late = operator.post("/api/lots", lot("R-LATE", run)).await?;
        late.is_problem(409, "run-not-active");
        operator
            .get("/api/lots/R-LATE")
            .await?
            .is_problem(404, "lot-not-found");
        assert_eq!(operator.get(&path(run)).await?.body, ended.body);
        let delete = operator.ask(Method::DELETE, &path(run), None).await?;
        delete.is_problem(405, "method-not-allowed");
    }
    // Each is counted once, however often somebody tries.
    assert_eq!(finished("COMPLETED").await?, 1.0);
    assert_eq!(finished("CANCELLED").await?, 1.0);
    let completed = operator.get(&path(&run)).await?;
    let summary = &completed.body["summary"];
    assert_eq!(
        (&summary["total_lots"], &summary["total_kg"]),
        (&json!(1), &json!("10.00"))
    );
    let cancelled = operator.get(&path(&by_manager)).await?;
    assert_eq!(cancelled.body["summary"], Value::Null);

    // Two who end it at the same time: one of them does.
    for _ in 0..5 {
        let run = start(&operator).await?;
        let path = path(&run);
        let (complete, cancel) = tokio::join!(
            operator.patch(&path, json!({ "status": "COMPLETED" })),
            manager.patch(&path, json!({ "status": "CANCELLED" })),
        );
        let statuses = [complete?.status.as_u16(), cancel?.status.as_u16()];
        assert!(matches!(statuses, [200, 409] | [409, 200]), "{statuses:?}");
    }

    // The list, by status.
    for (status, runs) in [("ACTIVE", 0), ("COMPLETED", 1), ("CANCELLED", 1)] {
        let listed = operator
            .get(&format!("/api/production-runs?status={status}"))
            .await?;
        let listed = listed.is(200).list("status");
        assert!(
            listed.len() >= runs && listed.iter().all(|other| *other == status),
            "{listed:?}"
        );
    }
    let unknown = operator.get("/api/production-runs?status=active").await?;
    assert_eq!(unknown.faults(), ["query.status enum"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_ends_with_every_lot_that_was_accepted_and_with_none_after() -> Result<()> {
    let wms = Arc::new(Wms::start().await?);
    let token = wms.login("operator").await?;
    let operator = User {
        wms: &wms,
        token: token.clone(),
    };
    for round in 0..3 {
        let run = start(&operator).await?;
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let (wms, token, run) = (Arc::clone(&wms), token.clone(), run["id"].clone());
            clients.spawn(async move {
                let user = User { wms: &wms, token };
                let mut accepted = 0;
                loop {
                    let lot = json!({
                        "lot_code": format!("{round}-{client}-{accepted}"), "lot_type": "BULK", "weight_kg": "1.25", "production_run_id": run,
                    });
                    let answer = user.post("/api/lots", lot).await?;
                    if answer.status != 201 {
                        answer.is_problem(409, "run-not-active");
                        return anyhow::Ok(accepted);
                    }
                    accepted += 1;
                }
            });
        }
        // Until all of them are at it.
        let mine = format!(
            "/api/lots?limit=200&production_run_id={}",
            run["id"].as_str().unwrap_or_default()
        );
        while operator.get(&mine).await?.list("id").len() < 2 * CLIENTS {}
        let completed = operator
            .patch(&path(&run), json!({ "status": "COMPLETED" }))
            .await?;
        let summary = &completed.is(200).body["summary"];
        let mut accepted = 0_i64;
        for client in clients.join_all().await {
            accepted += client?;
        }
        assert_eq!(summary["total_lots"], accepted);
        assert_eq!(summary["lots_by_type"]["BULK"], accepted);
        let hundredths = accepted * 125;
        let kg = format!("{}.{:02}", hundredths / 100, hundredths % 100);
        assert_eq!(summary["total_kg"], kg);
        let (lots, _) = operator.pages(&mine).await?;
        assert_eq!(i64::try_from(lots.len())?, accepted);
    }
    Ok(())
}
