//! What devices recorded without a network comes in exactly once, in its order, each item on its own, as of the time when it was recorded.

use anyhow::{Context as _, Result};
use flowviz_stack::{Options, Stack};
use flowviz_tests::{Network, PATIENCE, Reply, User, Wms};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Duration, sleep, timeout};
use tokio_postgres::Client;

/// An item, and what is to come of it.
#[derive(Clone, Debug)]
struct Item {
    sent: Value,
    status: &'static str,
    http_status: u16,
    problem: Option<&'static str>,
}

/// A device's own id of what it recorded.
fn client_id(kind: u8, n: usize) -> String {
    format!("{kind:08x}-0000-4000-8000-{n:012x}")
}

/// A point in time some minutes into the shift, long ago.
fn recorded_at(n: usize) -> String {
    format!(
        "2026-01-{:02}T{:02}:{:02}:00.000000Z",
        5 + n / 1440,
        n / 60 % 24,
        n % 60
    )
}

fn sent(kind: &str, client_id: String, n: usize, payload: Value) -> Value {
    json!({ "client_id": client_id, "kind": kind, "payload": payload, "recorded_at": recorded_at(n) })
}

fn lot(n: usize) -> Value {
    let payload = json!({ "lot_code": format!("OFF-{n}"), "lot_type": "RAW", "weight_kg": 1.5 });
    sent("lot", client_id(1, n), n, payload)
}

/// A decision about a lot that is known by the device's id of it.
fn decision(n: usize, verdict: &str, lot: String) -> Value {
    let payload =
        json!({ "lot_client_id": lot, "decision": verdict, "notes": "measured by the door" });
    sent("qc_decision", client_id(2, n), n, payload)
}

async fn sync(user: &User<'_>, items: &[Value]) -> Result<Vec<Value>> {
    let reply = user.post("/api/sync", json!({ "items": items })).await?;
    results(&reply)
}

#[track_caller]
fn results(reply: &Reply) -> Result<Vec<Value>> {
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.body);
    let results = reply.body["results"].as_array();
    Ok(results.context("results")?.clone())
}

fn created(sent: Value) -> Item {
    Item {
        sent,
        status: "created",
        http_status: 201,
        problem: None,
    }
}

fn rejected(sent: Value, http_status: u16, problem: &'static str) -> Item {
    Item {
        sent,
        status: "rejected",
        http_status,
        problem: Some(problem),
    }
}

/// 500 items: lots, decisions about them, both of them twice, and all kinds of faults in between.
fn batch() -> Vec<Item> {
    let (lots, decisions, repeated) = (200, 150, 50);
    let mut good: Vec<Item> = (0..lots).map(|n| created(lot(n))).collect();
    good.extend((0..decisions).map(|n| created(decision(n, "PASS", client_id(1, n)))));
    let again = |n: usize| Item {
        status: "duplicate",
        http_status: 200,
        ..good[n * 7].clone()
    };
    let again: Vec<Item> = (0..repeated).map(again).collect();
    good.extend(again);

    let id = |n| client_id(3, n);
    let bad = (0..100).map(|n| {
        let sound = json!({ "lot_code": format!("BAD-{n}") });
        let mut item = sent("lot", id(n), n, sound);
        match n % 10 {
            0 => item["payload"]["weight_kg"] = json!(-1),
            1 => {
                // By another id: it isn't the same lot for having its code.
                item["payload"]["lot_code"] = json!("RAW-BEEF-001");
                return rejected(item, 409, "lot-code-taken");
            }
            2 => {
                let parents = json!([{ "lot_code": "RAW-SPICE-001", "quantity_used_kg": 400 }]);
                item["payload"]["parents"] = parents;
                return rejected(item, 409, "parent-overdrawn");
            }
            3 => item = decision(1000 + n, "PASS", client_id(9, n)),
            4 => {
                item = decision(1000 + n, "HOLD", client_id(1, 0));
                item["payload"]["notes"] = json!("short");
            }
            5 => item["recorded_at"] = json!("2126-01-05T06:00:00Z"),
            6 => item["kind"] = json!("user"),
            7 => item["payload"] = Value::Null,
            8 => item["client_id"] = json!("mine"),
            _ => item = json!(n),
        }
        rejected(item, 422, "validation")
    });
    // Four good ones, a bad one, and so on.
    let mut bad = bad.collect::<Vec<_>>().into_iter();
    let mut all = Vec::new();
    for (n, item) in good.into_iter().enumerate() {
        if n % 4 == 0 {
            all.extend(bad.next());
        }
        all.push(item);
    }
    all
}

async fn number(database: &Client, statement: &str) -> Result<i64> {
    let statement = format!("SELECT count(*) FROM {statement}");
    Ok(database.query_one(&statement, &[]).await?.get(0))
}

#[tokio::test]
async fn every_good_item_is_written_once_however_often_it_is_sent() -> Result<()> {
    let wms = Wms::start().await?;
    let database = wms.database().await?;
    let user = User::login(&wms, "operator").await?;
    let batch = batch();
    assert_eq!(batch.len(), 500);
    let items: Vec<Value> = batch.iter().map(|item| item.sent.clone()).collect();

    let first = sync(&user, &items).await?;
    let second = sync(&user, &items).await?;
    assert_eq!((first.len(), second.len()), (500, 500));
    let mut ids = std::collections::BTreeMap::new();
    for ((item, first), second) in batch.iter().zip(&first).zip(&second) {
        let told = || format!("{item:?}: {first} / {second}");
        assert_eq!(first["status"], item.status, "{}", told());
        assert_eq!(first["http_status"], item.http_status, "{}", told());
        let own_id = Some(&item.sent["client_id"]).filter(|id| **id != "mine");
        assert_eq!(
            &first["client_id"],
            own_id.unwrap_or(&Value::Null),
            "{}",
            told()
        );
        match item.problem {
            Some(slug) => {
                let problem = &first["problem"];
                assert_eq!(problem["type"], format!("/problems/{slug}"), "{}", told());
                assert_eq!(problem["status"], item.http_status, "{}", told());
                assert_eq!(first["id"], Value::Null, "{}", told());
                assert_eq!(first, second, "no better the second time");
            }
            None => {
                assert_eq!(first["problem"], Value::Null, "{}", told());
                let id = first["id"].as_str().context("an id")?;
                let known = ids.entry(first["client_id"].to_string()).or_insert(id);
                assert_eq!(*known, id, "{}", told());
                assert_eq!(second["status"], "duplicate", "{}", told());
                assert_eq!(second["http_status"], 200, "{}", told());
                assert_eq!(second["id"], first["id"], "{}", told());
            }
        }
    }
    assert_eq!(ids.len(), 350);

    // What is really there, as of when it was recorded.
    let rows = database
        .query(
            "SELECT lot_code, rfc3339(created_at), status FROM lots WHERE lot_code LIKE 'OFF-%'",
            &[],
        )
        .await?;
    assert_eq!(rows.len(), 200);
    for row in rows {
        let (code, at, status): (String, String, String) = (row.get(0), row.get(1), row.get(2));
        let n: usize = code.trim_start_matches("OFF-").parse()?;
        let expected = if n < 150 { "RELEASED" } else { "PENDING" };
        assert_eq!((at, &*status), (recorded_at(n), expected), "{code}");
    }
    let rows = database
        .query(
            "SELECT l.lot_code, rfc3339(d.decided_at) FROM qc_decisions d JOIN lots l ON l.id = d.lot_id",
            &[],
        )
        .await?;
    assert_eq!(rows.len(), 150);
    for row in rows {
        let (code, at): (String, String) = (row.get(0), row.get(1));
        assert_eq!(at, recorded_at(code.trim_start_matches("OFF-").parse()?));
    }
    assert_eq!(
        number(&database, "lots WHERE lot_code LIKE 'BAD-%'").await?,
        0
    );
    let events = "audit_events WHERE action IN ('lot.registered', 'decision.recorded')";
    assert_eq!(number(&database, events).await?, 350);
    let metrics = wms.host.metrics().await?;
    let counted = [
        "flowviz_lots_registered_total",
        "flowviz_qc_decisions_total",
    ];
    let counted = counted.map(|name| metrics.sum(name, &[]));
    assert_eq!(counted, [200.0, 150.0]);
    Ok(())
}

#[tokio::test]
async fn decisions_find_their_lots_and_the_status_follows_the_time_of_the_decision() -> Result<()> {
    let wms = Wms::start().await?;
    let user = User::login(&wms, "operator").await?;
    let status = async |n: usize| -> Result<Value> {
        Ok(user.get(&format!("/api/lots/OFF-{n}")).await?.body["status"].clone())
    };
    let all_created =
        |results: &[Value]| results.iter().all(|result| result["status"] == "created");

    // Of the same batch, the later one first.
    let (one, other) = (client_id(1, 0), client_id(1, 1));
    let batch = [
        lot(0),
        decision(20, "HOLD", one.clone()),
        decision(10, "PASS", one.clone()),
        lot(1),
        decision(11, "PASS", other.clone()),
    ];
    let results = sync(&user, &batch).await?;
    assert!(all_created(&results), "{results:?}");
    assert_eq!(
        (status(0).await?, status(1).await?),
        (json!("ON_HOLD"), json!("RELEASED"))
    );

    // Of an earlier batch, by another user's device, and by the id that the lot got.
    let manager = User::login(&wms, "manager").await?;
    let mut by_id = decision(5, "FAIL", String::new());
    by_id["payload"] =
        json!({ "lot_id": results[0]["id"], "decision": "FAIL", "notes": "measured by the door" });
    let results = sync(
        &manager,
        &[
            decision(30, "PASS", one.clone()),
            by_id,
            decision(31, "HOLD", other.clone()),
        ],
    )
    .await?;
    assert!(all_created(&results), "{results:?}");
    assert_eq!(
        (status(0).await?, status(1).await?),
        (json!("RELEASED"), json!("ON_HOLD"))
    );

    // A lot that the batch registers only later, one that was rejected, and both ids at once.
    let mut heavy = lot(3);
    heavy["payload"]["weight_kg"] = json!("heavy");
    let mut both = decision(42, "PASS", one);
    both["payload"]["lot_id"] = results[0]["id"].clone();
    let batch = [
        decision(40, "PASS", client_id(1, 2)),
        lot(2),
        heavy,
        decision(41, "PASS", client_id(1, 3)),
        both,
    ];
    let results = sync(&user, &batch).await?;
    let statuses: Vec<&Value> = results
        .iter()
        .map(|result| &result["http_status"])
        .collect();
    assert_eq!(statuses, [422, 201, 422, 422, 422]);
    let place = &results[3]["problem"]["errors"][0]["loc"];
    assert_eq!(place, &json!(["body", "lot_client_id"]));
    // Mended under the same id.
    let results = sync(&user, &[lot(3), decision(41, "PASS", client_id(1, 3))]).await?;
    assert!(all_created(&results), "{results:?}");

    // The other kind has ids of its own; another payload under a known id is still the same item.
    let mut same = lot(0);
    same["kind"] = json!("qc_decision");
    same["payload"] = json!({ "lot_client_id": other, "decision": "PASS" });
    let mut renamed = lot(1);
    renamed["payload"]["lot_code"] = json!("RENAMED");
    let results = sync(&user, &[same, renamed]).await?;
    let statuses: Vec<&Value> = results.iter().map(|result| &result["status"]).collect();
    assert_eq!(statuses, ["created", "duplicate"]);
    user.get("/api/lots/RENAMED")
        .await?
        .is_problem(404, "lot-not-found");
    Ok(())
}

#[tokio::test]
async fn a_batch_is_refused_as_a_whole_for_what_is_no_items_fault() -> Result<()> {
    let wms = Wms::start().await?;
    let database = wms.database().await?;
    let operator = User::login(&wms, "operator").await?;

    // An auditor decides and registers nothing; a viewer does neither.
    let auditor = User::login(&wms, "auditor").await?;
    sync(&operator, &[lot(0)]).await?;
    let results = sync(
        &auditor,
        &[lot(1), decision(1, "PASS", client_id(1, 0)), lot(0)],
    )
    .await?;
    let statuses: Vec<&Value> = results
        .iter()
        .map(|result| &result["http_status"])
        .collect();
    assert_eq!(statuses, [403, 201, 403]);
    assert_eq!(
        results[0]["problem"]["detail"],
        "Requires one of: ADMIN, MANAGER, OPERATOR"
    );
    let viewer = User::login(&wms, "viewer").await?;
    let refused = viewer
        .post("/api/sync", json!({ "items": [lot(1)] }))
        .await?;
    refused.is_problem(403, "forbidden");
    assert_eq!(
        refused.header("x-required-roles"),
        "ADMIN, MANAGER, AUDITOR, OPERATOR"
    );

    // An operator doesn't sign for another.
    let mut forged = lot(2);
    forged["payload"]["operator_id"] = json!("00000000-0000-0000-0000-000000000001");
    assert_eq!(sync(&operator, &[forged]).await?[0]["http_status"], 403);

    let many: Vec<Value> = (0..501).map(lot).collect();
    let too_many = operator.post("/api/sync", json!({ "items": many })).await?;
    too_many.is_problem(422, "validation");
    assert_eq!(too_many.faults(), ["body.items too_long"]);
    let send = async |length: usize| {
        let empty = json!({ "items": [], "filler": "" }).to_string();
        let body = empty.replacen(
            "\"\"",
            &format!("\"{}\"", "x".repeat(length - empty.len())),
            1,
        );
        let request = operator.request(Method::POST, "/api/sync");
        Reply::to(
            request
                .header("content-type", "application/json")
                .body(body),
        )
        .await
    };
    let most = 4 * 1024 * 1024;
    send(most).await?.is(200);
    send(most + 1).await?.is_problem(413, "body-too-large");
    send(9 * 1024 * 1024)
        .await?
        .is_problem(413, "body-too-large");
    for (body, fault) in [
        (json!({}), "body.items missing"),
        (json!({ "items": 1 }), "body.items list_type"),
        (
            json!({ "items": [], "pending_after": -1 }),
            "body.pending_after int_parsing",
        ),
        (
            json!({ "items": [lot(1)], "pending_after": 0.5 }),
            "body.pending_after int_parsing",
        ),
    ] {
        let refused = operator.post("/api/sync", body).await?;
        refused.is_problem(422, "validation");
        assert_eq!(refused.faults(), [fault]);
    }
    assert_eq!(
        number(&database, "lots WHERE lot_code LIKE 'OFF-%'").await?,
        1
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_two_devices_send_at_once_is_written_once() -> Result<()> {
    let wms = Wms::start().await?;
    let database = wms.database().await?;
    let (one, other) = (
        User::login(&wms, "operator").await?,
        User::login(&wms, "manager").await?,
    );
    let batch: Vec<Value> = (0..60)
        .flat_map(|n| [lot(n), decision(n, "PASS", client_id(1, n))])
        .collect();
    let (first, second) = tokio::join!(sync(&one, &batch), sync(&other, &batch));
    for (first, second) in first?.iter().zip(&second?) {
        let mut statuses = [&first["status"], &second["status"]];
        statuses.sort_by_key(|status| status.to_string());
        assert_eq!(statuses, ["created", "duplicate"], "{first} / {second}");
        assert_eq!(first["id"], second["id"]);
    }
    assert_eq!(
        number(&database, "lots WHERE lot_code LIKE 'OFF-%'").await?,
        60
    );
    assert_eq!(number(&database, "qc_decisions").await?, 60);

    // Surely at the same time: the first one is kept from its commit, by the chain's lock (migration 13), until the second has come.
    let lock = "(x'61756469'::int, x'74'::int)";
    database
        .batch_execute(&format!("SELECT pg_advisory_lock{lock}"))
        .await?;
    let items = [lot(100)];
    let both = async { tokio::join!(sync(&one, &items), sync(&other, &items)) };
    let release = async {
        timeout(PATIENCE, async {
            while number(
                &database,
                "pg_locks WHERE locktype = 'advisory' AND NOT granted",
            )
            .await?
                < 2
            {
                sleep(Duration::from_millis(5)).await;
            }
            database
                .batch_execute(&format!("SELECT pg_advisory_unlock{lock}"))
                .await?;
            anyhow::Ok(())
        })
        .await?
    };
    let ((first, second), released) = tokio::join!(both, release);
    released?;
    let (first, second) = (first?, second?);
    let mut statuses = [&first[0]["status"], &second[0]["status"]];
    statuses.sort_by_key(|status| status.to_string());
    assert_eq!(statuses, ["created", "duplicate"], "{first:?} / {second:?}");
    assert_eq!(first[0]["id"], second[0]["id"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_breaks_off_is_sent_again_and_nothing_is_lost_or_doubled() -> Result<()> {
    let stack = Stack::start(Options::temporary()).await?;
    let pooler = Network::before(stack.pgbouncer_host()).await?;
    let wms = Wms::on(stack, |options| pooler.divert(options)).await?;
    let database = wms.database().await?;
    let user = User::login(&wms, "operator").await?;
    let items: Vec<Value> = (0..20).map(lot).collect();

    // The eighth is committed, and the host doesn't hear of it.
    pooler.lose("OFF-7\"");
    let broken = user.post("/api/sync", json!({ "items": items })).await?;
    broken.is_problem(503, "database-unavailable");
    assert_eq!(
        number(&database, "lots WHERE lot_code LIKE 'OFF-%'").await?,
        8
    );
    let again = sync(&user, &items).await?;
    for (n, result) in again.iter().enumerate() {
        let expected = if n < 8 { "duplicate" } else { "created" };
        assert_eq!(result["status"], expected, "{n}: {result}");
    }
    assert_eq!(
        number(&database, "lots WHERE lot_code LIKE 'OFF-%'").await?,
        20
    );
    Ok(())
}

#[tokio::test]
async fn what_waits_on_devices_is_summed_up_for_the_gauge() -> Result<()> {
    let wms = Wms::start().await?;
    let database = wms.database().await?;
    let pending = async || -> Result<String> {
        let statement = include_str!("../functions/gauges/src/count.sql");
        let row = database.query_one(statement, &[]).await?;
        Ok(row.get("pending_lots_offline"))
    };
    let report = async |user: &User<'_>, pending: Value| -> Result<()> {
        let body = json!({ "items": [], "pending_after": pending });
        user.post("/api/sync", body).await?.is(200);
        Ok(())
    };
    let (one, other) = (
        User::login(&wms, "operator").await?,
        User::login(&wms, "manager").await?,
    );
    assert_eq!(pending().await?, "0");
    report(&one, json!(70)).await?;
    report(&other, json!(5)).await?;
    assert_eq!(pending().await?, "75");
    // The newest report of each counts, and none at all changes nothing.
    report(&one, json!(12)).await?;
    report(&other, Value::Null).await?;
    assert_eq!(pending().await?, "17");
    report(&other, json!(0)).await?;
    assert_eq!(pending().await?, "12");
    let aged = "UPDATE sync_backlogs SET reported_at = reported_at - interval '7 days'";
    database.batch_execute(aged).await?;
    assert_eq!(pending().await?, "0");
    Ok(())
}
