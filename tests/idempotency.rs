//! A write may be repeated under its `Idempotency-Key` until its answer arrives: it is done once, and answered each time with the same.

use anyhow::{Context as _, Result, ensure};
use flowviz_stack::{Options, Stack};
use flowviz_tests::{Answer, Network, PATIENCE, User, Wms};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::time::{Duration, sleep, timeout};
use tokio_postgres::Client;

const PAIRS: usize = 200;

/// The chain's advisory lock (migration 13): whoever holds it keeps every write from its commit.
const HOLD_COMMITS: &str = "SELECT pg_advisory_lock(x'61756469'::int, x'74'::int)";
const LET_COMMIT: &str = "SELECT pg_advisory_unlock(x'61756469'::int, x'74'::int)";

fn keyed(user: &User<'_>, method: Method, path: &str, key: &str, body: &Value) -> RequestBuilder {
    let request = user.request(method, path);
    request.header("idempotency-key", key).json(body)
}

async fn lot(user: &User<'_>, key: &str, body: &Value) -> Result<Answer> {
    Answer::of(keyed(user, Method::POST, "/api/lots", key, body)).await
}

fn is_replay(answer: &Answer) -> bool {
    answer.header("idempotency-replayed") == Some("true")
}

/// Everything of the answer but what each answer has of its own.
fn content(answer: &Answer) -> (StatusCode, Vec<Option<&str>>, &[u8]) {
    let headers = ["location", "etag", "content-type", "cache-control"];
    let headers = headers.map(|name| answer.header(name)).to_vec();
    (answer.status, headers, &answer.body)
}

async fn count(database: &Client, from: &str) -> Result<i64> {
    let statement = format!("SELECT count(*) FROM {from}");
    Ok(database.query_one(&statement, &[]).await?.get(0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_at_once_write_once() -> Result<()> {
    let wms = Wms::start().await?;
    let user = User::login(&wms, "operator").await?;
    let database = wms.database().await?;
    let (mut replays, mut refusals) = (0, 0);
    for n in 0..PAIRS {
        let (key, body) = (
            format!("pair-{n}"),
            json!({ "lot_code": format!("TWICE-{n}"), "lot_type": "RAW", "weight_kg": n }),
        );
        let (one, other) = tokio::join!(lot(&user, &key, &body), lot(&user, &key, &body));
        let mut answers = [one?, other?];
        // The one that wrote comes first.
        answers.sort_by_key(|answer| (answer.status != 201, is_replay(answer)));
        let [written, repeated] = &answers;
        assert_eq!(written.status, 201, "{}", written.text());
        assert!(!is_replay(written), "pair {n}: nobody has written");
        if repeated.status == 201 {
            assert!(is_replay(repeated), "pair {n}: both have written");
            assert_eq!(content(repeated), content(written));
            replays += 1;
        } else {
            repeated.expect_problem(409, "idempotency-key-in-use")?;
            assert_eq!(repeated.header("retry-after"), Some("1"));
            refusals += 1;
        }
        let again = lot(&user, &key, &body).await?;
        assert!(is_replay(&again));
        assert_eq!(content(&again), content(written));
        let location = format!(
            "/api/lots/{}",
            written.json()?["id"].as_str().context("an id")?
        );
        assert_eq!(again.header("location"), Some(&*location));
    }
    println!("{replays} replays, {refusals} refusals");
    let pairs = i64::try_from(PAIRS)?;
    assert_eq!(
        count(&database, "lots WHERE lot_code LIKE 'TWICE-%'").await?,
        pairs
    );
    assert_eq!(
        count(&database, "audit_events WHERE action = 'lot.registered'").await?,
        pairs
    );
    let metrics = wms.host.metrics().await?;
    let registered = metrics.sum("flowviz_lots_registered_total", &[("lot_type", "RAW")]);
    assert_eq!(registered, PAIRS as f64);
    let weight = metrics.sum("flowviz_lots_registered_kg_total", &[("lot_type", "RAW")]);
    assert_eq!(weight, (0..PAIRS).sum::<usize>() as f64);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_first_is_under_way_the_second_is_told_to_wait() -> Result<()> {
    let wms = Wms::start().await?;
    let user = User::login(&wms, "operator").await?;
    let database = wms.database().await?;
    let body = json!({ "lot_code": "SLOW" });
    database.batch_execute(HOLD_COMMITS).await?;
    let first = lot(&user, "slow", &body);
    let second = async {
        // The first may have to wait for the commit of nobody else.
        wait_for(
            &database,
            "pg_locks WHERE locktype = 'advisory' AND NOT granted",
        )
        .await?;
        let second = lot(&user, "slow", &body).await?;
        second.expect_problem(409, "idempotency-key-in-use")?;
        assert_eq!(second.header("retry-after"), Some("1"));
        // Nobody else is held up by it.
        let faulty = lot(&user, "slow", &json!({ "lot_code": "" })).await?;
        faulty.expect_problem(422, "validation")?;
        database.batch_execute(LET_COMMIT).await?;
        anyhow::Ok(())
    };
    let (first, second) = tokio::join!(first, second);
    second?;
    let (first, third) = (first?, lot(&user, "slow", &body).await?);
    assert!(first.status == 201 && !is_replay(&first) && is_replay(&third));
    assert_eq!(content(&third), content(&first));
    Ok(())
}

/// Waits until the database has such a row.
async fn wait_for(database: &Client, from: &str) -> Result<()> {
    timeout(PATIENCE, async {
        while count(database, from).await? == 0 {
            sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    })
    .await
    .with_context(|| format!("never seen: {from}"))?
}

#[tokio::test]
async fn a_key_is_one_users_for_one_request_for_a_day() -> Result<()> {
    let wms = Wms::start().await?;
    let database = wms.database().await?;
    let user = User::login(&wms, "operator").await?;
    let manager = User::login(&wms, "manager").await?;
    let first = lot(&user, "k", &json!({ "lot_code": "A" })).await?;
    assert_eq!(first.status, 201);

    // Another body, or another path.
    let reused = lot(&user, "k", &json!({ "lot_code": "B" })).await?;
    reused.expect_problem(422, "idempotency-key-reused")?;
    let change = json!({ "weight_kg": 1 });
    let patch = |path: &str| keyed(&user, Method::PATCH, path, "k", &change);
    assert_eq!(Answer::of(patch("/api/lots/A")).await?.status, 200);
    let reused = Answer::of(patch("/api/lots/RAW-BEEF-001")).await?;
    reused.expect_problem(422, "idempotency-key-reused")?;
    // Another user, another route (as the PATCH was).
    let other = lot(&manager, "k", &json!({ "lot_code": "C" })).await?;
    assert!(other.status == 201 && !is_replay(&other));
    let decision = json!({ "lot_id": first.json()?["id"], "decision": "PASS" });
    let decision = keyed(&user, Method::POST, "/api/qc-decisions", "k", &decision);
    let decision = Answer::of(decision).await?;
    assert!(decision.status == 201 && !is_replay(&decision));
    // Keys are told apart by every letter.
    assert_eq!(
        lot(&user, "K", &json!({ "lot_code": "D" })).await?.status,
        201
    );

    // The role counts before what was kept.
    let dismissed = "UPDATE users SET role = 'VIEWER' WHERE email = 'manager@flowviz.com'";
    database.batch_execute(dismissed).await?;
    let refused = lot(&manager, "k", &json!({ "lot_code": "C" })).await?;
    refused.expect_problem(403, "forbidden")?;

    let longest = "~".repeat(255);
    assert_eq!(
        lot(&user, &longest, &json!({ "lot_code": "LONG" }))
            .await?
            .status,
        201
    );
    assert!(is_replay(
        &lot(&user, &longest, &json!({ "lot_code": "LONG" })).await?
    ));
    for key in [
        &b""[..],
        b"a b",
        b"\t",
        "kulcs-ő".as_bytes(),
        b"\xff",
        &[b'x'; 256],
    ] {
        let request = user
            .request(Method::POST, "/api/lots")
            .header("idempotency-key", key);
        let refused = Answer::of(request.json(&json!({ "lot_code": "BAD" }))).await?;
        refused.expect_problem(422, "validation")?;
        let place = &refused.json()?["errors"][0]["loc"];
        assert_eq!(place, &json!(["header", "idempotency-key"]), "{key:?}");
    }
    assert_eq!(count(&database, "lots WHERE lot_code = 'BAD'").await?, 0);

    // What was refused isn't kept: it may be mended, or come again when it fits.
    for (refused, slug, status) in [
        (
            json!({ "lot_code": "E", "weight_kg": -1 }),
            "validation",
            422,
        ),
        (json!({ "lot_code": "A" }), "lot-code-taken", 409),
        (
            json!({ "lot_code": "E", "parents": [{ "lot_code": "A", "quantity_used_kg": 9 }] }),
            "parent-overdrawn",
            409,
        ),
    ] {
        lot(&user, "mended", &refused)
            .await?
            .expect_problem(status, slug)?;
    }
    let mended = lot(&user, "mended", &json!({ "lot_code": "E" })).await?;
    assert!(
        mended.status == 201 && !is_replay(&mended),
        "{}",
        mended.text()
    );

    // A day later the key is free.
    let lifetime =
        "SELECT DISTINCT expires_at - created_at = interval '24 hours' FROM idempotency_keys";
    let lifetimes: Vec<bool> = database
        .query(lifetime, &[])
        .await?
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert_eq!(lifetimes, [true]);
    let age = async |by: &str| {
        let statement = format!(
            "UPDATE idempotency_keys SET expires_at = expires_at - interval '{by}' WHERE key = 'mended'"
        );
        database.batch_execute(&statement).await
    };
    age("23 hours").await?;
    assert!(is_replay(
        &lot(&user, "mended", &json!({ "lot_code": "E" })).await?
    ));
    age("1 hour").await?;
    let (again, next) = (json!({ "lot_code": "E" }), json!({ "lot_code": "F" }));
    lot(&user, "mended", &again)
        .await?
        .expect_problem(409, "lot-code-taken")?;
    let fresh = lot(&user, "mended", &next).await?;
    assert!(
        fresh.status == 201 && !is_replay(&fresh),
        "{}",
        fresh.text()
    );
    assert!(is_replay(&lot(&user, "mended", &next).await?));
    Ok(())
}

#[tokio::test]
async fn every_write_may_be_repeated() -> Result<()> {
    let wms = Wms::start().await?;
    let database = wms.database().await?;
    let admin = User::login(&wms, "admin").await?;
    let raw = admin
        .lot(json!({ "lot_code": "RAW", "weight_kg": 10 }))
        .await?;
    let mix = admin.lot(json!({ "lot_code": "MIX" })).await?;
    let scenario = admin.get("/api/scenarios").await?.body[0]["id"].clone();
    let run = json!({ "scenario_id": scenario });
    let begun = admin.post("/api/production-runs", run.clone()).await?;
    let begun = begun.body["id"].as_str().context("a run")?.to_owned();
    let viewer = "00000000-0000-0000-0000-000000000005";
    let person = json!({ "email": "new@flowviz.com", "role": "VIEWER", "password": "long enough for anybody" });
    let writes = [
        (
            Method::POST,
            "/api/lots".to_owned(),
            json!({ "lot_code": "ONCE" }),
            json!({ "lot_code": "TWICE" }),
        ),
        (
            Method::POST,
            "/api/qc-decisions".to_owned(),
            json!({ "lot_id": raw, "decision": "PASS" }),
            json!({ "lot_id": raw, "decision": "FAIL", "notes": "not what was asked first" }),
        ),
        (
            Method::POST,
            format!("/api/lots/{mix}/parents"),
            json!({ "parent_lot_id": raw, "quantity_used_kg": 4 }),
            json!({ "parent_lot_id": raw, "quantity_used_kg": 5 }),
        ),
        (
            Method::PATCH,
            format!("/api/lots/{raw}"),
            json!({ "temperature_c": 1 }),
            json!({ "temperature_c": 2 }),
        ),
        (
            Method::POST,
            "/api/production-runs".to_owned(),
            run,
            json!({ "scenario_id": scenario, "daily_target_kg": 1 }),
        ),
        (
            Method::PATCH,
            format!("/api/production-runs/{begun}"),
            json!({ "status": "COMPLETED" }),
            json!({ "status": "CANCELLED" }),
        ),
        (
            Method::POST,
            "/api/users".to_owned(),
            person,
            json!({ "email": "new@flowviz.com", "role": "ADMIN", "password": "long enough for anybody" }),
        ),
        (
            Method::PUT,
            format!("/api/users/{viewer}/role"),
            json!({ "role": "AUDITOR" }),
            json!({ "role": "MANAGER" }),
        ),
    ];
    for (method, path, body, other) in &writes {
        let send = |body| {
            Answer::of(keyed(
                &admin,
                method.clone(),
                path,
                "the-same-for-all",
                body,
            ))
        };
        let first = send(body).await?;
        assert!(
            first.status.is_success() && !is_replay(&first),
            "{method} {path}: {}",
            first.text()
        );
        let (events, metrics) = (
            count(&database, "audit_events").await?,
            wms.host.metrics().await?,
        );
        let again = send(body).await?;
        assert!(is_replay(&again), "{method} {path}");
        assert_eq!(content(&again), content(&first), "{method} {path}");
        send(other)
            .await?
            .expect_problem(422, "idempotency-key-reused")?;

        assert_eq!(
            count(&database, "audit_events").await?,
            events,
            "{method} {path}"
        );
        let after = wms.host.metrics().await?;
        for name in [
            "flowviz_lots_registered_total",
            "flowviz_lots_registered_kg_total",
            "flowviz_qc_decisions_total",
        ] {
            assert_eq!(
                after.sum(name, &[]),
                metrics.sum(name, &[]),
                "{method} {path}: {name}"
            );
        }
    }

    // What is repeated is the answer, not the change.
    let warm = json!({ "temperature_c": 9 });
    admin
        .patch(&format!("/api/lots/{raw}"), warm)
        .await?
        .is(200);
    let (method, path, body, _) = &writes[3];
    let again = Answer::of(keyed(
        &admin,
        method.clone(),
        path,
        "the-same-for-all",
        body,
    ))
    .await?;
    assert!(is_replay(&again) && again.json()?["temperature_c"] == "1.0");
    let now = admin.get(path).await?;
    assert_eq!(now.body["temperature_c"], "9.0");

    // Nothing of a request can be read, or guessed, from what is kept of it.
    let kept: String = database
        .query_one(
            "SELECT string_agg(k::text, ' ') || string_agg(e::text, ' ') FROM idempotency_keys k, audit_events e",
            &[],
        )
        .await?
        .get(0);
    assert!(!kept.contains("long enough for anybody") && !kept.contains("argon2"));
    let guessed = count(
        &database,
        "idempotency_keys WHERE fingerprint = sha256('/api/users'::bytea || '\\x00'::bytea || $${\"email\":\"new@flowviz.com\",\"password\":\"long enough for anybody\",\"role\":\"VIEWER\"}$$::bytea)",
    );
    assert_eq!(guessed.await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_was_lost_comes_again() -> Result<()> {
    // Between the client and the host.
    let stack = Stack::start(Options::temporary()).await?;
    // Between the host and the pooler.
    let inner = Network::before(stack.pgbouncer_host()).await?;
    let wms = Wms::on(stack, |options| inner.divert(options)).await?;
    let outer = Network::before(wms.host.address.to_string()).await?;
    let database = wms.database().await?;
    let user = User::login(&wms, "operator").await?;

    // The client hears nothing, and the write is done.
    let body = json!({ "lot_code": "LOST-AT-THE-CLIENT", "lot_type": "RAW", "weight_kg": 12.5 });
    outer.lose("LOST-AT-THE-CLIENT");
    let cut = reqwest::Client::new()
        .post(format!("http://{}/api/lots", outer.address))
        .bearer_auth(&user.token)
        .header("idempotency-key", "lost")
        .json(&body)
        .send()
        .await;
    assert!(cut.is_err(), "{cut:?}");
    assert_eq!(
        count(&database, "lots WHERE lot_code = 'LOST-AT-THE-CLIENT'").await?,
        1
    );
    let again = lot(&user, "lost", &body).await?;
    assert!(again.status == 201 && is_replay(&again), "{}", again.text());
    let lost = outer.lost();
    let (head, content) = lost[0].split_once("\r\n\r\n").context("a response")?;
    assert!(head.starts_with("HTTP/1.1 201 "), "{head}");
    assert_eq!(content, again.text());
    let location = again.header("location").context("a location")?;
    assert!(
        head.contains(&format!("location: {location}\r\n")),
        "{head}"
    );
    assert!(!head.contains("idempotency-replayed"), "{head}");

    // The host hears nothing from the database: it can't know, says so, and the client asks again.
    let body = json!({ "lot_code": "LOST-AT-THE-HOST", "lot_type": "RAW" });
    inner.lose("LOST-AT-THE-HOST");
    let unsure = lot(&user, "unsure", &body).await?;
    unsure.expect_problem(503, "database-unavailable")?;
    assert!(unsure.header("retry-after").is_some());
    assert_eq!(
        count(&database, "lots WHERE lot_code = 'LOST-AT-THE-HOST'").await?,
        1
    );
    let again = lot(&user, "unsure", &body).await?;
    assert!(again.status == 201 && is_replay(&again), "{}", again.text());
    assert_eq!(again.json()?["lot_code"], "LOST-AT-THE-HOST");
    assert_eq!((inner.lost().len(), outer.lost().len()), (1, 1));
    assert_eq!(
        count(&database, "audit_events WHERE action = 'lot.registered'").await?,
        2
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_leaves_and_comes_again_writes_once() -> Result<()> {
    let wms = Wms::start().await?;
    let database = wms.database().await?;
    let user = User::login(&wms, "operator").await?;
    for n in 0..20 {
        let body = json!({ "lot_code": format!("LEFT-{n}"), "lot_type": "RAW" });
        let key = format!("left-{n}");
        let text = body.to_string();
        database.batch_execute(HOLD_COMMITS).await?;
        let mut client = tokio::net::TcpStream::connect(wms.host.address).await?;
        let request = format!(
            "POST /api/lots HTTP/1.1\r\nHost: wms\r\nAuthorization: Bearer {}\r\nIdempotency-Key: {key}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
            user.token,
            text.len()
        );
        client.write_all(request.as_bytes()).await?;
        // All is written and nothing committed.
        wait_for(
            &database,
            "pg_locks WHERE locktype = 'advisory' AND NOT granted",
        )
        .await?;
        drop(client);
        // Whether the host has cancelled the statement by now, or it is committed after all: one of both, and the key knows which.
        sleep(Duration::from_millis(n * 5)).await;
        database.batch_execute(LET_COMMIT).await?;
        let answer = timeout(PATIENCE, async {
            loop {
                let answer = lot(&user, &key, &body).await?;
                if answer.status == 409 {
                    answer.expect_problem(409, "idempotency-key-in-use")?;
                    sleep(Duration::from_millis(10)).await;
                } else {
                    return anyhow::Ok(answer);
                }
            }
        })
        .await??;
        ensure!(answer.status == 201, "{}", answer.text());
    }
    assert_eq!(
        count(&database, "lots WHERE lot_code LIKE 'LEFT-%'").await?,
        20
    );
    assert_eq!(
        count(&database, "audit_events WHERE action = 'lot.registered'").await?,
        20
    );
    Ok(())
}
