//! Who may do what is the administrators' to say, at once and for everybody: users are made, change their roles, and log in; one
//! administrator always stays.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use flowviz_tests::{Reply, User, Wms, demo_password};
use futures::future::join_all;
use serde_json::{Value, json};

const ADMIN: &str = "00000000-0000-0000-0000-000000000001";
const OPERATOR: &str = "00000000-0000-0000-0000-000000000002";
const VIEWER: &str = "00000000-0000-0000-0000-000000000005";

async fn login(wms: &Wms, email: &str, password: &str) -> Result<Reply> {
    let credentials = json!({ "email": email, "password": password });
    Reply::to(wms.http.post(wms.host.url("/api/login")).json(&credentials)).await
}

fn user<'a>(wms: &'a Wms, welcome: &Reply) -> User<'a> {
    let token = welcome.is(200).body["token"].as_str().unwrap_or_default();
    User {
        wms,
        token: token.to_owned(),
    }
}

/// What a token says, unchecked.
fn claims(token: &str) -> Result<Value> {
    let middle = token.split('.').nth(1).context("three parts")?;
    let mut bits = 0_u32;
    let (mut held, mut bytes) = (0, Vec::new());
    for letter in middle.bytes() {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'-' => 62,
            _ => 63,
        };
        bits = bits << 6 | u32::from(value);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff)?);
        }
    }
    Ok(serde_json::from_slice(&bytes)?)
}

#[tokio::test]
async fn administrators_make_users_who_log_in() -> Result<()> {
    let wms = Wms::start().await?;
    let admin = User::login(&wms, "admin").await?;
    let new = |email: &str, password: &str| json!({ "email": email, "role": "OPERATOR", "password": password });

    // Nobody else may look or make.
    for other in ["manager", "auditor", "operator", "viewer"] {
        let other = User::login(&wms, other).await?;
        let made = new("x@flowviz.com", "a long password");
        for refused in [
            other.get("/api/users").await?,
            other.post("/api/users", made).await?,
            other
                .put(&format!("/api/users/{VIEWER}/role"), json!({}))
                .await?,
        ] {
            refused.is_problem(403, "forbidden");
            assert_eq!(refused.header("x-required-roles"), "ADMIN");
            assert_eq!(refused.body["detail"], "Requires one of: ADMIN");
        }
    }

    // What a user must be.
    let long = "x".repeat(1025);
    for (body, faults) in [
        (
            json!({}),
            vec![
                "body.email missing",
                "body.password missing",
                "body.role missing",
            ],
        ),
        (
            json!({ "email": "nobody", "role": "operator", "password": "eleven char", "full_name": "" }),
            vec![
                "body.email value_error",
                "body.full_name string_too_short",
                "body.password string_too_short",
                "body.role enum",
            ],
        ),
        (
            json!({ "email": format!("{}@x", "e".repeat(253)), "role": "ROOT", "password": long, "full_name": "n".repeat(201) }),
            vec![
                "body.email string_too_long",
                "body.full_name string_too_long",
                "body.password string_too_long",
                "body.role enum",
            ],
        ),
        (
            json!({ "email": 1, "role": null, "password": ["a long password"], "full_name": {} }),
            vec![
                "body.email string_type",
                "body.full_name string_type",
                "body.password string_type",
                "body.role missing",
            ],
        ),
    ] {
        let refused = admin.post("/api/users", body).await?;
        refused.is_problem(422, "validation");
        assert_eq!(refused.faults(), faults);
    }

    // Twelve characters are enough, whatever they are; the password is kept nowhere and never shown.
    let password = "ő🥙 12345678 ";
    let made = admin
        .post("/api/users", new("Eva.Új@flowviz.com", password))
        .await?;
    let fields = made.is(201).body.as_object().context("a user")?;
    let fields: Vec<&str> = fields.keys().map(String::as_str).collect();
    let mut shown = [
        "id",
        "email",
        "full_name",
        "role",
        "created_at",
        "last_login",
    ];
    shown.sort_unstable();
    assert_eq!(fields, shown);
    assert_eq!(made.body["email"], "Eva.Új@flowviz.com");
    assert_eq!(
        (&made.body["full_name"], &made.body["last_login"]),
        (&Value::Null, &Value::Null)
    );

    // The address is taken in whatever case it is written, by old users and by two at once.
    for taken in [
        "eva.új@FLOWVIZ.com",
        "EVA.ÚJ@flowviz.com",
        "ADMIN@flowviz.com",
    ] {
        let refused = admin
            .post("/api/users", new(taken, "another password"))
            .await?;
        refused.is_problem(409, "email-taken");
    }
    let (one, other) = tokio::join!(
        admin.post("/api/users", new("twin@flowviz.com", password)),
        admin.post("/api/users", new("Twin@flowviz.com", password)),
    );
    let statuses = [one?.status.as_u16(), other?.status.as_u16()];
    assert!(matches!(statuses, [201, 409] | [409, 201]), "{statuses:?}");

    // They log in, in whatever case; `last_login` is written.
    for wrong in [&password[..password.len() - 1], "ő🥙 12345678  ", ""] {
        let refused = login(&wms, "eva.új@flowviz.com", wrong).await?;
        assert!(matches!(refused.status.as_u16(), 401 | 422), "{wrong:?}");
    }
    let welcome = login(&wms, "EVA.új@flowviz.com", password).await?;
    let eva = user(&wms, &welcome);
    assert_eq!(welcome.body["user"]["id"], made.body["id"]);
    assert!(welcome.body["user"]["last_login"].is_string());
    let me = eva.get("/api/me").await?;
    assert_eq!(me.is(200).body, welcome.body["user"]);
    eva.lot(json!({ "lot_code": "FIRST" })).await?;

    // The list shows everybody, the newest first, and no password.
    let (users, _) = admin.pages("/api/users?limit=3").await?;
    let emails: Vec<&str> = users
        .iter()
        .filter_map(|user| user["email"].as_str())
        .collect();
    assert_eq!(emails.len(), 7, "{emails:?}");
    assert_eq!(emails[0].to_lowercase(), "twin@flowviz.com");
    assert_eq!(emails[1], "Eva.Új@flowviz.com");
    assert!(!serde_json::to_string(&users)?.contains("argon2"));

    // A user without a password, of an older database, can't log in with any.
    let database = wms.database().await?;
    database
        .batch_execute("INSERT INTO users (email, role) VALUES ('old@flowviz.com', 'VIEWER')")
        .await?;
    let refused = login(&wms, "old@flowviz.com", demo_password()).await?;
    refused.is_problem(401, "invalid-credentials");
    Ok(())
}

#[tokio::test]
async fn a_role_counts_from_the_next_call_and_one_administrator_stays() -> Result<()> {
    let wms = Wms::start().await?;
    let admin = User::login(&wms, "admin").await?;
    let viewer = User::login(&wms, "viewer").await?;
    let role = |id: &str| format!("/api/users/{id}/role");

    for (body, fault) in [
        (json!({}), "body.role missing"),
        (json!({ "role": "admin" }), "body.role enum"),
        (json!({ "role": 1 }), "body.role string_type"),
    ] {
        // Also where nobody has this id: the body comes first.
        for id in [VIEWER, "00000000-0000-0000-0000-00000000dead"] {
            let refused = admin.put(&role(id), body.clone()).await?;
            refused.is_problem(422, "validation");
            assert_eq!(refused.faults(), [fault]);
        }
    }
    for id in [
        "00000000-0000-0000-0000-00000000dead",
        "viewer@flowviz.com",
        "%00",
        "%FF",
    ] {
        let refused = admin.put(&role(id), json!({ "role": "VIEWER" })).await?;
        refused.is_problem(404, "user-not-found");
    }

    // Up and down, with the same token.
    let lot = |code: &str| json!({ "lot_code": code });
    viewer
        .post("/api/lots", lot("V-1"))
        .await?
        .is_problem(403, "forbidden");
    let raised = admin
        .put(&role(VIEWER), json!({ "role": "OPERATOR" }))
        .await?;
    assert_eq!(
        (&raised.is(200).body["id"], &raised.body["role"]),
        (&json!(VIEWER), &json!("OPERATOR"))
    );
    viewer.lot(lot("V-2")).await?;
    admin
        .put(&role(VIEWER), json!({ "role": "AUDITOR" }))
        .await?
        .is(200);
    viewer
        .post("/api/lots", lot("V-3"))
        .await?
        .is_problem(403, "forbidden");
    viewer.get("/api/audit-events").await?.is(200);

    // The last administrator stays, and may say so again.
    let refused = admin.put(&role(ADMIN), json!({ "role": "VIEWER" })).await?;
    refused.is_problem(409, "last-admin");
    admin
        .put(&role(ADMIN), json!({ "role": "ADMIN" }))
        .await?
        .is(200);
    admin.get("/api/users").await?.is(200);

    // Two administrators who dismiss each other, or themselves, at once: one of them is left.
    let operator = User::login(&wms, "operator").await?;
    let database = wms.database().await?;
    for round in 0..20 {
        database
            .batch_execute(&format!(
                "UPDATE users SET role = 'ADMIN' WHERE id IN ('{ADMIN}', '{OPERATOR}')"
            ))
            .await?;
        let targets = if round % 2 == 0 {
            [OPERATOR, ADMIN]
        } else {
            [ADMIN, OPERATOR]
        };
        let paths = targets.map(role);
        let demoted = || json!({ "role": "VIEWER" });
        let (one, other) = tokio::join!(
            admin.put(&paths[0], demoted()),
            operator.put(&paths[1], demoted())
        );
        let statuses = [one?.status.as_u16(), other?.status.as_u16()];
        let done = statuses.iter().filter(|status| **status == 200).count();
        assert_eq!(done, 1, "{statuses:?}");
        assert!(
            statuses.iter().any(|status| matches!(status, 403 | 409)),
            "{statuses:?}"
        );
        let admins = "SELECT count(*) FROM users WHERE role = 'ADMIN'";
        let admins: i64 = database.query_one(admins, &[]).await?.get(0);
        assert_eq!(admins, 1);
    }
    Ok(())
}

/// Each event says what was before it, also where several write the same at the same time: in the order of the chain, what one left is
/// what the next one found.
#[tokio::test]
async fn the_trail_of_a_user_has_no_gap() -> Result<()> {
    let wms = Wms::start().await?;
    let admin = User::login(&wms, "admin").await?;
    let path = format!("/api/users/{VIEWER}/role");
    for _ in 0..3 {
        let roles = ["OPERATOR", "AUDITOR", "MANAGER", "ADMIN", "VIEWER"];
        let changes = roles.map(|role| admin.put(&path, json!({ "role": role })));
        for changed in join_all(changes).await {
            changed?.is(200);
        }
    }
    let logins = (0..5).map(|_| login(&wms, "viewer@flowviz.com", demo_password()));
    for welcome in join_all(logins).await {
        welcome?.is(200);
    }

    let (events, _) = admin.pages("/api/audit-events").await?;
    let first = events.iter().find(|event| {
        events
            .iter()
            .all(|other| other["hash"] != event["prev_hash"])
    });
    let mut trail = vec![first.context("a first event")?];
    while let Some(next) = events
        .iter()
        .find(|event| event["prev_hash"] == trail[trail.len() - 1]["hash"])
    {
        trail.push(next);
    }
    assert_eq!(trail.len(), events.len());
    for (action, field, steps) in [
        ("user.role_changed", "role", 15),
        ("user.logged_in", "last_login", 5),
    ] {
        let of_viewer = trail
            .iter()
            .filter(|event| event["action"] == action && event["entity_id"] == VIEWER);
        let of_viewer: Vec<_> = of_viewer.collect();
        assert_eq!(of_viewer.len(), steps, "{action}");
        for pair in of_viewer.windows(2) {
            assert_eq!(
                pair[0]["after"][field], pair[1]["before"][field],
                "{action}"
            );
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_token_is_renewed_while_it_holds_and_only_then() -> Result<()> {
    let wms = Wms::start().await?;
    let welcome = login(&wms, "viewer@flowviz.com", demo_password()).await?;
    let viewer = user(&wms, &welcome);
    let said = claims(&viewer.token)?;
    let fields: BTreeSet<&str> = said
        .as_object()
        .context("claims")?
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(fields, BTreeSet::from(["sub", "role", "iat", "exp", "jti"]));
    assert_eq!(
        (&said["sub"], &said["role"]),
        (&json!(VIEWER), &json!("VIEWER"))
    );
    let lifetime = said["exp"].as_u64().context("exp")? - said["iat"].as_u64().context("iat")?;
    assert_eq!(lifetime, 30 * 60);

    // A new token, with the role as it is now; the old one stays good.
    let admin = User::login(&wms, "admin").await?;
    let path = format!("/api/users/{VIEWER}/role");
    admin
        .put(&path, json!({ "role": "AUDITOR" }))
        .await?
        .is(200);
    let refresh = |token: &str| {
        Reply::to(
            wms.http
                .post(wms.host.url("/api/refresh-token"))
                .bearer_auth(token),
        )
    };
    let renewed = refresh(&viewer.token).await?;
    assert_eq!(
        renewed.is(200).body.as_object().map(|body| body.len()),
        Some(1)
    );
    let token = renewed.body["token"].as_str().context("a token")?;
    let renewed = claims(token)?;
    assert_eq!(
        (&renewed["sub"], &renewed["role"]),
        (&json!(VIEWER), &json!("AUDITOR"))
    );
    assert_ne!(renewed["jti"], said["jti"]);
    for token in [token, &viewer.token] {
        let me = Reply::to(wms.http.get(wms.host.url("/api/me")).bearer_auth(token)).await?;
        assert_eq!(me.is(200).body["role"], "AUDITOR");
    }

    // No token of ours: none, another claim under the same signature, another algorithm.
    let [header, claims, signature] = viewer.token.split('.').collect::<Vec<_>>()[..] else {
        panic!("three parts");
    };
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
    let mallory = [
        String::new(),
        format!("{none}.{claims}."),
        format!("{none}.{claims}.{signature}"),
        format!("{header}.{}A.{signature}", claims),
        format!("{header}.{claims}"),
        format!("{header}.{claims}.{}", "A".repeat(43)),
        "A".repeat(5000),
    ];
    for token in mallory {
        let refused = refresh(&token).await?;
        refused.is_problem(401, "unauthenticated");
        assert_eq!(refused.header("www-authenticate"), "Bearer");
    }

    // Whoever is gone from the database is nobody, whatever the token says.
    let database = wms.database().await?;
    database
        .execute("DELETE FROM users WHERE email = 'viewer@flowviz.com'", &[])
        .await?;
    refresh(token).await?.is_problem(401, "unauthenticated");
    let me = Reply::to(wms.http.get(wms.host.url("/api/me")).bearer_auth(token)).await?;
    me.is_problem(401, "unauthenticated");
    Ok(())
}

#[tokio::test]
async fn who_called_lately_is_at_work() -> Result<()> {
    let wms = Wms::start().await?;
    let database = wms.database().await?;
    let operator = User::login(&wms, "operator").await?;
    let auditor = User::login(&wms, "auditor").await?;
    let active = async |user: &User<'_>| -> Result<Vec<String>> {
        let listed = user.get("/api/operators/active").await?;
        let names = listed.is(200).list("full_name");
        Ok(names.into_iter().map(str::to_owned).collect())
    };
    assert_eq!(active(&operator).await?, ["Anna Auditor", "John Operator"]);

    // Who was last seen 15 minutes ago is not, until the next call; the caller is, before anybody else knows.
    let seen = async |who: &str, ago: &str| {
        let statement = format!(
            "UPDATE users SET last_seen = now() - interval '{ago}' WHERE email = '{who}@flowviz.com'"
        );
        database.batch_execute(&statement).await
    };
    seen("auditor", "15 minutes 1 second").await?;
    seen("viewer", "14 minutes").await?;
    assert_eq!(active(&operator).await?, ["John Operator", "Victor Viewer"]);
    seen("operator", "1 hour").await?;
    assert_eq!(active(&auditor).await?, ["Anna Auditor", "Victor Viewer"]);
    // A refused request is a call too.
    let refused = operator.get("/api/users").await?;
    refused.is_problem(403, "forbidden");
    assert_eq!(
        active(&auditor).await?,
        ["John Operator", "Anna Auditor", "Victor Viewer"]
    );
    let one = &auditor.get("/api/operators/active").await?.body[0];
    let fields: Vec<&str> = one
        .as_object()
        .context("an operator")?
        .keys()
        .map(String::as_str)
        .collect();
    assert_eq!(fields, ["full_name", "id", "last_seen", "role"]);
    Ok(())
}
