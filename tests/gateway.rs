//! Promise: HTTP comes in as clients of every kind send it, a function sees what Spin would show it, refusals are problems with
//! the right status, and the RED metrics say exactly what the clients saw.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use bytes::Bytes;
use flowviz_tests::{Answer, Held, Host, HostOptions, client};
use futures::stream::{self, StreamExt as _};
use http::{Method, Version};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const MANIFEST: &str = r#"
spin_manifest_version = 2
[application]
name = "gateway"

[[trigger.http]]
route = "/probe/..."
component = "probe"
[[trigger.http]]
route = "/lots/:lot_id/notes/..."
component = "probe"
[[trigger.http]]
route = "/exact/:id"
component = "probe"
[component.probe]
source = "{probe}"

[[trigger.http]]
route = "/large/..."
component = "large"
[component.large]
source = "{probe}"
[component.large.tool.flowviz]
max_body_size = "16MiB"

[[trigger.http]]
route = "/small/..."
component = "small"
[component.small]
source = "{probe}"
[component.small.tool.flowviz]
max_body_size = "100B"
methods = ["GET", "POST"]

[[trigger.http]]
route = { private = true }
component = "hidden"
[component.hidden]
source = "{probe}"
"#;

fn host() -> Result<Host> {
    Host::with_manifest(MANIFEST, HostOptions::default())
}

/// A client that speaks HTTP/2 from the first byte.
fn http2() -> Result<reqwest::Client> {
    Ok(reqwest::Client::builder()
        .http2_prior_knowledge()
        .no_proxy()
        .build()?)
}

/// What comes back to these bytes, until the server closes the connection.
async fn raw(host: &Host, request: &[u8]) -> Result<String> {
    let mut stream = TcpStream::connect(host.address).await?;
    // It may be refused before all of it is sent.
    _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    _ = stream.read_to_end(&mut answer).await;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[tokio::test]
async fn a_function_sees_spins_headers_and_no_forged_ones() -> Result<()> {
    let host = host()?;
    let path = "/lots/L%2F1%20b/notes/request?x=1&y=%20";
    for (client, scheme) in [(client(), Version::HTTP_11), (http2()?, Version::HTTP_2)] {
        let request = client
            .get(host.url(path))
            .header("spin-client-addr", "6.6.6.6:6")
            .header("spin-full-url", "http://forged/")
            .header("spin-path-match-lot-id", "forged")
            .header("spin-path-match-other", "forged")
            .header("x-own", "kept");
        let response = request.send().await?;
        ensure!(response.version() == scheme);
        let seen: Value = response.json().await?;
        let header = |name: &str| {
            seen["headers"][name]
                .as_str()
                .unwrap_or("(none)")
                .to_owned()
        };
        let url = host.url(path);
        for (name, value) in [
            ("spin-path-info", "/request"),
            ("spin-full-url", url.as_str()),
            ("spin-matched-route", "/lots/:lot_id/notes/..."),
            ("spin-raw-component-route", "/lots/:lot_id/notes/..."),
            ("spin-component-route", "/lots/:lot_id/notes"),
            ("spin-base-path", "/"),
            // One segment, as it came: a slash within it is no slash between segments.
            ("spin-path-match-lot-id", "L%2F1%20b"),
            ("spin-path-match-other", "(none)"),
            ("x-own", "kept"),
        ] {
            ensure!(header(name) == value, "{name}: {} in {seen}", header(name));
        }
        ensure!(
            header("spin-client-addr").starts_with("127.0.0.1:"),
            header("spin-client-addr")
        );
        ensure!(seen["uri"] == url && seen["method"] == "GET", "{seen}");
    }
    // A route without `...` leaves no path info.
    let seen = host.get("/exact/7").await?.json()?;
    ensure!(
        seen["headers"]["spin-path-match-id"] == "7" && seen["headers"]["spin-path-info"] == "",
        "{seen}"
    );
    Ok(())
}

#[tokio::test]
async fn a_request_has_one_id_everywhere() -> Result<()> {
    let host = host()?;
    let client = client();
    let with =
        |id: &str, path: &str| Answer::of(client.get(host.url(path)).header("x-request-id", id));

    let answer = with("scanner-7.42", "/probe/request").await?;
    ensure!(answer.header("x-request-id") == Some("scanner-7.42"));
    ensure!(
        answer.json()?["headers"]["x-request-id"] == "scanner-7.42",
        answer.text()
    );
    // The host's own answers, and the log lines of the function, have it too.
    with("lost-1", "/nowhere")
        .await?
        .expect_problem(404, "not-found")?;
    with("talker-1", "/probe/print?hello").await?;
    host.wait_for_log(|line| {
        line.contains("standard output: hello") && line.contains(r#""request_id":"talker-1""#)
    })
    .await?;
    with("fails-1", "/probe/panic")
        .await?
        .expect_problem(500, "function-failed")?;
    host.wait_for_log(|line| {
        line.contains("trapped") && line.contains(r#""request_id":"fails-1""#)
    })
    .await?;

    let mut made = Vec::new();
    for unfit in [None, Some("two words"), Some("")] {
        let mut request = client.get(host.url("/probe/request"));
        if let Some(id) = unfit {
            request = request.header("x-request-id", id);
        }
        let answer = Answer::of(request).await?;
        let id = answer.header("x-request-id").unwrap_or_default().to_owned();
        ensure!(id.len() >= 16 && !id.contains(' '), "{id}");
        ensure!(answer.json()?["headers"]["x-request-id"] == id.as_str());
        made.push(id);
    }
    made.sort();
    made.dedup();
    ensure!(made.len() == 3, "an id was used twice");
    Ok(())
}

#[tokio::test]
async fn what_no_function_takes_is_refused_with_a_problem() -> Result<()> {
    let host = host()?;
    let client = client();
    for path in [
        "/",
        "/prob/ok",
        "/exact",
        "/exact/1/2",
        "/hidden/ok",
        "/hidden",
        "/metrics",
        "/readyz",
        "//",
        "/%70robe/ok",
    ] {
        let answer = host.get(path).await?;
        answer
            .expect_problem(404, "not-found")
            .map_err(|error| error.context(path))?;
    }
    let answer = Answer::of(client.delete(host.url("/small/ok"))).await?;
    answer.expect_problem(405, "method-not-allowed")?;
    let mut allowed: Vec<_> = answer
        .header("allow")
        .unwrap_or_default()
        .split(", ")
        .collect();
    allowed.sort_unstable();
    ensure!(allowed == ["GET", "HEAD", "POST"], "{allowed:?}");

    // A body that says that it's too large, and one that turns out to be.
    let post = |body: String| Answer::of(client.post(host.url("/small/echo")).body(body));
    ensure!(post("x".repeat(100)).await?.body.len() == 100);
    post("x".repeat(101))
        .await?
        .expect_problem(413, "body-too-large")?;
    for path in ["/small/echo", "/small/echo-stream"] {
        let held = Held::post(&client, host.url(path));
        for _ in 0..11 {
            held.send("ten bytes.");
        }
        let answer = held.finish().await;
        match path {
            "/small/echo" => answer?.expect_problem(413, "body-too-large")?,
            // The head of the response was on its way: all that's left is to cut it.
            _ => ensure!(answer.is_err() || answer.is_ok_and(|answer| answer.status == 413)),
        }
    }

    let bad_host = raw(
        &host,
        b"GET /probe/ok HTTP/1.1\r\nHost: no host\r\nConnection: close\r\n\r\n",
    )
    .await?;
    ensure!(
        bad_host.starts_with("HTTP/1.1 400") && bad_host.contains("/problems/bad-request"),
        bad_host
    );
    // HTTP/1.0 has no Host.
    let old = raw(&host, b"GET /probe/ok HTTP/1.0\r\n\r\n").await?;
    ensure!(old.starts_with("HTTP/1.0 200") && old.ends_with("ok"), old);
    Ok(())
}

#[tokio::test]
async fn a_head_that_is_too_large_or_no_http_is_refused_and_nobody_else_notices() -> Result<()> {
    let host = host()?;
    let large = format!(
        "GET /probe/ok HTTP/1.1\r\nHost: a\r\nX-Large: {}\r\n\r\n",
        "x".repeat(200_000)
    );
    let many = format!(
        "GET /probe/ok HTTP/1.1\r\nHost: a\r\n{}\r\n",
        "X-Many: 1\r\n".repeat(200)
    );
    for request in [large.as_str(), many.as_str()] {
        let answer = raw(&host, request.as_bytes()).await?;
        ensure!(answer.starts_with("HTTP/1.1 431"), answer);
    }
    for nonsense in [
        "\x16\x03\x01 hello",
        "GET /probe/ok\r\n\r\n",
        "GET /a b c HTTP/1.1\r\n\r\n",
    ] {
        let answer = raw(&host, nonsense.as_bytes()).await?;
        ensure!(
            answer.is_empty() || answer.starts_with("HTTP/1.1 400"),
            answer
        );
    }
    ensure!(host.get("/probe/ok").await?.status == 200);
    Ok(())
}

#[tokio::test]
async fn head_is_get_without_the_body() -> Result<()> {
    let host = host()?;
    for client in [client(), http2()?] {
        for path in ["/probe/request", "/small/bytes?5000", "/probe/drip?3,1"] {
            let answer = Answer::of(client.head(host.url(path))).await?;
            ensure!(
                answer.status == 200 && answer.body.is_empty(),
                "{path}: {answer:?}"
            );
            // The connection is still good.
            ensure!(Answer::of(client.get(host.url("/probe/ok"))).await?.text() == "ok");
        }
    }
    let metrics = host
        .wait_for_metrics(|m| {
            m.sum(
                "http_requests_total",
                &[("method", "HEAD"), ("status", "200")],
            ) == 6.0
        })
        .await?;
    ensure!(
        metrics.sum("flowviz_function_errors_total", &[]) == 0.0,
        "{metrics:?}"
    );
    Ok(())
}

/// Bytes in which any loss or exchange of blocks shows.
fn megabytes(count: u32) -> Bytes {
    let words = count * (1 << 20) / 4;
    (0..words)
        .flat_map(|word| word.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect()
}

#[tokio::test]
async fn large_bodies_arrive_intact_in_both_directions() -> Result<()> {
    let host = host()?;
    let body = megabytes(10);
    for client in [client(), http2()?] {
        for path in ["/large/echo", "/large/echo-stream"] {
            let answer = Answer::of(client.post(host.url(path)).body(body.clone())).await?;
            ensure!(answer.status == 200, "{path}: {}", answer.status);
            ensure!(answer.body == body, "{path}: the body came back changed");
        }
        // And without a length beforehand.
        let pieces: Vec<_> = body
            .chunks(64 * 1024)
            .map(|piece| Ok::<_, std::io::Error>(body.slice_ref(piece)))
            .collect();
        let request = client
            .post(host.url("/large/echo-stream"))
            .body(reqwest::Body::wrap_stream(stream::iter(pieces)));
        ensure!(
            Answer::of(request).await?.body == body,
            "in pieces: the body came back changed"
        );
    }
    let metrics = host.metrics().await?;
    ensure!(
        metrics.sum("flowviz_function_errors_total", &[]) == 0.0,
        "{metrics:?}"
    );
    Ok(())
}

#[tokio::test]
async fn series_exist_at_zero_before_the_first_request() -> Result<()> {
    let host = host()?;
    let metrics = host.metrics().await?;
    for status in [200, 500, 503, 504] {
        for (function, route, method) in [
            ("probe", "/probe/...", "GET"),
            ("probe", "/exact/:id", "GET"),
            ("small", "/small/...", "GET"),
            ("small", "/small/...", "POST"),
        ] {
            let series = format!(
                r#"http_requests_total{{function="{function}",method="{method}",route="{route}",status="{status}"}}"#
            );
            ensure!(metrics.get(&series) == Some(0.0), "{series}");
        }
    }
    for function in ["probe", "small", "large"] {
        for reason in [
            "trap",
            "timeout",
            "cpu_limit",
            "memory_limit",
            "instantiation",
            "overload",
            "client_disconnect",
            "database",
            "error",
        ] {
            let series = format!(
                r#"flowviz_function_errors_total{{function="{function}",reason="{reason}"}}"#
            );
            ensure!(metrics.get(&series) == Some(0.0), "{series}");
        }
        let series = format!(r#"http_requests_in_flight{{function="{function}"}}"#);
        ensure!(metrics.get(&series) == Some(0.0), "{series}");
        let series =
            format!(r#"http_request_duration_seconds_count{{function="{function}",method="GET"}}"#);
        ensure!(metrics.get(&series) == Some(0.0), "{series}");
    }
    Ok(())
}

#[tokio::test]
async fn the_metrics_count_what_the_clients_saw() -> Result<()> {
    let host = host()?;
    let kinds = [
        (Method::GET, "/probe/ok", "probe", "/probe/..."),
        (Method::GET, "/probe/bytes?30000", "probe", "/probe/..."),
        (Method::POST, "/probe/echo", "probe", "/probe/..."),
        (Method::GET, "/probe/status?404", "probe", "/probe/..."),
        (Method::GET, "/probe/status?503", "probe", "/probe/..."),
        (Method::PUT, "/probe/status?201", "probe", "/probe/..."),
        (Method::GET, "/probe/status?204", "probe", "/probe/..."),
        (Method::GET, "/probe/panic", "probe", "/probe/..."),
        (Method::GET, "/exact/1", "probe", "/exact/:id"),
        (Method::DELETE, "/small/ok", "small", "/small/..."),
        (Method::GET, "/nowhere", "none", "none"),
    ];
    let client = client();
    let requests = (0..200).map(|number| {
        let (method, path, function, route) = kinds[number % kinds.len()].clone();
        let request = client.request(method.clone(), host.url(path));
        async move {
            let answer = Answer::of(request).await?;
            Ok::<_, anyhow::Error>((function, method.to_string(), route, answer.status.as_u16()))
        }
    });
    let answers: Vec<_> = stream::iter(requests).buffer_unordered(200).collect().await;
    let mut seen: BTreeMap<String, f64> = BTreeMap::new();
    let mut durations: BTreeMap<String, f64> = BTreeMap::new();
    for answer in answers {
        let (function, method, route, status) = answer?;
        *seen
            .entry(format!(
                r#"http_requests_total{{function="{function}",method="{method}",route="{route}",status="{status}"}}"#
            ))
            .or_default() += 1.0;
        *durations
            .entry(format!(
                r#"http_request_duration_seconds_count{{function="{function}",method="{method}"}}"#
            ))
            .or_default() += 1.0;
    }
    ensure!(
        seen.len() >= 10 && seen.values().sum::<f64>() == 200.0,
        "{seen:?}"
    );

    // A request is counted when its response has ended, which the client may know first.
    let metrics = host
        .wait_for_metrics(|metrics| {
            metrics.sum("http_request_duration_seconds_count", &[]) >= 200.0
        })
        .await?;
    ensure!(metrics.sum("http_requests_in_flight", &[]) == 0.0);
    let counted: BTreeMap<_, _> = metrics
        .series()
        .filter(|(series, value)| series.starts_with("http_requests_total{") && *value > 0.0)
        .map(|(series, value)| (series.to_owned(), value))
        .collect();
    ensure!(counted == seen, "counted {counted:#?}, seen {seen:#?}");
    for (series, count) in durations {
        ensure!(
            metrics.get(&series) == Some(count),
            "{series}: {:?}, seen {count}",
            metrics.get(&series)
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_request_lasts_until_its_body_has_ended() -> Result<()> {
    let host = host()?;
    let response = client().get(host.url("/probe/drip?4,250")).send().await?;
    // The head is here, the body is not.
    let metrics = host.metrics().await?;
    let counted =
        |m: &flowviz_tests::Metrics| m.sum("http_requests_total", &[("function", "probe")]);
    ensure!(metrics.sum("http_requests_in_flight", &[("function", "probe")]) == 1.0);
    ensure!(counted(&metrics) == 0.0);

    ensure!(response.text().await?.lines().count() == 4);
    let metrics = host
        .wait_for_metrics(|metrics| counted(metrics) == 1.0)
        .await?;
    ensure!(metrics.sum("http_requests_in_flight", &[]) == 0.0);
    let seconds = metrics.sum(
        "http_request_duration_seconds_sum",
        &[("function", "probe")],
    );
    ensure!(
        seconds >= 0.99,
        "{seconds} s, with four pauses of a quarter of a second"
    );
    Ok(())
}
