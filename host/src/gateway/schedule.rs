//! Functions that the host calls by itself: at once, and then at their intervals, until it drains.
//!
//! A run is a request like any other, with the function's limits, its metrics and an id. Each function has a task of its own: it
//! never runs twice at the same time, and one that is slow or fails delays only itself.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::BodyExt as _;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tracing::warn;

use super::headers::{self, REQUEST_ID, SCHEDULED};
use super::in_flight::InFlight;
use super::upload::{Upload, whole};
use crate::deploy::{Live, ScheduledFunction};
use crate::telemetry::access::Asked;

/// All of them, at work. Dropping it cuts the runs under way.
#[derive(Debug)]
pub struct Schedule {
    ending: watch::Sender<bool>,
    following: JoinHandle<()>,
}

/// The tasks of those functions that are live.
struct Running {
    ending: watch::Receiver<bool>,
    functions: Vec<(Arc<ScheduledFunction>, watch::Sender<bool>)>,
    tasks: JoinSet<()>,
}

// === impl Schedule ===

impl Schedule {
    /// Calls what is scheduled now, and what comes to be when other functions are published.
    pub fn start(live: Arc<Live>) -> Self {
        let (ending, ended) = watch::channel(false);
        Self {
            following: tokio::spawn(follow(live, ended)),
            ending,
        }
    }

    /// No run begins from now on.
    pub fn end(&self) {
        self.ending.send_replace(true);
    }

    /// Until the runs under way have ended.
    pub async fn ended(mut self) {
        // It ends by itself, and panics never.
        _ = (&mut self.following).await;
    }
}

impl Drop for Schedule {
    fn drop(&mut self) {
        self.following.abort();
    }
}

async fn follow(live: Arc<Live>, mut ending: watch::Receiver<bool>) {
    let mut published = live.subscribe();
    let mut running = Running {
        ending: ending.clone(),
        functions: Vec::new(),
        tasks: JoinSet::new(),
    };
    loop {
        running.take(live.functions().scheduled());
        tokio::select! {
            biased;
            _ = ending.changed() => break,
            _ = published.changed() => {}
        }
    }
    running.stop();
    while running.tasks.join_next().await.is_some() {}
}

// === impl Running ===

impl Running {
    /// Starts those that are new, and lets those go that are no more. A run under way ends as it would have.
    fn take(&mut self, scheduled: &[Arc<ScheduledFunction>]) {
        let is_one = |one: &Arc<ScheduledFunction>, of: &[Arc<ScheduledFunction>]| {
            of.iter().any(|other| Arc::ptr_eq(one, other))
        };
        self.functions.retain(|(function, stop)| {
            let stays = is_one(function, scheduled);
            if !stays {
                stop.send_replace(true);
            }
            stays
        });
        let known: Vec<_> = self.functions.iter().map(|(f, _)| Arc::clone(f)).collect();
        for function in scheduled.iter().filter(|one| !is_one(one, &known)) {
            let (stop, stopped) = watch::channel(*self.ending.borrow());
            self.functions.push((Arc::clone(function), stop));
            self.tasks.spawn(repeat(Arc::clone(function), stopped));
        }
        // Those that have ended are done with.
        while self.tasks.try_join_next().is_some() {}
    }

    fn stop(&self) {
        for (_, stop) in &self.functions {
            stop.send_replace(true);
        }
    }
}

async fn repeat(scheduled: Arc<ScheduledFunction>, mut ending: watch::Receiver<bool>) {
    let mut due = tokio::time::Instant::now();
    loop {
        tokio::select! {
            biased;
            _ = ending.changed() => return,
            () = tokio::time::sleep_until(due) => {}
        }
        due = tokio::time::Instant::now() + scheduled.every;
        run(&scheduled).await;
    }
}

async fn run(scheduled: &ScheduledFunction) {
    let function = &scheduled.function;
    let id = &function.config.id;
    let started = Instant::now();
    let Some(deadline) = started.checked_add(function.config.limits.timeout) else {
        return;
    };
    let request_id: Arc<str> = headers::request_id(&HeaderMap::new()).into();
    let mut request = Request::new(whole(Bytes::new()));
    *request.uri_mut() = scheduled.uri.clone();
    let headers = request.headers_mut();
    headers.insert(SCHEDULED, HeaderValue::from_static("true"));
    if let Ok(request_id) = HeaderValue::from_str(&request_id) {
        headers.insert(REQUEST_ID, request_id);
    }

    let asked = Asked {
        request_id: Arc::clone(&request_id),
        path: scheduled.uri.path().into(),
        client: None,
    };
    let observation = scheduled.metrics.observe(&Method::GET, asked, started);
    let admitted = InFlight::admit(function, observation, started, deadline).await;
    let response = match admitted {
        Ok(admitted) => admitted.run(request, &Upload::default(), deadline).await,
        Err(problem) => problem.into_response(),
    };
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        warn!(function = %id, request_id = %request_id, status = status.as_u16(), "the scheduled run failed");
    }
    // Nobody wants the body, but the run lasts until its end.
    let mut body = response.into_body();
    while let Some(frame) = body.frame().await {
        if let Err(cut) = frame {
            warn!(function = %id, request_id = %request_id, "the scheduled run was cut: {cut}");
            return;
        }
    }
}
