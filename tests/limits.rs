//! Promise: whoever breaks a limit of the manifest loses that one request, with an answer that says which limit it was; the
//! instance is thrown away, the failure is counted once under its reason, and no other request notices.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use flowviz_tests::{Answer, Held, Host, HostOptions, Innocents, Metrics, client, probes};
use futures::future::try_join_all;

/// Another function than the one under test.
const INNOCENT: (&str, &str) = ("innocent", "");
/// An instance that is gone before this was not dropped for want of work.
const KEPT: &str = "instance_reuse = { idle_timeout = '1h' }";
const REASONS: [&str; 9] = [
    "trap",
    "timeout",
    "cpu_limit",
    "memory_limit",
    "instantiation",
    "overload",
    "client_disconnect",
    "database",
    "error",
];

fn host(functions: &[(&str, &str)]) -> Result<Host> {
    let functions = [&[INNOCENT], functions].concat();
    Host::with_manifest(&probes(&functions), HostOptions::default())
}

/// Live instances, and all that were ever made.
fn instances(metrics: &Metrics, function: &str) -> (f64, f64) {
    let function = [("function", function)];
    (
        metrics.sum("flowviz_function_instances", &function),
        metrics.sum("flowviz_function_instantiation_seconds_count", &function),
    )
}

/// `count` failures for this reason, and none for another.
fn only(metrics: &Metrics, function: &str, reason: &str, count: usize) -> Result<()> {
    for other in REASONS {
        let expected = if other == reason { count as f64 } else { 0.0 };
        let counted = metrics.errors(function, other);
        ensure!(
            counted == expected,
            "{function}: {counted} {other}, expected {expected}"
        );
    }
    Ok(())
}

/// A request that is to fail, alone and then beside innocent ones of the same function.
async fn fails(settings: &str, path: &str, status: u16, slug: &str, reason: &str) -> Result<()> {
    let host = host(&[("guilty", &format!("{settings}\n{KEPT}"))])?;
    let guilty = format!("/guilty/{path}");

    let others = Innocents::start(&host, &["/innocent/ok", "/innocent/ok"]);
    host.get(&guilty).await?.expect_problem(status, slug)?;
    // The only instance that was made is gone.
    let metrics = host
        .wait_for_metrics(|metrics| instances(metrics, "guilty") == (0.0, 1.0))
        .await?;
    only(&metrics, "guilty", reason, 1)?;
    others.stop().await?;

    let others = Innocents::start(&host, &["/innocent/ok", "/guilty/ok", "/guilty/ok"]);
    others.go_on(5).await?;
    let answers = try_join_all((0..4).map(|_| host.get(&guilty))).await?;
    for answer in answers {
        answer.expect_problem(status, slug)?;
    }
    others.go_on(5).await?;
    let innocent = others.stop().await? as f64;

    let metrics = host
        .wait_for_metrics(|metrics| metrics.sum("http_requests_in_flight", &[]) == 0.0)
        .await?;
    only(&metrics, "guilty", reason, 5)?;
    only(&metrics, "innocent", "none of them", 0)?;
    let counted = |status: u16| {
        let labels = [("function", "guilty"), ("status", &*status.to_string())];
        metrics.sum("http_requests_total", &labels)
    };
    ensure!(counted(status) == 5.0, "{} times {status}", counted(status));
    ensure!(counted(200) > 0.0 && counted(200) <= innocent);
    Ok(())
}

#[tokio::test]
async fn memory_limit() -> Result<()> {
    fails(
        "memory_limit = '16MiB'",
        "allocate?64",
        500,
        "memory-limit",
        "memory_limit",
    )
    .await
}

#[tokio::test]
async fn timeout() -> Result<()> {
    fails(
        "timeout = '1500ms'",
        "sleep?60000",
        504,
        "timeout",
        "timeout",
    )
    .await
}

#[tokio::test]
async fn cpu_limit() -> Result<()> {
    fails("cpu_limit = '400ms'", "loop", 504, "cpu-limit", "cpu_limit").await
}

#[tokio::test]
async fn panic() -> Result<()> {
    fails("", "panic", 500, "function-failed", "trap").await
}

/// The guest says itself that it has failed: nothing is wrong with its instance, and what it said is for the log only.
#[tokio::test]
async fn error_in_place_of_a_response() -> Result<()> {
    let host = host(&[("guilty", KEPT)])?;
    let answer = host.get("/guilty/error").await?;
    answer.expect_problem(500, "function-failed")?;
    ensure!(
        !answer.text().contains("asked to fail"),
        "{}",
        answer.text()
    );
    only(&host.metrics().await?, "guilty", "error", 1)?;
    host.wait_for_log(|line| line.contains("asked to fail"))
        .await?;
    Ok(())
}

/// A guest that never waits for anything must not keep a thread: there are more of them here than threads.
#[tokio::test]
async fn busy_guests_keep_nobody_waiting() -> Result<()> {
    let settings = format!("timeout = '3s'\ncpu_limit = '1m'\n{KEPT}");
    let host = host(&[("busy", &settings)])?;
    let guests = 2 * std::thread::available_parallelism()?.get();
    let busy = try_join_all((0..guests).map(|_| host.get("/busy/loop")));
    let others = Innocents::start(&host, &["/innocent/ok", "/busy/ok"]);

    let meanwhile = async {
        host.wait_for_metrics(|m| {
            m.sum("http_requests_in_flight", &[("function", "busy")]) >= guests as f64
        })
        .await?;
        // All of them are at it while these are answered.
        others.go_on(20).await?;
        let metrics = host.metrics().await?;
        ensure!(
            metrics.errors("busy", "timeout") == 0.0,
            "answered only after the busy ones had ended"
        );
        Ok(())
    };
    let (answers, ()) = futures::future::try_join(busy, meanwhile).await?;
    for answer in answers {
        answer.expect_problem(504, "timeout")?;
    }
    others.stop().await?;
    // Nobody waits for their answers any more, so nobody computes them.
    let metrics = host
        .wait_for_metrics(|m| {
            m.sum(
                "flowviz_function_instances",
                &[("function", "busy"), ("state", "busy")],
            ) == 0.0
        })
        .await?;
    only(&metrics, "busy", "timeout", guests)
}

#[tokio::test]
async fn beyond_max_concurrency_requests_queue_and_beyond_the_queue_they_are_refused() -> Result<()>
{
    let host = host(&[("narrow", "max_concurrency = 2\nqueue = 2")])?;
    let client = client();
    let others = Innocents::start(&host, &["/innocent/ok"]);
    let mut held = Vec::new();
    for number in 1..=4 {
        held.push(Held::post(&client, host.url("/narrow/echo")));
        host.wait_for_metrics(|m| {
            m.sum("http_requests_in_flight", &[("function", "narrow")]) == f64::from(number)
        })
        .await?;
    }
    let metrics = host
        .wait_for_metrics(|m| {
            m.sum(
                "flowviz_function_instances",
                &[("function", "narrow"), ("state", "busy")],
            ) >= 2.0
        })
        .await?;
    ensure!(
        instances(&metrics, "narrow").0 == 2.0,
        "more than max_concurrency run"
    );

    for _ in 0..3 {
        let refused = host.get("/narrow/ok").await?;
        refused.expect_problem(503, "overloaded")?;
        ensure!(
            refused
                .header("retry-after")
                .is_some_and(|seconds| seconds.parse::<u32>().is_ok())
        );
    }
    for (number, request) in held.into_iter().enumerate() {
        request.send(format!("number {number}"));
        let answer = request.finish().await?;
        ensure!(
            answer.status == 200 && answer.text() == format!("number {number}"),
            answer.text()
        );
    }
    ensure!(host.get("/narrow/ok").await?.status == 200);
    others.stop().await?;
    let metrics = host.metrics().await?;
    only(&metrics, "narrow", "overload", 3)?;
    let waited = metrics.sum(
        "flowviz_function_queue_wait_seconds_count",
        &[("function", "narrow")],
    );
    ensure!(waited == 5.0, "{waited} requests got a place");
    Ok(())
}

#[tokio::test]
async fn a_client_that_leaves_frees_its_place() -> Result<()> {
    let host = host(&[("leaver", "max_concurrency = 1\nqueue = 0")])?;
    let in_flight = |wanted: f64| {
        host.wait_for_metrics(move |m| {
            m.sum("http_requests_in_flight", &[("function", "leaver")]) == wanted
        })
    };
    // Before the response's head, at work or waiting.
    for (path, times) in [("/leaver/sleep?60000", 1.0), ("/leaver/loop", 2.0)] {
        let client = client();
        let request = tokio::spawn(client.get(host.url(path)).send());
        in_flight(1.0).await?;
        host.get("/leaver/ok")
            .await?
            .expect_problem(503, "overloaded")?;
        request.abort();
        let metrics = in_flight(0.0).await?;
        ensure!(metrics.errors("leaver", "client_disconnect") == times);
        ensure!(
            metrics.sum(
                "http_requests_total",
                &[("function", "leaver"), ("status", "499")]
            ) == times
        );
        ensure!(host.get("/leaver/ok").await?.status == 200);
    }
    // Within the body: the status was sent.
    let mut response = client()
        .get(host.url("/leaver/drip?1000000,10"))
        .send()
        .await?;
    ensure!(response.chunk().await?.is_some());
    drop(response);
    let metrics = in_flight(0.0).await?;
    ensure!(
        metrics.errors("leaver", "client_disconnect") == 3.0,
        "{metrics:#?}"
    );
    ensure!(
        metrics.sum(
            "http_requests_total",
            &[("function", "leaver"), ("status", "499")]
        ) == 2.0
    );
    host.wait_for_metrics(|m| {
        m.sum(
            "flowviz_function_instances",
            &[("function", "leaver"), ("state", "busy")],
        ) == 0.0
    })
    .await?;
    Ok(())
}

/// After the response's head it is too late for a status: the client sees a response that breaks off.
#[tokio::test]
async fn a_failure_within_the_body_cuts_the_response_and_is_counted() -> Result<()> {
    let host = host(&[("trap", ""), ("slow", "timeout = '1s'")])?;
    let others = Innocents::start(&host, &["/innocent/ok", "/trap/ok"]);
    for (path, function, reason) in [
        ("/trap/drip?3,1,panic", "trap", "trap"),
        ("/slow/drip?1000000,5", "slow", "timeout"),
    ] {
        let response = client().get(host.url(path)).send().await?;
        ensure!(response.status() == 200);
        ensure!(
            response.bytes().await.is_err(),
            "{path}: the body came to an end"
        );
        let metrics = host
            .wait_for_metrics(|m| m.errors(function, reason) > 0.0)
            .await?;
        only(&metrics, function, reason, 1)?;
    }
    others.stop().await?;
    Ok(())
}

/// Each answer's instance, and how many requests it had served by then.
async fn served(host: &Host, path: &str, requests: usize) -> Result<BTreeMap<String, Vec<u64>>> {
    let mut served: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for _ in 0..requests {
        let json = host.get(path).await?.json()?;
        let id = json["id"].as_str().unwrap_or_default().to_owned();
        served
            .entry(id)
            .or_default()
            .push(json["served"].as_u64().unwrap_or_default());
    }
    Ok(served)
}

#[tokio::test]
async fn an_instance_serves_as_many_requests_as_it_may() -> Result<()> {
    let host = host(&[
        ("three", "instance_reuse = { max_requests = 3 }"),
        ("one", "instance_reuse = false"),
    ])?;
    let three = served(&host, "/three/instance", 30).await?;
    ensure!(
        three.values().all(|numbers| numbers.len() <= 3),
        "{three:?}"
    );
    ensure!(
        three.values().any(|numbers| numbers == &[1, 2, 3]),
        "none was used again: {three:?}"
    );
    let one = served(&host, "/one/instance", 10).await?;
    ensure!(
        one.len() == 10 && one.values().all(|numbers| numbers == &[1]),
        "{one:?}"
    );
    // Without `instance_reuse`, one instance is enough for requests one after the other, or nearly.
    let many = served(&host, "/innocent/instance", 30).await?;
    ensure!(many.len() < 15, "{many:?}");
    host.wait_for_metrics(|metrics| instances(metrics, "one").0 == 0.0)
        .await?;
    Ok(())
}

#[tokio::test]
async fn an_instance_without_work_is_dropped_after_its_idle_timeout() -> Result<()> {
    let host = host(&[
        ("brief", "instance_reuse = { idle_timeout = '50ms' }"),
        ("kept", KEPT),
    ])?;
    for path in ["/brief/ok", "/kept/ok"] {
        ensure!(host.get(path).await?.status == 200);
    }
    let metrics = host
        .wait_for_metrics(|metrics| instances(metrics, "brief") == (0.0, 1.0))
        .await?;
    ensure!(instances(&metrics, "kept") == (1.0, 1.0));
    Ok(())
}

/// One request each, and as many as there are requests at the same time.
#[tokio::test]
async fn requests_at_the_same_time_have_an_instance_each() -> Result<()> {
    const REQUESTS: u32 = 8;
    let host = host(&[("alone", "")])?;
    let client = client();
    let mut held = Vec::new();
    for number in 1..=REQUESTS {
        held.push(Held::post(&client, host.url("/alone/echo")));
        let queued = "flowviz_function_queue_wait_seconds_count";
        host.wait_for_metrics(|m| m.sum(queued, &[("function", "alone")]) == f64::from(number))
            .await?;
    }
    let metrics = host
        .wait_for_metrics(|m| instances(m, "alone").0 >= f64::from(REQUESTS))
        .await?;
    let made = instances(&metrics, "alone").1;
    ensure!(made == f64::from(REQUESTS), "{made} instances");
    let answers: Vec<Answer> = try_join_all(held.into_iter().map(Held::finish)).await?;
    ensure!(answers.iter().all(|answer| answer.status == 200));
    Ok(())
}

/// However fast requests follow one another: who has a place finds an instance, or may make one.
#[tokio::test]
async fn there_are_never_more_instances_than_places() -> Result<()> {
    const PLACES: f64 = 4.0;
    // None ends for having served enough, either.
    let kept = "instance_reuse = { idle_timeout = '1h', max_requests = 1000000 }";
    let host = host(&[("narrow", &format!("max_concurrency = {PLACES}\n{kept}"))])?;
    let client = client();
    let clients = (0..64).map(|_| async {
        for _ in 0..50 {
            let answer = Answer::of(client.get(host.url("/narrow/ok"))).await?;
            ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        }
        anyhow::Ok(())
    });
    try_join_all(clients).await?;
    let (live, made) = instances(&host.metrics().await?, "narrow");
    ensure!((1.0..=PLACES).contains(&live), "{live} instances live");
    ensure!(made <= PLACES, "{made} instances made");
    Ok(())
}
