//! Promise: pages of the origins in `cors_origins`, and no others, may call every function and read all that comes back, refusals too;
//! the host answers the browsers' questions itself; an app that names no origin notices nothing of it.

use anyhow::{Context as _, Result, ensure};
use flowviz_tests::{Answer, Held, Host, HostOptions, client};
use http::Method;
use reqwest::{Client, RequestBuilder};

const PAGE: &str = "https://wms.example";
const OTHER: &str = "https://other.example";
const EXPOSED: &str = "ETag, Link, Location, Retry-After, RateLimit, RateLimit-Policy, Idempotency-Replayed, X-Request-Id, X-Required-Roles, WWW-Authenticate";

const MANIFEST: &str = r#"
spin_manifest_version = 2
[application]
name = "cors"
[application.tool.flowviz]
cors_origins = "{{ cors_origins }}"
[variables]
cors_origins = { default = "" }

[[trigger.http]]
route = "/any/..."
component = "any"
[component.any]
source = "{probe}"

[[trigger.http]]
route = "/narrow/..."
component = "narrow"
[component.narrow]
source = "{probe}"
[component.narrow.tool.flowviz]
methods = ["GET", "POST"]
max_body_size = "100B"
max_concurrency = 1
queue = 0
"#;

fn host(origins: &str) -> Result<Host> {
    let options = HostOptions {
        args: vec!["--variable".into(), format!("cors_origins={origins}")],
        ..HostOptions::default()
    };
    Host::with_manifest(MANIFEST, options)
}

/// Several, to be told apart.
fn host_with_pages() -> Result<Host> {
    host(&format!("http://localhost:5173, {PAGE}"))
}

fn preflight(client: &Client, url: String, origin: &str) -> RequestBuilder {
    client
        .request(Method::OPTIONS, url)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,x-own")
}

/// May a page of this origin read the answer, and all that is in it?
fn granted(answer: &Answer, origin: &str) -> Result<()> {
    let told = || format!("{} {:?}", answer.status, answer.headers);
    ensure!(
        answer.header("access-control-allow-origin") == Some(origin),
        told()
    );
    ensure!(
        answer.header("access-control-expose-headers") == Some(EXPOSED),
        told()
    );
    ensure!(
        !answer
            .headers
            .contains_key("access-control-allow-credentials"),
        told()
    );
    varies(answer)
}

fn refused(answer: &Answer) -> Result<()> {
    let cors = answer
        .headers
        .keys()
        .find(|name| name.as_str().starts_with("access-control-"));
    ensure!(cors.is_none(), "{cors:?}");
    varies(answer)
}

/// A cache must not give the answer to another origin.
fn varies(answer: &Answer) -> Result<()> {
    let vary = answer.headers.get_all("vary");
    ensure!(
        vary.iter().any(|value| value == "Origin"),
        "{:?}",
        answer.headers
    );
    Ok(())
}

#[tokio::test]
async fn preflights_are_answered_without_the_function() -> Result<()> {
    let host = host_with_pages()?;
    let counted = |status: u16, function: &str| {
        format!(
            r#"http_requests_total{{function="{function}",method="OPTIONS",route="/{function}/...",status="{status}"}}"#
        )
    };
    let before = host.metrics().await?;
    ensure!(before.get(&counted(204, "narrow")) == Some(0.0));

    let http2 = Client::builder()
        .http2_prior_knowledge()
        .no_proxy()
        .build()?;
    for client in [client(), http2] {
        for (path, methods) in [
            ("/narrow/panic", "GET, POST, HEAD"),
            ("/any/panic", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
        ] {
            let answer = Answer::of(preflight(&client, host.url(path), PAGE)).await?;
            ensure!(answer.status == 204 && answer.body.is_empty(), "{answer:?}");
            granted(&answer, PAGE)?;
            for (name, value) in [
                ("access-control-allow-methods", methods),
                ("access-control-allow-headers", "authorization, x-own"),
                ("access-control-max-age", "600"),
            ] {
                ensure!(answer.header(name) == Some(value), "{name}: {answer:?}");
            }
            ensure!(answer.header("x-request-id").is_some());
        }
    }
    let answer = Answer::of(preflight(&client(), host.url("/any/ok"), OTHER)).await?;
    answer.expect_problem(403, "origin-not-allowed")?;
    refused(&answer)?;
    let answer = Answer::of(preflight(&client(), host.url("/nowhere"), PAGE)).await?;
    answer.expect_problem(404, "not-found")?;
    granted(&answer, PAGE)?;

    let metrics = host.metrics().await?;
    for (status, function, count) in [(204, "narrow", 2.0), (204, "any", 2.0), (403, "any", 1.0)] {
        let series = counted(status, function);
        ensure!(metrics.get(&series) == Some(count), "{series}");
    }
    let queued = "flowviz_function_queue_wait_seconds_count";
    ensure!(metrics.sum(queued, &[]) == 0.0, "a function was asked");
    ensure!(metrics.sum("http_requests_in_flight", &[]) == 0.0);
    Ok(())
}

/// `OPTIONS` is a method like any other unless a browser asks with it.
#[tokio::test]
async fn what_is_no_preflight_reaches_the_function() -> Result<()> {
    let host = host_with_pages()?;
    let client = client();
    let options = |path: &str| client.request(Method::OPTIONS, host.url(path));
    let with_origin = options("/any/request").header("origin", PAGE);
    let with_method = options("/any/request").header("access-control-request-method", "GET");
    for request in [with_origin, with_method] {
        let answer = Answer::of(request).await?;
        ensure!(
            answer.status == 200 && answer.json()?["method"] == "OPTIONS",
            answer.text()
        );
    }
    let answer = Answer::of(options("/narrow/ok").header("origin", PAGE)).await?;
    answer.expect_problem(405, "method-not-allowed")?;
    granted(&answer, PAGE)
}

#[tokio::test]
async fn a_page_reads_every_answer() -> Result<()> {
    let host = host_with_pages()?;
    let client = client();
    let from_page = |method: Method, path: &str| {
        client
            .request(method, host.url(path))
            .header("origin", PAGE)
    };
    for (method, path, status) in [
        (Method::GET, "/any/ok", 200),
        (Method::HEAD, "/any/ok", 200),
        (Method::GET, "/any/drip?3,1", 200),
        (Method::GET, "/any/status?409", 409),
        (Method::GET, "/any/panic", 500),
        (Method::GET, "/nowhere", 404),
        (Method::DELETE, "/narrow/ok", 405),
    ] {
        let answer = Answer::of(from_page(method, path)).await?;
        ensure!(answer.status == status, "{path}: {}", answer.status);
        granted(&answer, PAGE).context(path)?;
    }
    let large = from_page(Method::POST, "/narrow/echo").body("x".repeat(101));
    let large = Answer::of(large).await?;
    large.expect_problem(413, "body-too-large")?;
    granted(&large, PAGE)?;

    let held = Held::post(&client, host.url("/narrow/echo"));
    host.wait_for_metrics(|m| m.sum("http_requests_in_flight", &[("function", "narrow")]) == 1.0)
        .await?;
    let busy = Answer::of(from_page(Method::GET, "/narrow/ok")).await?;
    busy.expect_problem(503, "overloaded")?;
    ensure!(busy.header("retry-after").is_some());
    granted(&busy, PAGE)?;
    // A preflight takes no place.
    let asked = Answer::of(preflight(&client, host.url("/narrow/ok"), PAGE)).await?;
    ensure!(asked.status == 204);
    ensure!(held.finish().await?.status == 200);
    Ok(())
}

/// That is for browsers to keep from their pages; the host answers whoever asks.
#[tokio::test]
async fn no_other_origin_is_granted_anything() -> Result<()> {
    let host = host_with_pages()?;
    for origin in [
        OTHER,
        "null",
        "http://wms.example",
        "https://wms.example:8443",
        "https://wms.example.other.example",
        "https://WMS.example",
        "*",
    ] {
        let request = client().get(host.url("/any/ok")).header("origin", origin);
        let answer = Answer::of(request).await?;
        ensure!(answer.status == 200, "{origin}");
        refused(&answer).context(origin)?;
    }
    refused(&host.get("/any/ok").await?)
}

#[tokio::test]
async fn a_star_is_every_origin() -> Result<()> {
    let host = host("*")?;
    for origin in [PAGE, OTHER, "null"] {
        let request = client().get(host.url("/any/ok")).header("origin", origin);
        granted(&Answer::of(request).await?, "*")?;
        let answer = Answer::of(preflight(&client(), host.url("/any/ok"), origin)).await?;
        ensure!(answer.status == 204, "{origin}: {}", answer.status);
        granted(&answer, "*")?;
    }
    Ok(())
}

#[tokio::test]
async fn without_origins_nothing_is_different() -> Result<()> {
    let host = host("")?;
    let client = client();
    let answer = Answer::of(client.get(host.url("/any/ok")).header("origin", PAGE)).await?;
    let asked = Answer::of(preflight(&client, host.url("/any/request"), PAGE)).await?;
    ensure!(asked.json()?["method"] == "OPTIONS", asked.text());
    let narrow = Answer::of(preflight(&client, host.url("/narrow/ok"), PAGE)).await?;
    narrow.expect_problem(405, "method-not-allowed")?;
    for answer in [answer, asked, narrow] {
        let foreign = |name: &&http::HeaderName| {
            name.as_str().starts_with("access-control-") || *name == "vary"
        };
        ensure!(
            answer.headers.keys().find(foreign).is_none(),
            "{:?}",
            answer.headers
        );
    }
    let series = r#"http_requests_total{function="narrow",method="OPTIONS",route="/narrow/...",status="204"}"#;
    ensure!(host.metrics().await?.get(series).is_none());
    Ok(())
}

#[tokio::test]
async fn what_is_no_origin_keeps_the_host_from_starting() -> Result<()> {
    let error = host("https://wms.example/")
        .err()
        .context("the host serves")?
        .to_string();
    for part in [
        "spin.toml:6: [application.tool.flowviz] cors_origins: ",
        "number 1 is no origin",
        "fix: write `scheme://host:port`",
    ] {
        ensure!(error.contains(part), "no `{part}` in {error}");
    }
    Ok(())
}
