//! The live functions, as the gateway sees them.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, Uri};

use crate::gateway::{Admission, RateLimits, RouteHeaders};
use crate::manifest::{FunctionId, RouteMatch, Router, include};
use crate::runtime::{FunctionConfig, FunctionVersion};
use crate::telemetry::red::RouteMetrics;

/// Every route of the app, and what it leads to.
#[derive(Debug)]
pub struct Functions {
    router: Router,
    /// By the router's index.
    routes: Vec<LiveRoute>,
    scheduled: Vec<Arc<ScheduledFunction>>,
    unmatched: Arc<RouteMetrics>,
}

#[derive(Debug)]
pub struct LiveRoute {
    pub function: Arc<LiveFunction>,
    pub metrics: Arc<RouteMetrics>,
    pub headers: RouteHeaders,
}

/// A function that the host calls by itself.
#[derive(Debug)]
pub struct ScheduledFunction {
    pub function: Arc<LiveFunction>,
    pub metrics: Arc<RouteMetrics>,
    /// From one start to the next.
    pub every: Duration,
    pub uri: Uri,
}

/// A function that serves.
#[derive(Debug)]
pub struct LiveFunction {
    pub config: Arc<FunctionConfig>,
    pub version: FunctionVersion,
    pub admission: Admission,
    pub rates: Option<RateLimits>,
    /// `None`: any.
    methods: Option<Vec<Method>>,
    allow: HeaderValue,
}

// === impl Functions ===

impl Functions {
    /// `routes` in the router's order.
    pub fn new(
        router: Router,
        routes: Vec<LiveRoute>,
        scheduled: Vec<Arc<ScheduledFunction>>,
        unmatched: Arc<RouteMetrics>,
    ) -> Self {
        Self {
            router,
            routes,
            scheduled,
            unmatched,
        }
    }

    /// What answers `path`, percent-encoded as it came.
    pub fn find<'a: 'p, 'p>(&'a self, path: &'p str) -> Option<(&'a LiveRoute, RouteMatch<'p>)> {
        let matched = self.router.find(path)?;
        Some((self.routes.get(matched.index)?, matched))
    }

    /// What the host calls by itself.
    pub fn scheduled(&self) -> &[Arc<ScheduledFunction>] {
        &self.scheduled
    }

    pub fn rate_limits(&self) -> impl Iterator<Item = &RateLimits> {
        self.routes
            .iter()
            .filter_map(|route| route.function.rates.as_ref())
    }

    /// Where requests that match no route are counted.
    pub fn unmatched(&self) -> &Arc<RouteMetrics> {
        &self.unmatched
    }
}

// === impl ScheduledFunction ===

impl ScheduledFunction {
    pub fn new(
        function: Arc<LiveFunction>,
        metrics: Arc<RouteMetrics>,
        every: Duration,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            uri: private_uri(&function.config.id)?,
            function,
            metrics,
            every,
        })
    }
}

/// What Spin calls a private endpoint by.
fn private_uri(id: &FunctionId) -> anyhow::Result<Uri> {
    Ok(Uri::try_from(format!("http://{id}.spin.internal/"))?)
}

// === impl LiveFunction ===

impl LiveFunction {
    pub fn new(
        config: Arc<FunctionConfig>,
        version: FunctionVersion,
        methods: Option<Vec<Method>>,
        rates: Option<RateLimits>,
    ) -> anyhow::Result<Self> {
        let mut allow: Vec<&str> = methods.iter().flatten().map(Method::as_str).collect();
        if allow.contains(&"GET") && !allow.contains(&"HEAD") {
            allow.push("HEAD");
        }
        Ok(Self {
            admission: Admission::new(config.limits.max_concurrency, config.limits.queue),
            allow: HeaderValue::try_from(allow.join(", "))?,
            config,
            version,
            rates,
            methods,
        })
    }

    pub fn takes(&self, method: &Method) -> bool {
        include(self.methods.as_deref(), method)
    }

    /// What `Allow` says in a 405; empty if the function takes any method.
    pub fn allow(&self) -> &HeaderValue {
        &self.allow
    }
}
