//! Whatever else is wrong with a request, it is told first who may not know more: 401, then 403 with the roles that may, then 413, 415
//! and 422, and only then what the work itself finds. So it is at every endpoint.

use anyhow::Result;
use flowviz_tests::{Reply, User, Wms};
use reqwest::Method;
use serde_json::json;

const NOWHERE: &str = "00000000-0000-0000-0000-00000000dead";
const ALL: &str = "ADMIN, MANAGER, AUDITOR, OPERATOR, VIEWER";
const WRITERS: &str = "ADMIN, MANAGER, OPERATOR";

/// One method of one path, as the contract has it.
struct Endpoint {
    method: &'static str,
    path: String,
    roles: &'static str,
}

fn endpoints() -> Vec<Endpoint> {
    let lot = format!("/api/lots/{NOWHERE}");
    let run = format!("/api/production-runs/{NOWHERE}");
    let endpoint = |method, path: &str, roles| Endpoint {
        method,
        path: path.to_owned(),
        roles,
    };
    vec![
        endpoint("POST", "/api/refresh-token", ALL),
        endpoint("GET", "/api/me", ALL),
        endpoint("GET", "/api/users", "ADMIN"),
        endpoint("POST", "/api/users", "ADMIN"),
        endpoint("PUT", &format!("/api/users/{NOWHERE}/role"), "ADMIN"),
        endpoint("GET", "/api/lots", ALL),
        endpoint("POST", "/api/lots", WRITERS),
        endpoint("GET", &lot, ALL),
        endpoint("PATCH", &lot, WRITERS),
        endpoint("GET", &format!("{lot}/parents"), ALL),
        endpoint("POST", &format!("{lot}/parents"), WRITERS),
        endpoint("GET", "/api/qc-decisions", ALL),
        endpoint(
            "POST",
            "/api/qc-decisions",
            "ADMIN, MANAGER, AUDITOR, OPERATOR",
        ),
        endpoint("GET", "/api/qc-gates", ALL),
        endpoint("GET", "/api/traceability/NO-SUCH-LOT", ALL),
        endpoint("GET", "/api/traceability/NO-SUCH-LOT/graph", ALL),
        endpoint("GET", "/api/traceability/NO-SUCH-LOT/recall", ALL),
        endpoint("GET", "/api/production-runs", ALL),
        endpoint("POST", "/api/production-runs", WRITERS),
        endpoint("GET", &run, ALL),
        endpoint("PATCH", &run, WRITERS),
        endpoint("GET", "/api/scenarios", ALL),
        endpoint("GET", "/api/operators/active", ALL),
        endpoint("POST", "/api/sync", "ADMIN, MANAGER, AUDITOR, OPERATOR"),
        endpoint("GET", "/api/audit-events", "ADMIN, AUDITOR"),
    ]
}

// === impl Endpoint ===

impl Endpoint {
    fn method(&self) -> Result<Method> {
        Ok(self.method.parse()?)
    }

    fn takes_body(&self) -> bool {
        self.method != "GET" && self.path != "/api/refresh-token"
    }

    /// Whether the body may have 256 KiB.
    fn takes_little(&self) -> bool {
        self.takes_body() && self.path != "/api/sync"
    }

    fn told(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

#[tokio::test]
async fn who_asks_comes_before_what_is_asked() -> Result<()> {
    let wms = Wms::start().await?;
    let mut users = Vec::new();
    for (role, name) in [
        ("ADMIN", "admin"),
        ("MANAGER", "manager"),
        ("AUDITOR", "auditor"),
        ("OPERATOR", "operator"),
        ("VIEWER", "viewer"),
    ] {
        users.push((role, User::login(&wms, name).await?));
    }
    let too_long = " ".repeat(257 * 1024);
    for endpoint in endpoints() {
        let told = endpoint.told();
        let method = endpoint.method()?;

        let send = |user: Option<&User<'_>>| {
            let url = wms.host.url(&endpoint.path);
            let mut request = wms
                .http
                .request(method.clone(), format!("{url}?limit=0&depth=0"));
            if let Some(user) = user {
                request = request.bearer_auth(&user.token);
            }
            if endpoint.takes_body() {
                request = request
                    .header("content-type", "text/plain")
                    .body(too_long.clone());
            }
            Reply::to(request)
        };

        // Nobody: whatever is sent.
        let anonymous = send(None).await?;
        anonymous.is_problem(401, "unauthenticated");
        assert_eq!(anonymous.header("www-authenticate"), "Bearer", "{told}");

        // Who may not is told who may; who may is not.
        for (role, user) in &users {
            let answer = send(Some(user)).await?;
            if endpoint.roles.split(", ").any(|allowed| allowed == *role) {
                assert_ne!(answer.status, 403, "{told} {role}");
                assert_eq!(answer.header("x-required-roles"), "", "{told} {role}");
            } else {
                answer.is_problem(403, "forbidden");
                assert_eq!(answer.header("x-required-roles"), endpoint.roles, "{told}");
                let detail = format!("Requires one of: {}", endpoint.roles);
                assert_eq!(answer.body["detail"], detail, "{told}");
            }
        }
    }

    // Then the body: its length, its kind, what it says.
    let (_, admin) = &users[0];
    for endpoint in endpoints().into_iter().filter(Endpoint::takes_little) {
        let told = endpoint.told();
        let method = endpoint.method()?;
        let send = |content_type: &'static str, body: String| {
            let request = admin.request(method.clone(), &endpoint.path);
            let request = request.header("content-type", content_type);
            Reply::to(request.body(body))
        };
        let answer = send("text/plain", too_long.clone()).await?;
        answer.is_problem(413, "body-too-large");
        // Just within.
        let fits = format!("{{}}{}", " ".repeat(256 * 1024 - 2));
        assert_ne!(send("application/json", fits).await?.status, 413, "{told}");
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "application/jsonp",
            "",
        ] {
            let answer = send(kind, "{".to_owned()).await?;
            answer.is_problem(415, "unsupported-media-type");
        }
        for body in ["", "{", "[]", "null", "7", "{}{}", "{\"a\":1,}"] {
            let answer = send("application/json; charset=utf-8", body.to_owned()).await?;
            answer.is_problem(422, "validation");
            assert_eq!(answer.faults(), ["body json_invalid"], "{told} {body}");
        }
        let deep = |levels: usize| {
            format!(
                "{{\"x\":{}{}}}",
                "[".repeat(levels - 1),
                "]".repeat(levels - 1)
            )
        };
        let answer = send("application/json", deep(65)).await?;
        answer.is_problem(422, "validation");
        assert_eq!(answer.faults(), ["body json_invalid"], "{told}");
        let answer = send("application/json", deep(64)).await?;
        assert_ne!(answer.faults(), ["body json_invalid"], "{told}");
    }

    // Then the work: what is said well about something that isn't there.
    for (method, path, body, slug) in [
        (
            Method::PATCH,
            format!("/api/lots/{NOWHERE}"),
            json!({}),
            "lot-not-found",
        ),
        (
            Method::PATCH,
            format!("/api/production-runs/{NOWHERE}"),
            json!({ "status": "CANCELLED" }),
            "run-not-found",
        ),
        (
            Method::PUT,
            format!("/api/users/{NOWHERE}/role"),
            json!({ "role": "VIEWER" }),
            "user-not-found",
        ),
    ] {
        let answer = admin.ask(method, &path, Some(body)).await?;
        answer.is_problem(404, slug);
    }
    Ok(())
}

#[tokio::test]
async fn a_path_says_which_methods_it_has() -> Result<()> {
    let wms = Wms::start().await?;
    let admin = User::login(&wms, "admin").await?;
    let all = endpoints();
    for endpoint in &all {
        let here = all.iter().filter(|other| other.path == endpoint.path);
        let here: Vec<&str> = here.map(|other| other.method).collect();
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            if here.contains(&method) {
                continue;
            }
            let answer = admin.ask(method.parse()?, &endpoint.path, None).await?;
            answer.is_problem(405, "method-not-allowed");
            let mut allowed: Vec<&str> = answer.header("allow").split(", ").collect();
            allowed.retain(|allowed| !["HEAD", "OPTIONS"].contains(allowed));
            allowed.sort_unstable();
            let mut expected = here.clone();
            expected.sort_unstable();
            assert_eq!(allowed, expected, "{method} {}", endpoint.path);
        }
        // HEAD is GET without the body.
        if endpoint.method == "GET" {
            let get = admin.get(&endpoint.path).await?;
            let head = admin.ask(Method::HEAD, &endpoint.path, None).await?;
            assert_eq!(head.status, get.status, "{}", endpoint.path);
            assert_eq!(head.header("content-type"), get.header("content-type"));
        }
    }
    for path in [
        "/api",
        "/api/",
        "/api/lot",
        "/api/lots/a/b",
        "/api/users/1",
        "/",
    ] {
        let answer = admin.get(path).await?;
        assert_eq!(answer.status, 404, "{path} {}", answer.body);
    }
    Ok(())
}

/// A login has no token yet; the rest of the order is the same.
#[tokio::test]
async fn a_login_is_read_as_every_body_is() -> Result<()> {
    let wms = Wms::start().await?;
    let send = |content_type: &'static str, body: String| {
        let request = wms.http.post(wms.host.url("/api/login"));
        Reply::to(request.header("content-type", content_type).body(body))
    };
    send("text/plain", " ".repeat(257 * 1024))
        .await?
        .is_problem(413, "body-too-large");
    send("text/plain", "{".to_owned())
        .await?
        .is_problem(415, "unsupported-media-type");
    send("application/json", "{".to_owned())
        .await?
        .is_problem(422, "validation");
    let faulty = send(
        "application/json",
        r#"{"email":"x","password":""}"#.to_owned(),
    )
    .await?;
    faulty.is_problem(422, "validation");
    assert_eq!(
        faulty.faults(),
        ["body.email value_error", "body.password string_too_short"]
    );
    send(
        "application/json",
        r#"{"email":"x@y","password":"z"}"#.to_owned(),
    )
    .await?
    .is_problem(401, "invalid-credentials");
    Ok(())
}
