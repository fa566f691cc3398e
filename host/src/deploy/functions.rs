//! The live functions, as the gateway sees them.
//!
//! What the manifest says is one snapshot ([`Functions`]), replaced as a whole; each function's component is another
//! ([`LiveFunction::version`]). Both are published by one atomic store, and reading them takes no lock.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::{HeaderValue, Method, Uri};
use tokio::sync::watch;

use crate::gateway::{Admission, Cors, RateLimits, RouteHeaders};
use crate::manifest::{Function, FunctionId, RouteMatch, Router, include};
use crate::runtime::{FunctionConfig, FunctionVersion};
use crate::telemetry::red::RouteMetrics;

/// Which functions are live at this moment.
#[derive(Debug)]
pub struct Live {
    functions: ArcSwap<Functions>,
    published: watch::Sender<()>,
}

/// Every route of the app, and what it leads to.
#[derive(Debug)]
pub struct Functions {
    pub(super) router: Router,
    /// By the router's index.
    pub(super) routes: Vec<LiveRoute>,
    /// In the manifest's order.
    pub(super) functions: Vec<Arc<LiveFunction>>,
    pub(super) scheduled: Vec<Arc<ScheduledFunction>>,
    pub(super) unmatched: Arc<RouteMetrics>,
    pub(super) cors: Option<Cors>,
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

/// A function that serves: what the manifest says of it, and everything that outlives its versions.
#[derive(Debug)]
pub struct LiveFunction {
    pub declared: Function,
    pub config: Arc<FunctionConfig>,
    pub admission: Admission,
    pub rates: Option<RateLimits>,
    version: ArcSwap<FunctionVersion>,
    allow: HeaderValue,
}

// === impl Live ===

impl Live {
    pub fn new(functions: Arc<Functions>) -> Arc<Self> {
        Arc::new(Self {
            functions: ArcSwap::new(functions),
            published: watch::Sender::new(()),
        })
    }

    /// A request keeps to what it gets here, whatever is published meanwhile.
    pub fn functions(&self) -> Arc<Functions> {
        self.functions.load_full()
    }

    pub fn publish(&self, functions: Arc<Functions>) {
        self.functions.store(functions);
        self.published.send_replace(());
    }

    /// Tells of each time that other functions were published.
    pub fn subscribe(&self) -> watch::Receiver<()> {
        self.published.subscribe()
    }
}

// === impl Functions ===

impl Functions {
    /// What answers `path`, percent-encoded as it came.
    pub fn find<'a: 'p, 'p>(&'a self, path: &'p str) -> Option<(&'a LiveRoute, RouteMatch<'p>)> {
        let matched = self.router.find(path)?;
        Some((self.routes.get(matched.index)?, matched))
    }

    /// All of them, in the manifest's order.
    pub fn all(&self) -> &[Arc<LiveFunction>] {
        &self.functions
    }

    pub fn get(&self, id: &str) -> Option<&Arc<LiveFunction>> {
        let is_it = |function: &&Arc<LiveFunction>| function.config.id.as_ref() == id;
        self.functions.iter().find(is_it)
    }

    /// The templates of the routes that lead to a function.
    pub fn routes_of(&self, function: &LiveFunction) -> impl Iterator<Item = &str> {
        let id = &function.config.id;
        let is_its = move |route: &&LiveRoute| route.function.config.id == *id;
        let routes = self.routes.iter().filter(is_its);
        routes.map(|route| route.headers.template())
    }

    pub fn route_count(&self) -> usize {
        self.routes.len()
    }

    /// What the host calls by itself.
    pub fn scheduled(&self) -> &[Arc<ScheduledFunction>] {
        &self.scheduled
    }

    pub fn rate_limits(&self) -> impl Iterator<Item = &RateLimits> {
        self.functions
            .iter()
            .filter_map(|function| function.rates.as_ref())
    }

    /// Where requests that match no route are counted.
    pub fn unmatched(&self) -> &Arc<RouteMetrics> {
        &self.unmatched
    }

    pub fn cors(&self) -> Option<&Cors> {
        self.cors.as_ref()
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
        declared: Function,
        config: Arc<FunctionConfig>,
        version: FunctionVersion,
        rates: Option<RateLimits>,
    ) -> anyhow::Result<Self> {
        let methods = declared.methods.iter().flatten();
        let mut allow: Vec<&str> = methods.map(Method::as_str).collect();
        if allow.contains(&"GET") && !allow.contains(&"HEAD") {
            allow.push("HEAD");
        }
        Ok(Self {
            admission: Admission::new(config.limits.max_concurrency, config.limits.queue),
            allow: HeaderValue::try_from(allow.join(", "))?,
            declared,
            config,
            version: ArcSwap::from_pointee(version),
            rates,
        })
    }

    /// The version that serves at this moment. Whoever has it may go on with it when it is replaced.
    pub fn version(&self) -> Arc<FunctionVersion> {
        self.version.load_full()
    }

    /// From now on every request that comes gets this version. The one before is given back: it ends the requests that it has.
    pub fn publish(&self, version: Arc<FunctionVersion>) -> Arc<FunctionVersion> {
        version.publish();
        let before = self.version.swap(version);
        before.retire();
        before
    }

    pub fn takes(&self, method: &Method) -> bool {
        include(self.declared.methods.as_deref(), method)
    }

    /// What `Allow` says in a 405; empty if the function takes any method.
    pub fn allow(&self) -> &HeaderValue {
        &self.allow
    }
}
