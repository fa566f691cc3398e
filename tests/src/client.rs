//! The tests' HTTP client: answers as they are, and requests that are held open for as long as a test wants.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures::stream;
use http::{HeaderMap, StatusCode};
use reqwest::{Body, Client, RequestBuilder};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// How long anything that must happen may take, on a machine however busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A client that gives up after [`PATIENCE`], with connections of its own.
pub fn client() -> Client {
    Client::builder()
        .timeout(PATIENCE)
        .no_proxy()
        .build()
        .unwrap_or_default()
}

/// A whole response.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// A request whose body ends when the test says so, and with it the work of a function that echoes it.
#[derive(Debug)]
pub struct Held {
    body: mpsc::UnboundedSender<Bytes>,
    answer: JoinHandle<Result<Answer>>,
}

// === impl Answer ===

impl Answer {
    pub async fn of(request: RequestBuilder) -> Result<Self> {
        let response = request.send().await?;
        Ok(Self {
            status: response.status(),
            headers: response.headers().clone(),
            body: response.bytes().await?,
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Result<Value> {
        serde_json::from_slice(&self.body).with_context(|| self.text())
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Is it a problem as the host makes them, of this status and type?
    pub fn expect_problem(&self, status: u16, slug: &str) -> Result<()> {
        let json = self.json()?;
        let told = || {
            format!(
                "expected {status} {slug}, got {} {}",
                self.status,
                self.text()
            )
        };
        ensure!(self.status == status, told());
        ensure!(json["type"] == format!("/problems/{slug}"), told());
        ensure!(json["status"] == status, told());
        ensure!(
            json["title"].as_str().is_some_and(|text| !text.is_empty()),
            told()
        );
        ensure!(
            json["detail"].as_str().is_some_and(|text| !text.is_empty()),
            told()
        );
        ensure!(
            self.header("content-type") == Some("application/problem+json"),
            told()
        );
        ensure!(self.header("cache-control") == Some("no-store"), told());
        ensure!(self.header("x-request-id").is_some(), told());
        Ok(())
    }
}

// === impl Held ===

impl Held {
    /// Sends the request's head.
    pub fn post(client: &Client, url: String) -> Self {
        let (body, pieces) = mpsc::unbounded_channel();
        let pieces = stream::unfold(pieces, |mut pieces| async {
            let piece: Bytes = pieces.recv().await?;
            Some((Ok::<_, std::io::Error>(piece), pieces))
        });
        let request = client.post(url).body(Body::wrap_stream(pieces));
        Self {
            body,
            answer: tokio::spawn(Answer::of(request)),
        }
    }

    pub fn send(&self, piece: impl Into<Bytes>) {
        // The server may have answered already.
        _ = self.body.send(piece.into());
    }

    /// Ends the body, and gives the answer.
    pub async fn finish(self) -> Result<Answer> {
        drop(self.body);
        self.answer.await?
    }

    /// Goes away without a word.
    pub fn leave(self) {
        self.answer.abort();
    }
}
