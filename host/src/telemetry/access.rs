//! The access log: one line for each request, when its response has ended.
//!
//! Lines have the target `access`, `WARN` where the request failed (5xx) and `INFO` else, and say: `request_id`, `function`, `version`,
//! `route`, `method`, `path` (without its query, which may be anybody's secret), `status`, `ms`, `client` and, if it failed, `reason`.
//!
//! They look as all lines do and their levels are chosen as all are, but they are written here: a line for each request is to cost
//! as little as it can.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};
use tracing::{Level, enabled};

use super::log_writer::LogWriter;
use super::logs::Format;

/// The target of the access log's lines.
pub const TARGET: &str = "access";

/// Bytes. Most lines are shorter.
const LINE: usize = 512;

static LOG: OnceLock<(LogWriter, Format)> = OnceLock::new();

/// What is asked, and by whom: what only the log tells.
#[derive(Clone, Debug)]
pub struct Asked {
    pub request_id: Arc<str>,
    pub path: Box<str>,
    /// `None`: the host itself.
    pub client: Option<IpAddr>,
}

/// How a request ended.
#[derive(Debug)]
pub struct Line<'a> {
    pub asked: &'a Asked,
    pub function: &'a str,
    /// `None`: no version got it.
    pub version: Option<&'a str>,
    pub route: &'a str,
    pub method: &'a str,
    pub status: u16,
    pub took: Duration,
    pub reason: Option<&'static str>,
}

/// A line, as a log collector reads it.
#[derive(Serialize)]
struct Json<'a> {
    #[serde(serialize_with = "timestamp")]
    timestamp: DateTime<Utc>,
    level: &'static str,
    message: &'static str,
    request_id: &'a str,
    function: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a str>,
    route: &'a str,
    method: &'a str,
    path: &'a str,
    status: u16,
    ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<IpAddr>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    target: &'static str,
}

/// Where the process's access log goes from now on.
pub(super) fn install(writer: LogWriter, format: Format) {
    // Once for a process, as its logger.
    _ = LOG.set((writer, format));
}

// === impl Line ===

impl Line<'_> {
    pub fn log(&self) {
        let Some((writer, format)) = LOG.get() else {
            return;
        };
        let level = match self.status {
            500.. if enabled!(target: TARGET, Level::WARN) => "WARN",
            ..500 if enabled!(target: TARGET, Level::INFO) => "INFO",
            _ => return,
        };
        let line = Json {
            timestamp: Utc::now(),
            level,
            message: "request",
            request_id: &self.asked.request_id,
            function: self.function,
            version: self.version,
            route: self.route,
            method: self.method,
            path: &self.asked.path,
            status: self.status,
            // Microseconds are enough, and short.
            ms: self.took.as_micros() as f64 / 1e3,
            client: self.asked.client,
            reason: self.reason,
            target: TARGET,
        };
        match format {
            Format::Json => {
                let mut bytes = Vec::with_capacity(LINE);
                // Text and numbers into memory: neither can fail.
                if serde_json::to_writer(&mut bytes, &line).is_ok() {
                    bytes.push(b'\n');
                    writer.push(&bytes);
                }
            }
            Format::Human => writer.push(line.told().as_bytes()),
        }
    }
}

// === impl Json ===

impl Json<'_> {
    /// For people.
    fn told(&self) -> String {
        let mut text = String::with_capacity(LINE);
        let time = self.timestamp.to_rfc3339_opts(SecondsFormat::Micros, true);
        // Into memory: it can't fail.
        _ = write!(
            text,
            "{time} {:>5} request {} {} {} {} ms function={}",
            self.level, self.method, self.path, self.status, self.ms, self.function
        );
        for (name, value) in [("version", self.version), ("reason", self.reason)] {
            if let Some(value) = value {
                _ = write!(text, " {name}={value}");
            }
        }
        if let Some(client) = self.client {
            _ = write!(text, " client={client}");
        }
        _ = writeln!(text, " request_id={}", self.request_id);
        text
    }
}

fn timestamp<S: Serializer>(time: &DateTime<Utc>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&time.to_rfc3339_opts(SecondsFormat::Micros, true))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_people_says_the_same() {
        let line = Json {
            timestamp: DateTime::UNIX_EPOCH,
            level: "WARN",
            message: "request",
            request_id: "one",
            function: "lots",
            version: Some("abc"),
            route: "/api/lots",
            method: "GET",
            path: "/api/lots",
            status: 503,
            ms: 1.25,
            client: None,
            reason: Some("overload"),
            target: TARGET,
        };
        assert_eq!(
            line.told(),
            "1970-01-01T00:00:00.000000Z  WARN request GET /api/lots 503 1.25 ms function=lots version=abc reason=overload request_id=one\n"
        );
    }
}
