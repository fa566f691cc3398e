//! Promise: who asks a function more often than its `rate_limits` allow is told so, and when to ask again, before the function or its
//! queue hears of it; everybody else, and everything that has no limit, goes on as before.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use flowviz_tests::{Answer, Held, Host, HostOptions, client, probes};
use reqwest::{Method, RequestBuilder};
use token::Claims;
use uuid::Uuid;

const SECRET: &str = "only for tests: thirty-two bytes at least";

fn host_with(functions: &[(&str, &str)], options: HostOptions) -> Result<Host> {
    let identity = "name = \"probes\"\n[application.tool.flowviz]\nidentity = { jwt_secret = \"{{ jwt_secret }}\" }\n[variables]\njwt_secret = { required = true, secret = true }\n";
    let manifest = probes(functions).replace("name = \"probes\"\n", identity);
    let mut options = options;
    let secret = ("SPIN_VARIABLE_JWT_SECRET".to_owned(), SECRET.to_owned());
    options.env.push(secret);
    Host::with_manifest(&manifest, options)
}

fn host(functions: &[(&str, &str)]) -> Result<Host> {
    host_with(functions, HostOptions::default())
}

/// A token of a new user, issued so many seconds ago.
fn token(age: u64) -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    Claims::new(Uuid::new_v4(), "ANY", now - age)
        .sign(SECRET)
        .context("a token")
}

/// How a client stands: what is left, of how much.
fn standing(answer: &Answer) -> Result<(String, u64)> {
    let header = |name| answer.header(name).with_context(|| format!("no {name}"));
    let (policy, now) = (header("ratelimit-policy")?, header("ratelimit")?);
    let (per, left) = now.split_once(";r=").context("r")?;
    let (left, reset) = left.split_once(";t=").context("t")?;
    ensure!(policy.starts_with(per), "{policy}: {now}");
    ensure!(reset.parse::<u64>()? >= 1, "{now}");
    Ok((policy.to_owned(), left.parse()?))
}

/// It was taken, and so much is left.
async fn taken(request: RequestBuilder, left: u64) -> Result<Answer> {
    let answer = Answer::of(request).await?;
    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
    let (_, stands) = standing(&answer)?;
    ensure!(stands == left, "{stands} left, expected {left}");
    Ok(answer)
}

/// It was refused, and may be tried again after so many seconds.
async fn refused(request: RequestBuilder) -> Result<u64> {
    let answer = Answer::of(request).await?;
    answer.expect_problem(429, "rate-limited")?;
    let (_, left) = standing(&answer)?;
    ensure!(left == 0, "{left} left after a refusal");
    let wait: u64 = answer
        .header("retry-after")
        .context("Retry-After")?
        .parse()?;
    let reset = format!(";t={wait}");
    ensure!(
        wait >= 1
            && answer
                .header("ratelimit")
                .is_some_and(|now| now.ends_with(&reset)),
        "{wait}: {:?}",
        answer.headers
    );
    Ok(wait)
}

/// A function's answers of this status, and the requests that its queue saw.
async fn counted(host: &Host, function: &str, status: &str) -> Result<(f64, f64)> {
    let metrics = host
        .wait_for_metrics(|metrics| metrics.sum("http_requests_in_flight", &[]) == 0.0)
        .await?;
    let route = format!("/{function}/...");
    let labels = [
        ("function", function),
        ("route", &route),
        ("status", status),
    ];
    Ok((
        metrics.sum("http_requests_total", &labels),
        metrics.sum(
            "flowviz_function_queue_wait_seconds_count",
            &[("function", function)],
        ),
    ))
}

#[tokio::test]
async fn beyond_a_limit_the_function_hears_of_nothing() -> Result<()> {
    let limited = "methods = ['GET', 'POST']\nrate_limits = [{ methods = ['GET'], requests = 3, window = '1h', per = 'address' }]";
    let host = host(&[("limited", limited), ("free", "")])?;
    let metrics = host.metrics().await?;
    let series =
        r#"http_requests_total{function="limited",method="GET",route="/limited/...",status="429"}"#;
    ensure!(metrics.get(series) == Some(0.0), "there from the start");

    let client = client();
    let get = |path: &str| client.get(host.url(path));
    let first = taken(get("/limited/ok"), 2).await?;
    ensure!(standing(&first)?.0 == r#""address";q=3;w=3600"#);
    // Failures, and what asks for the head alone, count as well.
    let broken = Answer::of(get("/limited/panic")).await?;
    broken.expect_problem(500, "function-failed")?;
    ensure!(standing(&broken)?.1 == 1);
    taken(client.head(host.url("/limited/ok")), 0).await?;
    for _ in 0..3 {
        let wait = refused(get("/limited/ok")).await?;
        ensure!(
            (1190..=1200).contains(&wait),
            "a third of an hour, not {wait} s"
        );
    }
    let (refusals, served) = counted(&host, "limited", "429").await?;
    ensure!(refusals == 3.0 && served == 3.0, "{refusals}, {served}");

    // Another method, another function, and what the function doesn't take at all.
    for url in [host.url("/limited/echo"), host.url("/free/echo")] {
        let answer = Answer::of(client.post(url).body("body")).await?;
        ensure!(answer.status == 200 && answer.text() == "body");
        ensure!(
            answer.header("ratelimit").is_none() && answer.header("ratelimit-policy").is_none()
        );
    }
    let answer = Answer::of(client.delete(host.url("/limited/ok"))).await?;
    answer.expect_problem(405, "method-not-allowed")?;
    ensure!(answer.header("ratelimit").is_none());
    Ok(())
}

#[tokio::test]
async fn who_waits_as_told_is_taken_again() -> Result<()> {
    let host = host(&[(
        "limited",
        "rate_limits = [{ requests = 1, window = '2s', per = 'address' }]",
    )])?;
    let get = || client().get(host.url("/limited/ok"));
    taken(get(), 0).await?;
    let wait = refused(get()).await?;
    ensure!((1..=2).contains(&wait), "{wait}");
    tokio::time::sleep(Duration::from_secs(wait)).await;
    taken(get(), 0).await?;
    Ok(())
}

#[tokio::test]
async fn each_user_is_counted_alone_and_who_is_none_by_address() -> Result<()> {
    let host = host(&[("limited", "rate_limits = [{ requests = 2, window = '1h' }]")])?;
    let client = client();
    let with = |token: &str| client.get(host.url("/limited/ok")).bearer_auth(token);
    let (joe, jane) = (token(0)?, token(0)?);
    for user in [&joe, &jane] {
        taken(with(user), 1).await?;
        let second = taken(with(user), 0).await?;
        ensure!(standing(&second)?.0 == r#""user";q=2;w=3600"#);
        refused(with(user)).await?;
    }
    // No token, one that is over, and a forged one: all of them are this address.
    taken(client.get(host.url("/limited/ok")), 1).await?;
    taken(with(&token(3600)?), 0).await?;
    refused(with(&format!("{}x", token(0)?))).await?;
    Ok(())
}

#[tokio::test]
async fn a_text_in_the_body_is_counted_and_the_body_arrives_whole() -> Result<()> {
    let login = "max_body_size = '1KiB'\ntimeout = '2s'\nrate_limits = [{ methods = ['POST'], requests = 2, window = '1h', per = 'body.email' }]";
    let host = host(&[("login", login)])?;
    let client = client();
    let post = |body: &str| client.post(host.url("/login/echo")).body(body.to_owned());
    for (email, left) in [("joe@example.com", 1), (" JOE@example.com ", 0)] {
        let body = format!(r#"{{"password":"secret","email":"{email}"}}"#);
        let answer = taken(post(&body), left).await?;
        ensure!(answer.text() == body, "{}", answer.text());
        ensure!(standing(&answer)?.0 == r#""body.email";q=2;w=3600"#);
    }
    refused(post(r#"{"email":"Joe@Example.com"}"#)).await?;
    taken(post(r#"{"email":"jane@example.com"}"#), 1).await?;
    // In pieces, and from another token: it is the text that counts.
    let held = Held::post(&client, host.url("/login/echo"));
    held.send(r#"{"email":"jo"#);
    held.send(r#"e@example.com"}"#);
    held.finish().await?.expect_problem(429, "rate-limited")?;

    // What has no such text counts nowhere.
    for body in ["", "no JSON", r#"{"email":7}"#, r#"["joe@example.com"]"#] {
        for _ in 0..3 {
            let answer = Answer::of(post(body)).await?;
            ensure!(answer.status == 200 && answer.text() == body, body);
            ensure!(answer.header("ratelimit").is_none());
        }
    }
    ensure!(host.get("/login/ok").await?.status == 200);

    // The function's limits hold while the host takes in the body.
    let large = format!(r#"{{"email":"{}"}}"#, "x".repeat(1024));
    Answer::of(post(&large))
        .await?
        .expect_problem(413, "body-too-large")?;
    let held = Held::post(&client, host.url("/login/echo"));
    held.send(large);
    held.finish().await?.expect_problem(413, "body-too-large")?;
    let held = Held::post(&client, host.url("/login/echo"));
    held.send("{");
    let metrics = host
        .wait_for_metrics(|metrics| metrics.errors("login", "timeout") == 1.0)
        .await?;
    ensure!(
        metrics.sum("http_requests_total", &[("status", "504")]) == 1.0,
        "{metrics:?}"
    );
    held.finish().await?.expect_problem(504, "timeout")?;
    Ok(())
}

#[tokio::test]
async fn all_rules_are_checked_and_the_tightest_is_told() -> Result<()> {
    let login = "rate_limits = [{ requests = 2, window = '1h', per = 'body.email' }, { requests = 4, window = '1m', per = 'address' }]";
    let host = host(&[("login", login)])?;
    let client = client();
    let post = |email: &str| {
        let body = format!(r#"{{"email":"{email}"}}"#);
        client.post(host.url("/login/echo")).body(body)
    };
    let answer = taken(post("joe"), 1).await?;
    ensure!(standing(&answer)?.0.starts_with(r#""body.email""#));
    taken(post("joe"), 0).await?;
    // Of the address' requests one is left, of Jane's one, and the longer wait is hers.
    let answer = taken(post("jane"), 1).await?;
    ensure!(standing(&answer)?.0.starts_with(r#""body.email""#));
    let answer = taken(post("jim"), 0).await?;
    ensure!(standing(&answer)?.0 == r#""address";q=4;w=60"#);
    // Whoever is refused by address uses up nobody's share.
    for _ in 0..3 {
        let wait = refused(post("jane")).await?;
        ensure!(wait <= 15, "{wait} s is not the address' wait");
    }
    Ok(())
}

#[tokio::test]
async fn a_refusal_takes_no_place_and_leaves_the_connection_as_it_was() -> Result<()> {
    let narrow = "max_concurrency = 1\nqueue = 0\nmax_body_size = '8MiB'\nrate_limits = [{ requests = 2, window = '1h' }]";
    let host = host(&[("narrow", narrow)])?;
    let client = client();
    let (joe, jane) = (token(0)?, token(0)?);
    let post = |token: &str| client.post(host.url("/narrow/echo")).bearer_auth(token);
    taken(post(&joe), 1).await?;
    taken(post(&joe), 0).await?;
    let held = Held::post(&client, host.url("/narrow/echo"));
    host.wait_for_metrics(|m| {
        m.sum(
            "flowviz_function_queue_wait_seconds_count",
            &[("function", "narrow")],
        ) == 3.0
    })
    .await?;
    let overloaded = Answer::of(post(&jane)).await?;
    overloaded.expect_problem(503, "overloaded")?;
    ensure!(standing(&overloaded)?.1 == 1);
    // A large body that nobody wants does not take the answer away.
    refused(post(&joe).body("x".repeat(4 << 20))).await?;
    refused(post(&joe)).await?;
    held.send("done");
    ensure!(held.finish().await?.text() == "done");
    taken(post(&jane), 0).await?;
    let metrics = host.metrics().await?;
    ensure!(metrics.errors("narrow", "overload") == 1.0, "{metrics:?}");
    Ok(())
}

#[tokio::test]
async fn they_can_be_switched_off() -> Result<()> {
    let functions = [("limited", "rate_limits = [{ requests = 1, window = '1h' }]")];
    let by_flag = HostOptions {
        args: vec!["--rate-limits".to_owned(), "off".to_owned()],
        ..HostOptions::default()
    };
    let by_environment = HostOptions {
        env: vec![("FLOWVIZ_RATE_LIMITS".to_owned(), "off".to_owned())],
        ..HostOptions::default()
    };
    for options in [by_flag, by_environment] {
        let host = host_with(&functions, options)?;
        for _ in 0..5 {
            let answer = host.get("/limited/ok").await?;
            ensure!(answer.status == 200 && answer.header("ratelimit").is_none());
        }
        host.wait_for_log(|line| line.contains("rate limits are off"))
            .await?;
    }
    Ok(())
}

#[tokio::test]
async fn only_a_trusted_proxy_says_who_the_client_is() -> Result<()> {
    let functions = [(
        "limited",
        "rate_limits = [{ requests = 1, window = '1h', per = 'address' }]",
    )];
    let get = |host: &Host, forwarded: &str| {
        client()
            .get(host.url("/limited/request"))
            .header("x-forwarded-for", forwarded)
    };
    let trusting = HostOptions {
        env: vec![(
            "FLOWVIZ_TRUSTED_PROXIES".to_owned(),
            "10.0.0.0/8, 127.0.0.1".to_owned(),
        )],
        ..HostOptions::default()
    };
    let host = host_with(&functions, trusting)?;
    for forwarded in [
        "198.51.100.1",
        "198.51.100.2, 10.1.2.3",
        "6.6.6.6, 2001:db8::1",
    ] {
        let seen = taken(get(&host, forwarded), 0).await?.json()?;
        let told = seen["headers"]["spin-client-addr"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let expected = match forwarded.split(", ").next() {
            Some("6.6.6.6") => "[2001:db8::1]:0".to_owned(),
            first => format!("{}:0", first.unwrap_or_default()),
        };
        ensure!(told == expected, "{forwarded}: {told}");
        refused(get(&host, forwarded)).await?;
    }
    // Of one IPv6 network, another address.
    refused(get(&host, "2001:db8::ffff:2")).await?;

    let host = host_with(&functions, HostOptions::default())?;
    taken(get(&host, "198.51.100.1"), 0).await?;
    refused(get(&host, "198.51.100.2")).await?;
    Ok(())
}

#[tokio::test]
async fn a_page_of_another_origin_may_read_how_it_stands_and_its_preflights_cost_nothing()
-> Result<()> {
    let manifest = probes(&[(
        "limited",
        "methods = ['GET']\nrate_limits = [{ requests = 1, window = '1h', per = 'address' }]",
    )])
    .replace(
        "name = \"probes\"\n",
        "name = \"probes\"\n[application.tool.flowviz]\ncors_origins = \"https://page.example\"\n",
    );
    let host = Host::with_manifest(&manifest, HostOptions::default())?;
    let from_page = |method| {
        client()
            .request(method, host.url("/limited/ok"))
            .header("origin", "https://page.example")
            .header("access-control-request-method", "GET")
    };
    for _ in 0..3 {
        let preflight = Answer::of(from_page(Method::OPTIONS)).await?;
        ensure!(preflight.status == 204 && preflight.header("ratelimit").is_none());
    }
    taken(from_page(Method::GET), 0).await?;
    refused(from_page(Method::GET)).await?;
    let refusal = Answer::of(from_page(Method::GET)).await?;
    ensure!(refusal.header("access-control-allow-origin") == Some("https://page.example"));
    let readable = refusal
        .header("access-control-expose-headers")
        .unwrap_or_default();
    for header in ["Retry-After", "RateLimit", "RateLimit-Policy"] {
        ensure!(
            readable.split(", ").any(|name| name == header),
            readable.to_owned()
        );
    }
    Ok(())
}
