//! What the admin API answers, as far as a person is shown it. Unknown fields are no error: a newer host may tell more.

use serde::Deserialize;

/// `GET /functions`
#[derive(Debug, Deserialize)]
pub struct Functions {
    pub functions: Vec<Function>,
}

/// `GET /functions/{id}`
#[derive(Debug, Deserialize)]
pub struct Function {
    pub id: String,
    pub description: Option<String>,
    #[serde(default)]
    pub routes: Vec<String>,
    /// As the manifest names it.
    pub source: String,
    pub live: Version,
    pub in_flight: u64,
    #[serde(default)]
    pub draining: Vec<Draining>,
    /// The newest first.
    #[serde(default)]
    pub versions: Vec<Version>,
    pub last_error: Option<LastError>,
}

#[derive(Debug, Deserialize)]
pub struct Version {
    /// The first digits of the digest.
    pub version: String,
    pub size: u64,
    pub state: String,
    pub origin: String,
    pub by: String,
    /// RFC 3339.
    pub at: String,
}

/// A version that no new request reaches.
#[derive(Debug, Deserialize)]
pub struct Draining {
    pub version: String,
    /// RFC 3339.
    pub since: String,
    pub in_flight: u64,
}

/// The last candidate that was turned down.
#[derive(Debug, Deserialize)]
pub struct LastError {
    /// RFC 3339.
    pub at: String,
    pub r#type: String,
    pub detail: String,
}

/// `PUT /functions/{id}` and `POST /functions/{id}/rollback`
#[derive(Debug, Deserialize)]
pub struct Deployed {
    pub function: String,
    pub live: Version,
    pub previous: Option<Version>,
    pub unchanged: bool,
    pub ms: Steps,
    pub compiled: Compiled,
}

/// How long each step took, in milliseconds.
#[derive(Debug, Deserialize)]
pub struct Steps {
    pub compile: f64,
    pub check: f64,
    /// `None`: the function has no probe.
    pub probe: Option<f64>,
    pub publish: f64,
}

/// Where the compiled form came from.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compiled {
    Cache,
    Compiler,
}

/// `POST /app/reload`
#[derive(Debug, Deserialize)]
pub struct Reloaded {
    pub functions: ReloadedFunctions,
    pub routes: u64,
    #[serde(default)]
    pub warnings: Vec<String>,
}

#[derive(Debug, Deserialize)]
pub struct ReloadedFunctions {
    pub added: Vec<String>,
    pub removed: Vec<String>,
    pub changed: Vec<String>,
    pub unchanged: usize,
}

/// `GET /readyz`
#[derive(Debug, Deserialize)]
pub struct Ready {
    pub status: String,
}

/// RFC 9457.
#[derive(Debug, Deserialize)]
pub struct Problem {
    pub r#type: String,
    pub title: String,
    pub detail: String,
}
