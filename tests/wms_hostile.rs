//! Whatever text somebody sends, in whatever field, path or query: it is stored as it is and read back equal, or refused with a problem
//! that says so. Never a 5xx, never a statement, never half of it.

use anyhow::{Context, Result, ensure};
use flowviz_tests::{Reply, User, Wms, segment};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use reqwest::Method;
use serde_json::{Value, json};

const SCENARIO: &str = "00000000-0000-4000-a000-000000000001";
const VIEWER: &str = "00000000-0000-0000-0000-000000000005";

/// How many requests are under way at the same time.
const AT_ONCE: usize = 8;

/// Texts that are allowed to be texts, each no longer than 100 characters.
fn odd_texts() -> Vec<String> {
    let mut texts: Vec<String> = [
        "'; DROP TABLE lots; --",
        "' OR '1'='1",
        "\"; DELETE FROM users; \"",
        "$1 $$ :name ? %s {} ${x} {{x}}",
        "\\'; \\\\ \\x00 \\u0000 \\0 \\N E'\\\\'",
        "%00 %2F %25 %",
        "<script>alert(1)</script>",
        "<!--#exec cmd=\"ls\"--> &amp; &#0; ]]>",
        "🥙",
        "👩🏽‍🍳👨‍👩‍👧‍👦🏴󠁧󠁢󠁥󠁮󠁧󠁿",
        "é",
        "e\u{301}",
        "Z\u{351}\u{36b}\u{343}\u{36a}\u{302}\u{36b}\u{33d}\u{34f}\u{334}a\u{300}\u{301}\u{302}",
        "\u{202e}gpj.exe\u{202c}",
        "\u{2066}שלום\u{2069} مرحبا \u{200f}",
        "\u{200b}\u{200d}\u{2060}x\u{ad}",
        "\u{feff}bom",
        "\u{fffe}\u{ffff}\u{10ffff}\u{fdd0}\u{e000}\u{fffd}",
        "\u{1}\u{8}\u{b}\u{1b}[31m\u{7f}\u{85}\u{9f}",
        "line\nline\r\nline\tend",
        "\u{2028}\u{2029}\u{a0}\u{3000}x",
        " leading and trailing ",
        "\"}],{\"lot_code\":\"X\"",
        "[1,2]",
        "null",
        "true",
        "NaN",
        "-0",
        "1e999",
        "00000000-0000-0000-0000-000000000001",
        "a/b/../../c?d=e&f#g;h",
        "../../etc/passwd",
        "C:\\lots\\*.csv",
        "=cmd|' /C calc'!A0",
        "İıſKß",
        "ﷺ",
    ]
    .map(str::to_owned)
    .to_vec();
    texts.push("🥙".repeat(100));
    texts.push("\u{1}".repeat(100));
    texts
}

/// Values that are no text, or no number, or no id.
fn odd_values() -> Vec<Value> {
    let mut values: Vec<Value> = odd_texts().into_iter().map(Value::String).collect();
    values.extend([
        json!(""),
        json!(" "),
        json!("x".repeat(1_100)),
        json!("x".repeat(200_000)),
        json!(0),
        json!(-1),
        json!(1.5),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e300),
        json!(5e-324),
        json!(true),
        json!([]),
        json!([[]]),
        json!({}),
        json!([null]),
        json!([7, "x", {}]),
        json!({ "hu": "x" }),
        Value::Null,
    ]);
    values
}

/// It was done, or refused with a whole problem.
fn is_answered(told: &str, reply: &Reply) -> Result<()> {
    let status = reply.status.as_u16();
    ensure!(
        (200..500).contains(&status),
        "{told}: {status} {}",
        reply.body
    );
    if status >= 400 {
        ensure!(
            reply.body["status"] == status,
            "{told}: {status} {}",
            reply.body
        );
        ensure!(
            reply.header("content-type") == "application/problem+json",
            "{told}"
        );
        ensure!(reply.body["detail"].is_string(), "{told}");
    }
    Ok(())
}

/// Does `work` for each item, several at once.
async fn for_each<T, F>(items: impl IntoIterator<Item = T>, work: impl Fn(T) -> F) -> Result<()>
where
    F: Future<Output = Result<()>>,
{
    stream::iter(items)
        .map(work)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
}

/// A sound body for each endpoint that takes one; `n` makes it another one.
fn writes(lot: &str, run: &str, n: usize) -> Vec<(Method, String, Value)> {
    vec![
        (
            Method::POST,
            "/api/lots".to_owned(),
            json!({
                "lot_code": format!("L-{n}"), "lot_type": "RAW", "production_run_id": run, "phase_id": null, "operator_id": null,
                "weight_kg": 1, "temperature_c": 1, "metadata": {}, "parents": [{ "lot_id": lot, "lot_code": null, "quantity_used_kg": 0.01 }],
            }),
        ),
        (
            Method::PATCH,
            format!("/api/lots/{lot}"),
            json!({ "phase_id": null, "weight_kg": 5000, "temperature_c": 1, "metadata": {} }),
        ),
        (
            Method::POST,
            format!("/api/lots/{lot}/parents"),
            json!({ "parent_lot_id": lot, "quantity_used_kg": 1 }),
        ),
        (
            Method::POST,
            "/api/qc-decisions".to_owned(),
            json!({
                "lot_id": lot, "qc_gate_id": null, "operator_id": null, "decision": "PASS", "notes": "said why, at length", "temperature_c": 1,
                "digital_signature": null,
            }),
        ),
        (
            Method::POST,
            "/api/production-runs".to_owned(),
            json!({ "scenario_id": SCENARIO, "operator_id": null, "daily_target_kg": 1 }),
        ),
        (
            Method::PATCH,
            format!("/api/production-runs/{SCENARIO}"),
            json!({ "status": "CANCELLED" }),
        ),
        (
            Method::PUT,
            format!("/api/users/{VIEWER}/role"),
            json!({ "role": "VIEWER" }),
        ),
        // Too short a password: nobody is made, and no hash is worked out.
        (
            Method::POST,
            "/api/users".to_owned(),
            json!({ "email": format!("u-{n}@x"), "full_name": null, "role": "VIEWER", "password": "short" }),
        ),
        (
            Method::POST,
            "/api/login".to_owned(),
            json!({ "email": "nobody@x", "password": "x" }),
        ),
    ]
}

async fn run(user: &User<'_>) -> Result<String> {
    let run = json!({ "scenario_id": SCENARIO });
    let run = user.post("/api/production-runs", run).await?;
    run.is(201).body["id"]
        .as_str()
        .map(str::to_owned)
        .context("an id")
}

#[tokio::test]
async fn odd_texts_are_stored_as_they_are() -> Result<()> {
    let wms = Wms::start().await?;
    let admin = User::login(&wms, "admin").await?;
    let (wms, admin) = (&wms, &admin);

    // A lot's code and its metadata, keys and all; found by id, by code, in the list, in a trace, as a parent.
    for_each(odd_texts(), async |text: String| {
        let metadata = json!({ "value": text, text.clone(): [text, { "k": text }] });
        let lot = json!({ "lot_code": text, "lot_type": "RAW", "metadata": metadata });
        let made = admin.post("/api/lots", lot).await?;
        let made = made.is(201).body.clone();
        assert_eq!((&made["lot_code"], &made["metadata"]), (&json!(text), &metadata));
        let id = made["id"].as_str().context("an id")?;
        let code = segment(&text);
        for path in [format!("/api/lots/{id}"), format!("/api/lots/{code}")] {
            assert_eq!(admin.get(&path).await?.is(200).body, made, "{text:?}");
        }
        let listed = admin.get(&format!("/api/lots?code_prefix={code}")).await?;
        let listed = listed.is(200).body.as_array().context("a list")?;
        assert!(listed.contains(&made), "{text:?}");
        let again = admin.post("/api/lots", json!({ "lot_code": text })).await?;
        again.is_problem(409, "lot-code-taken");

        let parents = json!([{ "lot_code": text, "quantity_used_kg": 1 }]);
        let child = json!({ "lot_code": format!("of {id}"), "lot_type": "FG", "weight_kg": 1, "parents": parents });
        let child = admin.lot(child).await?;
        for what in ["", "/graph", "/recall"] {
            let trace = admin.get(&format!("/api/traceability/{code}{what}")).await?;
            let trace = &trace.is(200).body;
            let root = [&trace["central"], &trace["root"], &trace["lot"]].into_iter().find(|lot| lot.is_object());
            assert_eq!(root, Some(&made), "{text:?} {what}");
            assert!(trace.to_string().contains(&child), "{text:?} {what}");
        }
        let links = admin.get(&format!("/api/lots/{child}/parents")).await?;
        assert_eq!(links.is(200).list("parent_lot_id"), [id]);
        let changed = admin.patch(&format!("/api/lots/{code}"), json!({ "metadata": [] })).await?;
        changed.is_problem(422, "validation");
        let changed = admin.patch(&format!("/api/lots/{code}"), json!({ "metadata": { "new": text } })).await?;
        assert_eq!(changed.is(200).body["metadata"], json!({ "new": text }));

        // The trail has both states.
        let events = admin.get(&format!("/api/audit-events?entity_id={id}")).await?;
        let [changed, registered] = &events.is(200).body.as_array().context("a list")?[..] else {
            panic!("{text:?} {}", events.body);
        };
        assert_eq!((&changed["before"], &registered["after"]["metadata"]), (&made, &metadata));
        assert_eq!(changed["after"]["metadata"]["new"], text);

        // A decision's notes, but for blanks around them, and its signature.
        let notes = format!("somebody said {text} so");
        let decision = json!({ "lot_id": id, "decision": "HOLD", "notes": notes, "digital_signature": text });
        let decided = admin.post("/api/qc-decisions", decision).await?;
        assert_eq!(decided.is(201).body["notes"], notes);
        assert_eq!(decided.body["digital_signature"], text);
        let listed = admin.get(&format!("/api/qc-decisions?lot_id={id}")).await?;
        assert_eq!(listed.is(200).body, json!([decided.body]));
        Ok(())
    })
    .await?;

    // The é of one letter and that of two are two codes.
    let one = admin.get(&format!("/api/lots/{}", segment("é"))).await?;
    let two = admin
        .get(&format!("/api/lots/{}", segment("e\u{301}")))
        .await?;
    assert_ne!(one.is(200).body["id"], two.is(200).body["id"]);

    // A name and a password; an address may hold anything but blanks and control characters.
    for_each(odd_texts().into_iter().enumerate(), async |(n, text): (usize, String)| {
        let password = format!("at least twelve {text}");
        let email = format!("{n}-{text}@x");
        let user = json!({ "email": email, "full_name": text, "role": "VIEWER", "password": password });
        let made = admin.post("/api/users", user).await?;
        let email = if text.contains(|c: char| c == '@' || c.is_whitespace() || c.is_control()) {
            made.is_problem(422, "validation");
            assert_eq!(made.faults(), ["body.email value_error"], "{text:?}");
            let email = format!("{n}@x");
            let user = json!({ "email": email, "full_name": text, "role": "VIEWER", "password": password });
            admin.post("/api/users", user).await?.is(201);
            email
        } else {
            made.is(201);
            email
        };
        let credentials = json!({ "email": email, "password": password });
        let welcome = Reply::to(wms.http.post(wms.host.url("/api/login")).json(&credentials)).await?;
        let welcome = &welcome.is(200).body;
        assert_eq!(welcome["user"]["email"], email);
        assert_eq!(welcome["user"]["full_name"], text);
        let token = welcome["token"].as_str().context("a token")?.to_owned();
        let me = User { wms, token }.get("/api/me").await?;
        assert_eq!(me.is(200).body, welcome["user"]);
        let credentials = json!({ "email": email, "password": format!("{password} ") });
        let wrong = Reply::to(wms.http.post(wms.host.url("/api/login")).json(&credentials)).await?;
        wrong.is_problem(401, "invalid-credentials");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn odd_values_are_refused_where_they_do_not_belong() -> Result<()> {
    let wms = Wms::start().await?;
    let admin = User::login(&wms, "admin").await?;
    let admin = &admin;
    let lot = &admin
        .lot(json!({ "lot_code": "LOT", "weight_kg": 5000 }))
        .await?;
    let run = &run(admin).await?;
    let values = odd_values();

    // Every field of every body, and a field that nobody knows.
    let mut requests = Vec::new();
    for (place, _) in writes(lot, run, 0).iter().enumerate() {
        for value in &values {
            let fields = writes(lot, run, 0)[place].2.clone();
            let fields = fields.as_object().context("a body")?.clone();
            for field in fields.keys().map(String::as_str).chain(["unknown"]) {
                let (method, path, mut body) = writes(lot, run, requests.len())[place].clone();
                body[field] = value.clone();
                requests.push((method, path, body));
            }
            if let Some(parent) = fields.get("parents").map(|parents| parents[0].clone()) {
                for field in ["lot_id", "lot_code", "quantity_used_kg"] {
                    let (method, path, mut body) = writes(lot, run, requests.len())[place].clone();
                    let mut parent = parent.clone();
                    parent[field] = value.clone();
                    body["parents"] = json!([parent]);
                    requests.push((method, path, body));
                }
            }
        }
    }
    for_each(
        requests,
        async |(method, path, body): (Method, String, Value)| {
            let told = format!(
                "{method} {path} {}",
                body.to_string().chars().take(400).collect::<String>()
            );
            let reply = admin.ask(method, &path, Some(body)).await?;
            is_answered(&told, &reply)
        },
    )
    .await?;
    // And they are all still here.
    for path in [
        "/api/lots/LOT",
        "/api/users",
        "/api/qc-decisions",
        "/api/scenarios",
        "/api/audit-events",
    ] {
        admin.get(path).await?.is(200);
    }
    Ok(())
}

#[tokio::test]
async fn broken_bodies_are_refused_whole() -> Result<()> {
    let wms = Wms::start().await?;
    let admin = User::login(&wms, "admin").await?;
    let (wms, admin) = (&wms, &admin);
    let lot = &admin
        .lot(json!({ "lot_code": "LOT", "weight_kg": 5000 }))
        .await?;
    let run = &run(admin).await?;
    let send = async |method: Method, path: &str, body: Vec<u8>| {
        let request = admin
            .request(method, path)
            .header("content-type", "application/json");
        Reply::to(request.body(body)).await
    };

    // At every endpoint, what is no JSON, or holds what no text can be.
    let with = |start: &[u8], rest: &[u8]| [start, rest].concat();
    let broken: Vec<Vec<u8>> = vec![
        b"\xef\xbb\xbf{}".to_vec(),
        b"\xff\xfe{\0}\0".to_vec(),
        b"\0{}".to_vec(),
        b"{}\0".to_vec(),
        b"{\"a\":\"\0\"}".to_vec(),
        b"{\"a\":\"\\u0000\"}".to_vec(),
        b"{\"\\u0000\":1}".to_vec(),
        b"{\"a\":[{\"b\":\"x\\u0000\"}]}".to_vec(),
        b"{\"a\":\"\xff\"}".to_vec(),
        b"{\"a\":\"\xc0\x80\"}".to_vec(),
        b"{\"a\":\"\xed\xa0\x80\"}".to_vec(),
        b"{\"\xf0\x9f\":1}".to_vec(),
        b"{\"\\ud800\":1}".to_vec(),
        b"{\"a\":\"\n\"}".to_vec(),
        b"{\"a\":\"\\x\"}".to_vec(),
        b"{\"a\":\"\\u12\"}".to_vec(),
        b"{\"a\":01}".to_vec(),
        b"{\"a\":.5}".to_vec(),
        b"{\"a\":+1}".to_vec(),
        b"{\"a\":NaN}".to_vec(),
        b"{\"a\":Infinity}".to_vec(),
        b"{\"a\":1,}".to_vec(),
        b"{'a':1}".to_vec(),
        b"{\"a\":1}//".to_vec(),
        with(b"{\"a\":", &b"[".repeat(100_000)),
        with(b"{\"a\":", &b"{\"a\":".repeat(40_000)),
        b"[".repeat(200_000),
        b"\"".repeat(200_001),
        b"{\"a\":\"".repeat(1000),
    ];
    let mut requests = Vec::new();
    for (method, path, _) in writes(lot, run, 0) {
        for body in &broken {
            requests.push((method.clone(), path.clone(), body.clone()));
        }
    }
    for_each(
        requests,
        async |(method, path, body): (Method, String, Vec<u8>)| {
            let told = format!(
                "{method} {path} {:?}",
                String::from_utf8_lossy(&body[..body.len().min(40)])
            );
            let reply = send(method, &path, body).await?;
            reply.is_problem(422, "validation");
            ensure!(
                reply.faults() == ["body json_invalid"],
                "{told}: {}",
                reply.body
            );
            Ok(())
        },
    )
    .await?;

    // One megabyte in every text field.
    let megabyte = "x".repeat(1_000_000);
    for (place, (_, _, body)) in writes(lot, run, 0).into_iter().enumerate() {
        for field in body.as_object().context("a body")?.keys() {
            let (method, path, mut body) = writes(lot, run, 0)[place].clone();
            body[field] = json!(megabyte);
            let reply = admin.ask(method, &path, Some(body)).await?;
            reply.is_problem(413, "body-too-large");
        }
    }

    // What is JSON by its letters, and can't be stored.
    let lot_with = |field: &str| format!(r#"{{"lot_code":"X",{field}}}"#).into_bytes();
    let long = "9".repeat(20_000);
    for (field, fault) in [
        (
            r#""lot_code":"\ud800""#.to_owned(),
            "body.lot_code string_type",
        ),
        (
            r#""lot_code":"\udc00\ud800""#.to_owned(),
            "body.lot_code string_type",
        ),
        (
            r#""lot_code":["\ud800"]"#.to_owned(),
            "body.lot_code string_type",
        ),
        (
            r#""metadata":{"a":"\udfff"}"#.to_owned(),
            "body.metadata dict_type",
        ),
        (
            r#""metadata":{"\udfff":1}"#.to_owned(),
            "body.metadata dict_type",
        ),
        (
            r#""metadata":{"a":1e999}"#.to_owned(),
            "body.metadata dict_type",
        ),
        (
            format!(r#""metadata":{{"a":{long}}}"#),
            "body.metadata dict_type",
        ),
        (
            r#""weight_kg":1e999"#.to_owned(),
            "body.weight_kg decimal_range",
        ),
        (
            r#""weight_kg":1e-999"#.to_owned(),
            "body.weight_kg decimal_range",
        ),
        (
            r#""weight_kg":1e99999999999999999999"#.to_owned(),
            "body.weight_kg decimal_range",
        ),
        (
            format!(r#""weight_kg":{long}"#),
            "body.weight_kg decimal_range",
        ),
        (
            format!(r#""weight_kg":"-{long}""#),
            "body.weight_kg decimal_range",
        ),
        (
            r#""weight_kg":"0x10""#.to_owned(),
            "body.weight_kg decimal_parsing",
        ),
        (
            r#""weight_kg":"1,5""#.to_owned(),
            "body.weight_kg decimal_parsing",
        ),
        (
            r#""weight_kg":"१""#.to_owned(),
            "body.weight_kg decimal_parsing",
        ),
        (
            r#""weight_kg":"\ud800""#.to_owned(),
            "body.weight_kg string_type",
        ),
    ] {
        let reply = send(Method::POST, "/api/lots", lot_with(&field)).await?;
        reply.is_problem(422, "validation");
        let told: String = field.chars().take(60).collect();
        assert_eq!(reply.faults(), [fault], "{told}");
    }
    // A fraction so small that nothing is left of it, and one that a database has no room for.
    for (tiny, status) in [("1e-400", 201), ("1e-20000", 422)] {
        let body = format!(r#"{{"lot_code":"{tiny}","metadata":{{"a":{tiny}}}}}"#);
        let reply = send(Method::POST, "/api/lots", body.into_bytes()).await?;
        assert_eq!(reply.status, status, "{tiny} {}", reply.body);
    }
    admin
        .get("/api/lots/X")
        .await?
        .is_problem(404, "lot-not-found");

    // Of a repeated key the last one counts, in an object of ours and in one that is only kept.
    let twice = br#"{"lot_code":"FIRST","lot_code":"LAST","weight_kg":"x","weight_kg":2,"metadata":{"a":1,"a":{"b":2}},"l\u006ft_code":"VERY LAST"}"#;
    let reply = send(Method::POST, "/api/lots", twice.to_vec()).await?;
    let lot = &reply.is(201).body;
    assert_eq!(lot["lot_code"], "VERY LAST");
    assert_eq!(
        (&lot["weight_kg"], &lot["metadata"]),
        (&json!("2.00"), &json!({ "a": { "b": 2 } }))
    );
    // Numbers that are only kept, keep their digits. Read as text: a parser might not.
    let exact = br#"{"lot_code":"EXACT","metadata":{"a":0.1234567890123456789012345,"b":123456789012345678901234567890,"c":1.50}}"#;
    send(Method::POST, "/api/lots", exact.to_vec())
        .await?
        .is(201);
    let kept = admin
        .request(Method::GET, "/api/lots/EXACT")
        .send()
        .await?
        .text()
        .await?;
    for number in [
        "0.1234567890123456789012345",
        "123456789012345678901234567890",
        "1.50",
    ] {
        ensure!(kept.contains(number), "{number}: {kept}");
    }
    // Escapes are only another way to write the same text.
    let escaped = r#"{"lot_code":"\ud83e\udd59 \u0151\/\u0041"}"#;
    let reply = send(Method::POST, "/api/lots", escaped.as_bytes().to_vec()).await?;
    assert_eq!(reply.is(201).body["lot_code"], "🥙 ő/A");
    wms.host.get("/api/health").await?;
    Ok(())
}

#[tokio::test]
async fn odd_paths_queries_and_headers_are_answered() -> Result<()> {
    let wms = Wms::start().await?;
    let admin = User::login(&wms, "admin").await?;
    let admin = &admin;
    let mut odd: Vec<String> = odd_texts().iter().map(|text| segment(text)).collect();
    odd.extend(
        [
            "%00",
            "a%00b",
            "%FF",
            "%C0%AF",
            "%ED%A0%80",
            "%F0%9F",
            "%",
            "%2",
            "%zz",
            "%%41",
            "%252F",
            "+",
            "%2B",
            "a%2Fb",
            "a;b",
            "a=b",
            "%2e%2e%2f",
            "'",
            "$1",
            "*",
            "{}",
            "%7B00000000-0000-0000-0000-000000000001%7D",
            "0",
            "-1",
            "99999999999999999999999999999999",
            "2026-01-15",
            "9999-12-31T23:59:60Z",
            "-infinity",
            "now",
            "1e9999999999",
            "0x10",
        ]
        .map(str::to_owned),
    );
    odd.push("A".repeat(4_000));
    odd.push(segment(&"🥙".repeat(300)));

    let mut requests: Vec<(Method, String)> = Vec::new();
    for text in &odd {
        for path in [
            format!("/api/lots/{text}"),
            format!("/api/lots/{text}/parents"),
            format!("/api/traceability/{text}"),
            format!("/api/traceability/{text}/graph"),
            format!("/api/traceability/{text}/recall"),
            format!("/api/production-runs/{text}"),
        ] {
            requests.push((Method::GET, path));
        }
        for (method, path) in [
            (Method::PATCH, format!("/api/lots/{text}")),
            (Method::POST, format!("/api/lots/{text}/parents")),
            (Method::PATCH, format!("/api/production-runs/{text}")),
            (Method::PUT, format!("/api/users/{text}/role")),
        ] {
            requests.push((method, path));
        }
        for (path, names) in [
            (
                "/api/lots",
                &[
                    "lot_type",
                    "production_run_id",
                    "status",
                    "code_prefix",
                    "created_from",
                    "created_to",
                    "limit",
                    "cursor",
                ][..],
            ),
            ("/api/qc-decisions", &["lot_id", "decision", "gate_number"]),
            ("/api/production-runs", &["status", "limit", "cursor"]),
            ("/api/users", &["limit", "cursor"]),
            (
                "/api/audit-events",
                &["entity", "entity_id", "actor_id", "from", "to", "cursor"],
            ),
            (
                "/api/traceability/FG-DONER-X1/graph",
                &["depth", "direction"],
            ),
            ("/api/lots/FG-DONER-X1/parents", &["limit", "cursor"]),
            ("/api/qc-gates", &["limit"]),
        ] {
            for name in names {
                requests.push((Method::GET, format!("{path}?{name}={text}")));
            }
            requests.push((Method::GET, format!("{path}?{text}")));
        }
    }
    for query in [
        "?",
        "&&&",
        "=",
        "=&=x",
        "limit",
        "limit=1&limit=0&limit=2",
        "?limit=1",
        "limit=1;limit=2",
        "%6Cimit=1",
        "limit=%31",
    ] {
        requests.push((Method::GET, format!("/api/lots?{query}")));
    }
    for_each(requests, async |(method, path): (Method, String)| {
        let body = (method != Method::GET).then(|| json!({}));
        let told = format!("{method} {}", path.chars().take(200).collect::<String>());
        let reply = admin.ask(method, &path, body).await?;
        is_answered(&told, &reply)
    })
    .await?;

    // A head that is longer than any needs to be.
    for length in [10_000, 100_000, 1_000_000] {
        let path = format!("/api/lots?code_prefix={}", "A".repeat(length));
        // The host may close the connection on the longest of them.
        if let Ok(reply) = admin.get(&path).await {
            let status = reply.status.as_u16();
            ensure!((200..500).contains(&status), "{length}: {status}");
        }
    }

    // Headers that hold what they shouldn't.
    let path = "/api/lots/FG-DONER-X1";
    for value in [
        &b"\xff\xfe"[..],
        b"",
        b"  ",
        b"\"",
        b",,,",
        b"W/",
        b"'; DROP TABLE lots; --",
        "ő".as_bytes(),
        &[b'x'; 6000],
    ] {
        for name in [
            "if-match",
            "if-none-match",
            "authorization",
            "x-request-id",
            "accept",
            "traceparent",
        ] {
            for method in [Method::GET, Method::PATCH] {
                let told = format!(
                    "{method} {name}: {:?}",
                    String::from_utf8_lossy(&value[..value.len().min(40)])
                );
                let mut request = if name == "authorization" {
                    wms.http.request(method.clone(), wms.host.url(path))
                } else {
                    admin.request(method.clone(), path)
                };
                request = request.header(name, value);
                if method == Method::PATCH {
                    request = request.json(&json!({ "temperature_c": 1 }));
                }
                let reply = Reply::to(request).await?;
                is_answered(&told, &reply)?;
                ensure!(!reply.header("x-request-id").is_empty(), "{told}");
            }
        }
    }
    Ok(())
}
