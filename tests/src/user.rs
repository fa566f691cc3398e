//! A user of the WMS API, and the replies that the API gives.

use anyhow::{Context, Result, ensure};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::Value;

use crate::{Answer, Wms};

/// A text as one segment of a path, whatever it holds.
pub fn segment(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// An answer in JSON.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: StatusCode,
    pub body: Value,
    answer: Answer,
}

/// One user of one WMS.
#[derive(Debug)]
pub struct User<'a> {
    pub wms: &'a Wms,
    pub token: String,
}

// === impl Reply ===

impl Reply {
    pub async fn to(request: RequestBuilder) -> Result<Self> {
        let answer = Answer::of(request).await?;
        Ok(Self {
            status: answer.status,
            body: answer.json().unwrap_or(Value::Null),
            answer,
        })
    }

    /// Empty, if it isn't there.
    pub fn header(&self, name: &str) -> &str {
        self.answer.header(name).unwrap_or_default()
    }

    /// It has this status; the body tells why not.
    #[track_caller]
    pub fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "{}", self.body);
        self
    }

    /// Where the list goes on, if it does.
    pub fn next_page(&self) -> Option<&str> {
        self.header("link").split(&['<', '>'][..]).nth(1)
    }

    /// One field of each item of a list, as a text.
    pub fn list(&self, field: &str) -> Vec<&str> {
        let items = self.body.as_array().into_iter().flatten();
        items.filter_map(|item| item[field].as_str()).collect()
    }

    /// It is this problem, and a whole one.
    #[track_caller]
    pub fn is_problem(&self, status: u16, slug: &str) -> &Self {
        self.answer.expect_problem(status, slug).unwrap();
        assert!(!self.header("x-request-id").is_empty());
        self
    }

    /// The faults of a 422, as `path type`.
    pub fn faults(&self) -> Vec<String> {
        let mut faults: Vec<String> = self.body["errors"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|fault| {
                let path: Vec<String> = fault["loc"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .map(|step| step.to_string().replace('"', ""))
                    .collect();
                format!(
                    "{} {}",
                    path.join("."),
                    fault["type"].as_str().unwrap_or_default()
                )
            })
            .collect();
        faults.sort();
        faults
    }
}

// === impl User ===

impl<'a> User<'a> {
    pub async fn login(wms: &'a Wms, user: &str) -> Result<Self> {
        let token = wms.login(user).await?;
        Ok(Self { wms, token })
    }

    pub async fn get(&self, path: &str) -> Result<Reply> {
        self.ask(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Result<Reply> {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Result<Reply> {
        self.ask(Method::PATCH, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Result<Reply> {
        self.ask(Method::PUT, path, Some(body)).await
    }

    /// A request with the user's token, to be given a body or headers.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.wms
            .http
            .request(method, self.wms.host.url(path))
            .bearer_auth(&self.token)
    }

    /// A list to its end, page by page, and how many pages it had.
    pub async fn pages(&self, path: &str) -> Result<(Vec<Value>, usize)> {
        let (mut items, mut pages) = (Vec::new(), 0);
        let mut next = Some(path.to_owned());
        while let Some(path) = next {
            let page = self.get(&path).await?;
            ensure!(page.status == 200, "{path}: {}", page.body);
            items.extend(page.body.as_array().context("a list")?.iter().cloned());
            pages += 1;
            next = page.next_page().map(str::to_owned);
        }
        Ok((items, pages))
    }

    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Result<Reply> {
        let mut request = self.request(method, path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        Reply::to(request).await
    }

    /// Registers a lot that must be accepted, and gives its id.
    pub async fn lot(&self, lot: Value) -> Result<String> {
        let answer = self.post("/api/lots", lot).await?;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.body);
        Ok(answer.body["id"].as_str().context("an id")?.to_owned())
    }
}
