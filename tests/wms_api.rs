//! The WMS API answers as its contract says: who may, what is refused and how, and what a 2xx means.

use anyhow::Result;
use flowviz_stack::Part;
use flowviz_tests::{Reply, User, Wms};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

#[tokio::test]
async fn only_who_may_gets_in() -> Result<()> {
    let wms = Wms::start().await?;
    let login = |body: Value| Reply::to(wms.http.post(wms.host.url("/api/login")).json(&body));

    let wrong = login(json!({ "email": "admin@flowviz.com", "password": "wrong" })).await?;
    wrong.is_problem(401, "invalid-credentials");
    assert_eq!(wrong.header("www-authenticate"), "Bearer");
    let nobody = login(json!({ "email": "nobody@flowviz.com", "password": "wrong" })).await?;
    assert_eq!(
        nobody.body, wrong.body,
        "an unknown user must look the same"
    );
    let empty = login(json!({ "email": 7 })).await?;
    empty.is_problem(422, "validation");
    assert_eq!(
        empty.faults(),
        ["body.email string_type", "body.password missing"]
    );
    let attempts = wms.host.metrics().await?;
    let attempts = |result| attempts.sum("flowviz_login_attempts_total", &[("result", result)]);
    assert_eq!((attempts("failure"), attempts("success")), (2.0, 0.0));

    // No token, a damaged one, one of another scheme.
    let lots = || wms.http.get(wms.host.url("/api/lots"));
    let token = wms.login("viewer").await?;
    for request in [
        lots(),
        lots().bearer_auth(format!("{token}x")),
        lots().basic_auth("a", Some("b")),
    ] {
        let answer = Reply::to(request).await?;
        answer.is_problem(401, "unauthenticated");
        assert_eq!(answer.header("www-authenticate"), "Bearer");
    }

    // A viewer may look, and not write; the role is looked up before the body is judged.
    let viewer = User { wms: &wms, token };
    assert_eq!(viewer.get("/api/lots").await?.status, StatusCode::OK);
    let refused = viewer.post("/api/lots", json!({ "lot_code": "" })).await?;
    refused.is_problem(403, "forbidden");
    assert_eq!(
        refused.header("x-required-roles"),
        "ADMIN, MANAGER, OPERATOR"
    );
    assert_eq!(
        refused.body["detail"],
        "Requires one of: ADMIN, MANAGER, OPERATOR"
    );

    // The role is the database's, not the token's.
    wms.database()
        .await?
        .execute(
            "UPDATE users SET role = 'OPERATOR' WHERE email = 'viewer@flowviz.com'",
            &[],
        )
        .await?;
    viewer
        .lot(json!({ "lot_code": "RAW-NOW", "lot_type": "RAW" }))
        .await?;

    // Nobody signs for another but ADMIN and MANAGER.
    let operator = User::login(&wms, "operator").await?;
    let for_admin =
        json!({ "lot_code": "RAW-X", "operator_id": "00000000-0000-0000-0000-000000000001" });
    operator
        .post("/api/lots", for_admin.clone())
        .await?
        .is_problem(403, "forbidden");
    let manager = User::login(&wms, "manager").await?;
    assert_eq!(
        manager.post("/api/lots", for_admin).await?.status,
        StatusCode::CREATED
    );
    Ok(())
}

#[tokio::test]
async fn bad_requests_are_told_all_their_faults_at_once() -> Result<()> {
    let wms = Wms::start().await?;
    let operator = User::login(&wms, "operator").await?;

    let answer = operator
        .post(
            "/api/lots",
            json!({
                "lot_code": "", "lot_type": "raw", "weight_kg": 10000.01, "temperature_c": "NaN",
                "metadata": [], "parents": [{ "quantity_used_kg": 0 }],
            }),
        )
        .await?;
    answer.is_problem(422, "validation");
    let faults = answer.faults();
    for field in [
        "lot_code",
        "lot_type",
        "weight_kg",
        "temperature_c",
        "metadata",
        "parents.0",
    ] {
        let path = format!("body.{field}");
        assert!(
            faults.iter().any(|fault| fault.starts_with(&path)),
            "{field}: {faults:?}"
        );
    }

    // What never reaches the rules: not JSON, not said to be, too deep, too large.
    let send = |content_type: &'static str, body: String| {
        Reply::to(
            wms.http
                .post(wms.host.url("/api/lots"))
                .bearer_auth(&operator.token)
                .header("content-type", content_type)
                .body(body),
        )
    };
    send("application/json", "{".to_owned())
        .await?
        .is_problem(422, "validation");
    send("text/plain", "{}".to_owned())
        .await?
        .is_problem(415, "unsupported-media-type");
    let deep = format!("{{\"metadata\":{}1{}}}", "[".repeat(100), "]".repeat(100));
    send("application/json", deep)
        .await?
        .is_problem(422, "validation");
    send("application/json", " ".repeat(300 * 1024))
        .await?
        .is_problem(413, "body-too-large");
    send("application/json", " ".repeat(2 * 1024 * 1024))
        .await?
        .is_problem(413, "body-too-large");
    // 401 comes before 413.
    let nobody = wms
        .http
        .post(wms.host.url("/api/lots"))
        .body(" ".repeat(300 * 1024));
    Reply::to(nobody).await?.is_problem(401, "unauthenticated");

    // Hostile text is stored as it is, or refused; never a 5xx, never a statement.
    for code in [
        "'; DROP TABLE lots; --",
        "<script>",
        "🥙/½",
        "a b%20c",
        "../../etc/passwd",
    ] {
        let id = operator.lot(json!({ "lot_code": code })).await?;
        let found = operator.get(&format!("/api/lots/{id}")).await?;
        assert_eq!(found.body["lot_code"], code);
        let encoded: String = code.bytes().map(|byte| format!("%{byte:02X}")).collect();
        let found = operator.get(&format!("/api/lots/{encoded}")).await?;
        assert_eq!(found.body["id"], id, "{code} by its code");
    }
    operator
        .post("/api/lots", json!({ "lot_code": "a\u{0}b" }))
        .await?
        .is_problem(422, "validation");

    let delete = operator.ask(Method::DELETE, "/api/lots", None).await?;
    delete.is_problem(405, "method-not-allowed");
    assert!(delete.header("allow").contains("GET, POST"));
    operator
        .get("/api/nothing")
        .await?
        .is_problem(404, "not-found");
    operator
        .get("/api/lots/NO-SUCH-LOT")
        .await?
        .is_problem(404, "lot-not-found");
    operator
        .get("/api/traceability/NO-SUCH-LOT")
        .await?
        .is_problem(404, "lot-not-found");
    for query in [
        "limit=0",
        "limit=201",
        "limit=x",
        "cursor=forged",
        "lot_type=raw",
        "status=x",
        "created_from=0000-01-01T00:00:00Z",
        "created_to=9999-12-31T23:59:59-12:00",
    ] {
        let answer = operator.get(&format!("/api/lots?{query}")).await?;
        answer.is_problem(422, "validation");
        let name = query.split('=').next().unwrap_or_default();
        let place = &answer.body["errors"][0]["loc"];
        assert_eq!(place, &json!(["query", name]), "{query}");
    }
    // What the database can hold, it is asked for.
    for path in [
        "/api/lots?created_from=0001-01-01T00:00:00Z&created_to=9999-12-31T23:59:59Z",
        "/api/lots?created_from=2026-06-30T23:59:60.5Z",
        "/api/lots?code_prefix=%F0%9F%A5%99%EF%BF%BD",
        "/api/lots?production_run_id=%7B00000000-0000-0000-0000-000000000000%7D",
        "/api/qc-decisions?gate_number=-9999999.999",
    ] {
        let answer = operator.get(path).await?;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.body);
    }
    Ok(())
}

/// Reachable and silent is worse than gone: nobody says no.
#[tokio::test]
async fn health_says_degraded_while_the_database_is_silent() -> Result<()> {
    let wms = Wms::start().await?;
    let signal = |name: &str| {
        let pid = wms.stack.pid(Part::PgBouncer).unwrap_or_default();
        std::process::Command::new("kill")
            .args([name, &pid.to_string()])
            .status()
    };
    let health = || Reply::to(wms.http.get(wms.host.url("/api/health")));
    assert_eq!(health().await?.body["status"], "ok");

    signal("-STOP")?;
    let silent = health().await;
    signal("-CONT")?;
    let silent = silent?;
    assert_eq!(silent.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(silent.body["status"], "degraded", "{}", silent.body);
    assert_eq!(silent.header("retry-after"), "5");
    assert_eq!(health().await?.body["status"], "ok");
    Ok(())
}

#[tokio::test]
async fn what_was_answered_is_committed_and_an_outage_is_a_503() -> Result<()> {
    let mut wms = Wms::start().await?;
    let token = wms.login("operator").await?;
    let operator = User {
        wms: &wms,
        token: token.clone(),
    };
    operator.lot(json!({ "lot_code": "BEFORE" })).await?;
    wms.stack.stop_postgres().await;

    let operator = User {
        wms: &wms,
        token: token.clone(),
    };
    let refused = operator
        .post("/api/lots", json!({ "lot_code": "DURING" }))
        .await?;
    refused.is_problem(503, "database-unavailable");
    assert!(!refused.header("retry-after").is_empty());
    let health = operator.get("/api/health").await?;
    assert_eq!(health.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(health.body["status"], "degraded");
    wms.host.wait_ready(503).await?;

    wms.stack.start_postgres().await?;
    wms.host.wait_ready(200).await?;
    let operator = User { wms: &wms, token };
    assert_eq!(
        operator.get("/api/lots/BEFORE").await?.status,
        StatusCode::OK
    );
    operator
        .get("/api/lots/DURING")
        .await?
        .is_problem(404, "lot-not-found");
    let metrics = wms.host.metrics().await?;
    assert!(metrics.sum("flowviz_function_errors_total", &[("reason", "database")]) >= 2.0);
    assert!(metrics.sum("flowviz_db_queries_total", &[("result", "unavailable")]) >= 1.0);
    Ok(())
}
