//! Against a server that is difficult: one that limits rates, one that goes away, one that never was there.

use std::collections::BTreeMap;
use std::future::pending;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::{Credentials, End, HttpError, Kind, Options, Outcome, Summary, Unanswered, What, run};
use crate::Plan;

/// A status, and `Retry-After` in seconds.
type Verdict = (u16, Option<u64>);

/// Says what becomes of a request to this path.
type Judge = dyn FnMut(&str) -> Verdict + Send;

/// A server that says of every request what it is told to, on a port of its own.
async fn server(judge: impl FnMut(&str) -> Verdict + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let judge: Arc<Mutex<Box<Judge>>> = Arc::new(Mutex::new(Box::new(judge)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, Arc::clone(&judge)));
        }
    });
    address
}

async fn serve(stream: TcpStream, judge: Arc<Mutex<Box<Judge>>>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let (mut path, mut length, mut line) = (String::new(), 0, String::new());
        while stream.read_line(&mut line).await? > 2 {
            if path.is_empty() {
                path = line.split(' ').nth(1).unwrap().to_owned();
            }
            let line = std::mem::take(&mut line).to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
        }
        if path.is_empty() {
            return Ok(());
        }
        stream.read_exact(&mut vec![0; length]).await?;
        let (status, retry_after) = (judge.lock().unwrap())(&path);
        let body = json!({ "id": "01a2", "run_code": "PRD-1", "token": "t", "detail": "no" });
        let body = body.to_string();
        let mut head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n", body.len());
        if let Some(seconds) = retry_after {
            head += &format!("retry-after: {seconds}\r\n");
        }
        stream
            .write_all(format!("{head}\r\n{body}").as_bytes())
            .await?;
    }
}

fn usual(path: &str) -> Verdict {
    match path {
        "/api/login" => (200, None),
        path if path.starts_with("/api/traceability") => (200, None),
        _ => (201, None),
    }
}

async fn take(address: SocketAddr, plan: &Plan) -> Result<Summary, HttpError> {
    let credentials = Credentials {
        email: "operator@flowviz.com".to_owned(),
        password: "x".to_owned(),
    };
    let options = Options {
        url: format!("http://{address}"),
        credentials,
        connections: 16,
        what: What::DataSet,
        with_run: false,
    };
    run(plan, options, pending()).await
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_by_one_and_not_met_by_all() {
    const LIMIT: usize = 40;
    let mut taken: BTreeMap<String, Vec<Instant>> = BTreeMap::new();
    let address = server(move |path| {
        let times = taken.entry(path.to_owned()).or_default();
        times.retain(|at| at.elapsed() < Duration::from_secs(1));
        if times.len() >= LIMIT && path == "/api/lots" {
            return (429, Some(1));
        }
        times.push(Instant::now());
        usual(path)
    })
    .await;
    let plan = Plan {
        decisions_per_lot: Some(0),
        ..Plan::of(120, 1)
    };
    let summary = take(address, &plan).await.unwrap();
    assert_eq!(summary.count(Outcome::Done), 120, "{summary}");
    assert_eq!(summary.ended, End::Complete);
    assert!(summary.seconds >= 2.0, "{summary}");
    // Those that were under way when the limit was met, and from then on one for each second.
    let limited = summary.limited();
    assert!((2..=16 + 4).contains(&limited), "{summary}");
    assert!(summary.to_string().contains("FLOWVIZ_RATE_LIMITS=off"));
    assert_eq!(summary.answers[&Kind::Lot]["201"], 120);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_goes_away_ends_it() {
    let mut left = 50;
    let address = server(move |path| {
        if left == 0 {
            return (503, Some(1));
        }
        left -= 1;
        usual(path)
    })
    .await;
    let summary = take(address, &Plan::of(1000, 1)).await.unwrap();
    assert_eq!(summary.ended, End::Unanswered, "{summary}");
    assert!(summary.count(Outcome::Failed) > 0, "{summary}");
    assert!(summary.failures[0].contains("503"), "{summary}");
    assert!(
        summary.count(Outcome::Done) < 50,
        "the login isn't a step: {summary}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_server_that_answers_again_is_waited_for() {
    let mut number = 0;
    let address = server(move |path| {
        number += 1;
        match number {
            20..60 => (503, None),
            _ => usual(path),
        }
    })
    .await;
    let plan = Plan::of(60, 1);
    let summary = take(address, &plan).await.unwrap();
    let steps = plan.steps().count() as u64;
    assert_eq!(summary.count(Outcome::Done), steps, "{summary}");
}

#[tokio::test(start_paused = true)]
async fn where_nobody_listens_it_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = take(address, &Plan::of(10, 1)).await.unwrap_err();
    let HttpError::Unanswered(Unanswered::Connection(_)) = error else {
        panic!("{error}");
    };
}

#[tokio::test]
async fn a_wrong_password_is_one_error() {
    let address = server(|_| (401, None)).await;
    let error = take(address, &Plan::of(10, 1)).await.unwrap_err();
    let told = "operator@flowviz.com can't log in: 401 Unauthorized no";
    assert_eq!(error.to_string(), told);
}
