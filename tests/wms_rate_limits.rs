//! Nobody asks more of the WMS than api.md allows: every path says its limit, login is limited per address and per email, users don't
//! take each other's share, and what is refused never reaches a function.

use anyhow::{Context as _, Result};
use flowviz_stack::{Options, Stack};
use flowviz_tests::{Reply, User, Wms};
use reqwest::{Method, StatusCode};
use serde_json::json;

/// A WMS whose limits hold, as in production.
async fn limited() -> Result<Wms> {
    let stack = Stack::start(Options::temporary()).await?;
    Wms::on(stack, |options| {
        options
            .env
            .retain(|(name, _)| name != "FLOWVIZ_RATE_LIMITS");
    })
    .await
}

const LIMITS: &[(&str, &str, u32)] = &[
    ("GET", "/api/health", 200),
    ("POST", "/api/refresh-token", 10),
    ("GET", "/api/me", 200),
    ("GET", "/api/users", 60),
    ("POST", "/api/users", 60),
    ("PUT", "/api/users/x/role", 60),
    ("GET", "/api/lots", 200),
    ("POST", "/api/lots", 600),
    ("GET", "/api/lots/x", 200),
    ("PATCH", "/api/lots/x", 100),
    ("GET", "/api/lots/x/parents", 100),
    ("POST", "/api/lots/x/parents", 100),
    ("GET", "/api/qc-decisions", 100),
    ("POST", "/api/qc-decisions", 600),
    ("GET", "/api/qc-gates", 200),
    ("GET", "/api/traceability/x", 100),
    ("GET", "/api/traceability/x/graph", 100),
    ("GET", "/api/traceability/x/recall", 30),
    ("GET", "/api/production-runs", 200),
    ("POST", "/api/production-runs", 100),
    ("GET", "/api/production-runs/x", 200),
    ("PATCH", "/api/production-runs/x", 100),
    ("GET", "/api/scenarios", 200),
    ("GET", "/api/operators/active", 200),
    ("POST", "/api/sync", 60),
    ("GET", "/api/audit-events", 60),
];

#[tokio::test]
async fn every_path_says_its_limit_and_users_have_their_own() -> Result<()> {
    let wms = limited().await?;
    let admin = User::login(&wms, "admin").await?;
    for (method, path, requests) in LIMITS {
        let answer = admin
            .ask(Method::from_bytes(method.as_bytes())?, path, None)
            .await?;
        let policy = format!("\"user\";q={requests};w=60");
        assert_eq!(answer.header("ratelimit-policy"), policy, "{method} {path}");
        let left = format!("\"user\";r={};t=", requests - 1);
        let told = answer.header("ratelimit");
        assert!(told.starts_with(&left), "{method} {path}: {told}");
    }

    // A recall is dear: 30 a minute, and the one after has to wait. Another user has not.
    let recall = "/api/traceability/RAW-BEEF-001/recall";
    let mut refused = None;
    for _ in 0..40 {
        let answer = admin.get(recall).await?;
        if answer.status != StatusCode::OK {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.context("no limit")?;
    refused.is_problem(429, "rate-limited");
    let wait: u64 = refused.header("retry-after").parse()?;
    assert!((1..=60).contains(&wait), "{wait}");
    assert_eq!(refused.header("ratelimit-policy"), "\"user\";q=30;w=60");
    let before = wms.host.metrics().await?;
    let count = |metrics: &flowviz_tests::Metrics, status| {
        metrics.sum(
            "http_requests_total",
            &[("function", "recall"), ("status", status)],
        )
    };
    assert!(count(&before, "429") >= 1.0);
    let operator = User::login(&wms, "operator").await?;
    assert_eq!(operator.get(recall).await?.status, StatusCode::OK);
    Ok(())
}

#[tokio::test]
async fn nobody_guesses_passwords_by_trying() -> Result<()> {
    let wms = limited().await?;
    let attempt = |email: &str| {
        let body = json!({ "email": email, "password": "a guess" });
        Reply::to(wms.http.post(wms.host.url("/api/login")).json(&body))
    };
    let mut statuses = Vec::new();
    for number in 0..12 {
        // The same account, however it is written.
        let email = if number % 2 == 0 {
            "admin@flowviz.com"
        } else {
            "ADMIN@FlowViz.com"
        };
        statuses.push(attempt(email).await?.status.as_u16());
    }
    assert!(statuses.starts_with(&[401; 10]), "{statuses:?}");
    assert!(statuses.contains(&429), "{statuses:?}");
    // It was the address's limit as well.
    let other = attempt("viewer@flowviz.com").await?;
    other.is_problem(429, "rate-limited");
    let failures = wms.host.metrics().await?;
    let failures = failures.get("flowviz_login_attempts_total{result=\"failure\"}");
    let reached = statuses.iter().filter(|status| **status == 401).count();
    assert_eq!(failures, Some(reached as f64), "a 429 reaches no function");
    Ok(())
}
