//! The admin API, as whoever has the token uses it.

use anyhow::{Result, ensure};
use http::Method;
use reqwest::RequestBuilder;
use serde_json::{Value, json};

use crate::client::{Answer, client};
use crate::host::{ADMIN_TOKEN, Host};
use crate::versions::Component;

// === impl Host ===

impl Host {
    /// A request to the admin API, with the token.
    pub fn admin(&self, method: Method, path: &str) -> RequestBuilder {
        client()
            .request(method, self.admin_url(path))
            .bearer_auth(ADMIN_TOKEN)
    }

    pub async fn put(&self, function: &str, component: impl Into<reqwest::Body>) -> Result<Answer> {
        let request = self.admin(Method::PUT, &format!("/functions/{function}"));
        Answer::of(request.body(component)).await
    }

    /// Has a version go live, and gives what the API says of it.
    pub async fn deploy(&self, function: &str, version: u64) -> Result<Value> {
        let answer = self.put(function, Component::version(version)?.0).await?;
        ensure!(answer.status == 200, "{}", answer.text());
        answer.json()
    }

    pub async fn roll_back(&self, function: &str, to: Option<&str>) -> Result<Answer> {
        let request = self.admin(Method::POST, &format!("/functions/{function}/rollback"));
        Answer::of(match to {
            Some(version) => request.json(&json!({ "version": version })),
            None => request,
        })
        .await
    }

    pub async fn reload(&self, order: Value) -> Result<Answer> {
        Answer::of(self.admin(Method::POST, "/app/reload").json(&order)).await
    }

    /// What the API says of one function.
    pub async fn function(&self, id: &str) -> Result<Value> {
        let answer = Answer::of(self.admin(Method::GET, &format!("/functions/{id}"))).await?;
        ensure!(answer.status == 200, "{}", answer.text());
        answer.json()
    }

    /// An error if a function doesn't answer as this version.
    pub async fn expect_version(&self, function: &str, version: u64) -> Result<()> {
        let answer = self.get(&format!("/{function}/version")).await?;
        let says = Component::says(version);
        ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
        ensure!(answer.text() == says, "{}, not {says}", answer.text());
        Ok(())
    }
}
