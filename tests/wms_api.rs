//! The WMS API answers as its contract says: who may, what is refused and how, and what a 2xx means.

use anyhow::{Context, Result};
use flowviz_stack::Part;
use flowviz_tests::Wms;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

/// An answer, taken apart.
struct Answer {
    status: StatusCode,
    headers: reqwest::header::HeaderMap,
    body: Value,
}

impl Answer {
    async fn to(request: RequestBuilder) -> Result<Self> {
        let answer = request.send().await?;
        Ok(Self {
            status: answer.status(),
            headers: answer.headers().clone(),
            body: answer.json().await.unwrap_or(Value::Null),
        })
    }

    fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// It is this problem, and a whole one.
    #[track_caller]
    fn is_problem(&self, status: u16, slug: &str) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.body);
        assert_eq!(
            self.body["type"],
            format!("/problems/{slug}"),
            "{}",
            self.body
        );
        assert_eq!(self.body["status"], status, "{}", self.body);
        assert!(self.body["title"].is_string() && self.body["detail"].is_string());
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert!(!self.header("x-request-id").is_empty());
        self
    }

    /// The faults of a 422, as `path type`.
    fn faults(&self) -> Vec<String> {
        let mut faults: Vec<String> = self.body["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|fault| {
                let path: Vec<String> = fault["loc"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|step| step.to_string().replace('"', ""))
                    .collect();
                format!(
                    "{} {}",
                    path.join("."),
                    fault["type"].as_str().unwrap_or_default()
                )
            })
            .collect();
        faults.sort();
        faults
    }
}

/// One user of one WMS.
struct User<'a> {
    wms: &'a Wms,
    token: String,
}

impl<'a> User<'a> {
    async fn login(wms: &'a Wms, user: &str) -> Result<Self> {
        let token = wms.login(user).await?;
        Ok(Self { wms, token })
    }

    async fn get(&self, path: &str) -> Result<Answer> {
        self.ask(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, body: Value) -> Result<Answer> {
        self.ask(Method::POST, path, Some(body)).await
    }

    async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Answer> {
        let mut request = self
            .wms
            .http
            .request(method, self.wms.host.url(path))
            .bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::to(request).await
    }

    /// Registers a lot that must be accepted, and gives its id.
    async fn lot(&self, lot: Value) -> Result<String> {
        let answer = self.post("/api/lots", lot).await?;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        Ok(answer.body["id"].as_str().context("an id")?.to_owned())
    }
}

#[tokio::test]
async fn only_who_may_gets_in() -> Result<()> {
    let wms = Wms::start().await?;
    let login = |body: Value| Answer::to(wms.http.post(wms.host.url("/api/login")).json(&body));

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
        let answer = Answer::to(request).await?;
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
        Answer::to(
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
    Answer::to(nobody).await?.is_problem(401, "unauthenticated");

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

#[tokio::test]
async fn metadata_is_bounded_as_it_is_stored() -> Result<()> {
    let wms = Wms::start().await?;
    let operator = User::login(&wms, "operator").await?;
    let register = |code: &str, metadata: String| {
        // Written by hand: a number must reach the function as `1e308`.
        let body = format!(r#"{{"lot_code":"{code}","metadata":{metadata}}}"#);
        Answer::to(
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
        async |user: &User<'_>, gate: &str, decision: &str, more: Value| -> Result<Answer> {
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
    let health = || Answer::to(wms.http.get(wms.host.url("/api/health")));
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
