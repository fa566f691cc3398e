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
use tokio::task::JoinSet;
use tracing::warn;

use super::headers::{self, REQUEST_ID, SCHEDULED};
use super::in_flight::InFlight;
use super::upload::{Upload, whole};
use crate::deploy::{Functions, ScheduledFunction};

/// All of them, at work. Dropping it cuts the runs under way.
#[derive(Debug)]
pub struct Schedule {
    ending: watch::Sender<bool>,
    functions: JoinSet<()>,
}

// === impl Schedule ===

impl Schedule {
    pub fn start(functions: &Functions) -> Self {
        let (ending, _) = watch::channel(false);
        let mut tasks = JoinSet::new();
        for function in functions.scheduled() {
            tasks.spawn(repeat(Arc::clone(function), ending.subscribe()));
        }
        Self {
            ending,
            functions: tasks,
        }
    }

    /// No run begins from now on.
    pub fn end(&self) {
        self.ending.send_replace(true);
    }

    /// Until the runs under way have ended.
    pub async fn ended(mut self) {
        while self.functions.join_next().await.is_some() {}
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

    let observation = scheduled.metrics.observe(&Method::GET, started);
    let admitted = InFlight::admit(
        function,
        observation,
        Arc::clone(&request_id),
        started,
        deadline,
    )
    .await;
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
