//! A client of the WMS that doesn't give up at the first trouble: it waits as long as it is told to, repeats what got no answer
//! with the same key, and logs in again before its token ends.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, sleep_until};

use super::counts::{Counts, Kind};

/// How long a request is repeated that gets no answer, or a 503: a host or a pooler starts again in that time.
const PATIENCE: Duration = Duration::from_secs(60);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A token is good for 30 minutes.
const TOKEN_USED_FOR: Duration = Duration::from_secs(25 * 60);

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Who logs in.
#[derive(Clone)]
pub struct Credentials {
    pub email: String,
    pub password: String,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub kind: Kind,
    pub method: Method,
    pub path: String,
    pub body: Option<Value>,
    /// With it a write is done once, however often it is sent.
    pub key: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Value,
}

/// Why there is no answer to speak of.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    #[error("the address {0} is no http:// URL")]
    Address(String),

    #[error("no answer for {} s: {}", PATIENCE.as_secs(), chain(.0))]
    Connection(#[source] reqwest::Error),

    #[error("{email} can't log in: {status} {detail}")]
    Login {
        email: String,
        status: StatusCode,
        detail: String,
    },
}

#[derive(Debug)]
pub(super) struct Api {
    http: Client,
    base: String,
    credentials: Credentials,
    token: Mutex<Option<Token>>,
    /// Until when the server wants to hear no more of a kind.
    paused: std::sync::Mutex<BTreeMap<Kind, Instant>>,
    pub counts: Counts,
}

#[derive(Clone, Debug)]
struct Token {
    text: String,
    since: Instant,
}

// === impl Credentials ===

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} with a password", self.email)
    }
}

// === impl Api ===

impl Api {
    pub fn of(url: &str, credentials: Credentials) -> Result<Self, Unanswered> {
        let address = || Unanswered::Address(url.to_owned());
        let parsed = reqwest::Url::parse(url).map_err(|_| address())?;
        if parsed.scheme() != "http" || !parsed.username().is_empty() {
            return Err(address());
        }
        let http = Client::builder().timeout(ANSWER_WITHIN).no_proxy().build();
        Ok(Self {
            http: http.map_err(Unanswered::Connection)?,
            base: url.trim_end_matches('/').to_owned(),
            credentials,
            token: Mutex::new(None),
            paused: std::sync::Mutex::default(),
            counts: Counts::default(),
        })
    }

    /// Asks as a user who is logged in.
    pub async fn ask(&self, request: &Request) -> Result<Answer, Unanswered> {
        let mut last = None;
        loop {
            let token = self.token(last.as_deref()).await?;
            let answer = self.send(request, Some(&token)).await?;
            // A token may end before we think so (the server started again with another secret): once more with a new one.
            if answer.status != StatusCode::UNAUTHORIZED || last.is_some() {
                return Ok(answer);
            }
            last = Some(token);
        }
    }

    /// A token that lasts a while, and isn't `refused`. Whoever comes while another logs in waits for that one.
    async fn token(&self, refused: Option<&str>) -> Result<String, Unanswered> {
        let mut token = self.token.lock().await;
        if let Some(token) = &*token
            && token.since.elapsed() < TOKEN_USED_FOR
            && Some(token.text.as_str()) != refused
        {
            return Ok(token.text.clone());
        }
        let Credentials { email, password } = &self.credentials;
        let since = Instant::now();
        let login = Request {
            kind: Kind::Login,
            method: Method::POST,
            path: "/api/login".to_owned(),
            body: Some(json!({ "email": email, "password": password })),
            key: None,
        };
        let answer = self.send(&login, None).await?;
        let Some(text) = answer.body.get("token").and_then(Value::as_str) else {
            return Err(Unanswered::Login {
                email: email.clone(),
                status: answer.status,
                detail: answer.detail(),
            });
        };
        *token = Some(Token {
            text: text.to_owned(),
            since,
        });
        Ok(text.to_owned())
    }

    /// Sends it until there is an answer that repeating wouldn't change.
    async fn send(&self, request: &Request, token: Option<&str>) -> Result<Answer, Unanswered> {
        let mut pause = FIRST_PAUSE;
        let mut troubled_since = None;
        loop {
            self.wait(request.kind).await;
            let outcome = self.once(request, token).await;
            let since = *troubled_since.get_or_insert_with(Instant::now);
            let is_out_of_patience = since.elapsed() > PATIENCE;
            match outcome {
                Ok(answer) if answer.status == StatusCode::TOO_MANY_REQUESTS => {
                    // All others of this kind would hear the same.
                    self.pause(request.kind, answer.retry_after().unwrap_or(pause));
                    troubled_since = None;
                    continue;
                }
                Ok(answer) if !answer.is_for_now() || is_out_of_patience => return Ok(answer),
                Err(error) if is_out_of_patience => return Err(Unanswered::Connection(error)),
                Ok(answer) => sleep(answer.retry_after().unwrap_or(pause)).await,
                Err(_) => sleep(pause).await,
            }
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    async fn once(&self, asked: &Request, token: Option<&str>) -> Result<Answer, reqwest::Error> {
        let url = format!("{}{}", self.base, asked.path);
        let mut request = self.http.request(asked.method.clone(), url);
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(key) = &asked.key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = &asked.body {
            request = request.json(body);
        }
        let begun = Instant::now();
        let answer = Answer::to(request).await;
        match &answer {
            Ok(answer) => self
                .counts
                .answer(asked.kind, answer.status.as_u16(), begun.elapsed()),
            Err(_) => self.counts.no_answer(asked.kind),
        }
        answer
    }

    async fn wait(&self, kind: Kind) {
        let until = self.paused().get(&kind).copied();
        if let Some(until) = until {
            sleep_until(until).await;
        }
    }

    fn pause(&self, kind: Kind, pause: Duration) {
        let until = Instant::now() + pause;
        let mut paused = self.paused();
        let now = paused.entry(kind).or_insert(until);
        *now = until.max(*now);
    }

    fn paused(&self) -> std::sync::MutexGuard<'_, BTreeMap<Kind, Instant>> {
        self.paused
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

// === impl Answer ===

impl Answer {
    async fn to(request: RequestBuilder) -> Result<Self, reqwest::Error> {
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await?;
        let body = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Ok(Self {
            status,
            headers,
            body,
        })
    }

    /// Trouble that passes: the server is saturated or away, or still at the first request with this key.
    fn is_for_now(&self) -> bool {
        match self.status {
            StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => true,
            StatusCode::CONFLICT => self.problem().starts_with("idempotency"),
            _ => false,
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        let seconds = self.headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
        Some(Duration::from_secs(seconds))
    }

    /// The problem's slug: `lot-code-taken`.
    pub fn problem(&self) -> &str {
        let slug = self
            .body
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default();
        slug.trim_start_matches("/problems/")
    }

    /// What the server says is wrong.
    pub fn detail(&self) -> String {
        let detail = self
            .body
            .get("detail")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let errors = self
            .body
            .get("errors")
            .map(Value::to_string)
            .unwrap_or_default();
        format!("{detail} {errors}").trim().to_owned()
    }

    /// Was it done by an earlier request with the same key?
    pub fn is_replayed(&self) -> bool {
        self.headers
            .get("idempotency-replayed")
            .is_some_and(|value| value == "true")
    }
}

fn chain(error: &reqwest::Error) -> String {
    let mut causes = vec![error.to_string()];
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    causes.join(": ")
}
