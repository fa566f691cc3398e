//! The access log: one line for each request, when its response has ended.
//!
//! Lines have the target `access`, `WARN` where the request failed (5xx) and `INFO` else, and say: `request_id`, `function`, `version`,
//! `route`, `method`, `path` (without its query, which may be anybody's secret), `status`, `ms`, `client` and, if it failed, `reason`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tracing::{Level, enabled, info, warn};

/// The target of the access log's lines.
pub const TARGET: &str = "access";

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

// === impl Line ===

impl Line<'_> {
    pub fn log(&self) {
        let failed = self.status >= 500;
        if !enabled!(target: TARGET, Level::WARN)
            || !(failed || enabled!(target: TARGET, Level::INFO))
        {
            return;
        }
        // Microseconds are enough, and short.
        let ms = self.took.as_micros() as f64 / 1e3;
        macro_rules! line {
            ($log:ident) => {
                $log!(
                    target: TARGET,
                    request_id = &*self.asked.request_id,
                    function = self.function,
                    version = self.version,
                    route = self.route,
                    method = self.method,
                    path = &*self.asked.path,
                    status = self.status,
                    ms,
                    client = self.asked.client.map(tracing::field::display),
                    reason = self.reason,
                    "request"
                )
            };
        }
        if failed { line!(warn) } else { line!(info) }
    }
}
