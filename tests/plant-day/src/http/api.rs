//! A client of the WMS that doesn't give up at the first trouble: it waits as long as it is told to, repeats what got no answer
//! with the same key, and logs in again before its token ends.

use std::fmt;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use super::counts::{Counts, Kind};
use super::line::Lines;
use crate::chain::chain;

/// How long a request is repeated that gets no answer, or a 503: a host or a pooler starts again in that time.
const PATIENCE: Duration = Duration::from_secs(60);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);

/// A token is good for 30 minutes.
const TOKEN_USED_FOR: Duration = Duration::from_secs(25 * 60);

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// After a 429 that doesn't say how long.
const LIMITED_PAUSE: Duration = Duration::from_secs(1);

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
    Connection(reqwest::Error),

    #[error("nothing but {status} for {} s: {detail}", PATIENCE.as_secs())]
    Unavailable { status: StatusCode, detail: String },

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
    lines: Lines,
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
            lines: Lines::default(),
            counts: Counts::default(),
        })
    }

    /// Can this user log in at all? Before anything else, so that a wrong password is one error and not thousands.
    pub async fn login(&self) -> Result<(), Unanswered> {
        self.token(None).await.map(drop)
    }

    /// What isn't as it should be, for the progress line.
    pub fn note(&self) -> String {
        let waiting = self.lines.waiting();
        let mut notes = Vec::new();
        if !waiting.is_empty() {
            notes.push(format!(
                "waiting for the rate limit: {}",
                waiting.join(", ")
            ));
        }
        notes.extend(Some(self.counts.troubles()).filter(|troubles| !troubles.is_empty()));
        notes.join("; ")
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
        let text = answer.body.get("token").and_then(Value::as_str);
        let Some(text) = text.filter(|_| answer.status.is_success()) else {
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
        let line = self.lines.of(request.kind);
        let mut turn = line.pass().await;
        let mut pause = FIRST_PAUSE;
        let mut troubled_since = None;
        loop {
            let outcome = self.once(request, token).await;
            if let Ok(answer) = &outcome
                && answer.status == StatusCode::TOO_MANY_REQUESTS
            {
                let until = Instant::now() + answer.retry_after().unwrap_or(LIMITED_PAUSE);
                let first = match turn.take() {
                    Some(first) => first,
                    None => line.enter().await,
                };
                line.wait(&first, until).await;
                turn = Some(first);
                troubled_since = None;
                continue;
            }
            let since = *troubled_since.get_or_insert_with(Instant::now);
            let is_out_of_patience = since.elapsed() > PATIENCE;
            match outcome {
                Ok(answer) if !answer.is_for_now() => return Ok(answer),
                Ok(answer) if is_out_of_patience => return answer.in_the_end(),
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

    /// What passes and hasn't: a server that is away, or a conflict after all.
    fn in_the_end(self) -> Result<Self, Unanswered> {
        if self.status == StatusCode::CONFLICT {
            return Ok(self);
        }
        Err(Unanswered::Unavailable {
            status: self.status,
            detail: self.detail(),
        })
    }

    /// In seconds, as our host says it; at once would be too soon.
    fn retry_after(&self) -> Option<Duration> {
        let seconds = self.headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
        Some(Duration::from_secs(seconds).max(FIRST_PAUSE))
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
