//! `/functions` and `/app`: what is live, and what changes it.
//!
//! | request | does |
//! |---|---|
//! | `GET /functions` | lists the functions |
//! | `GET /functions/{id}` | one function, its versions and what is in flight |
//! | `PUT /functions/{id}` | puts the component in the body in place of the live one |
//! | `POST /functions/{id}/rollback` | goes back: to the version before, or to `{"version": "..."}` |
//! | `POST /app/reload` | reads the manifest again; `{"fresh": true}` forgets what was deployed |

use std::sync::Arc;

use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Limited};
use hyper::body::Incoming;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::Admin;
use super::answer::{Answer, json, method_not_allowed, not_found};
use super::token;
use super::upload::{self, UploadError};
use crate::deploy::{By, DeployError, Origin};
use crate::gateway::discard;
use crate::problem;

/// Bytes of a request that is no component.
const MAX_ORDER: usize = 4096;
/// Characters of a name.
const MAX_NAME: usize = 128;
const DEPLOYED_BY: &str = "flowviz-deployed-by";

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RollBack {
    version: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Reload {
    fresh: bool,
}

/// `None`: the path is none of ours.
pub async fn answer(admin: &Arc<Admin>, request: Request<Incoming>) -> Option<Answer> {
    let answer = find(admin, request).await?;
    admin.telemetry.deploy.request(answer.status());
    Some(answer)
}

async fn find(admin: &Arc<Admin>, request: Request<Incoming>) -> Option<Answer> {
    let path = request.uri().path().to_owned();
    let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    if !matches!(segments.first(), Some(&("functions" | "app"))) {
        return None;
    }
    if let Err(refused) = token::check(admin.token.as_ref(), request.headers()) {
        discard(request.into_body());
        return Some(refused.into());
    }
    let method = request.method().clone();
    let reads = method == Method::GET || method == Method::HEAD;
    Some(match (&*segments, method) {
        (["functions"], _) if reads => json(StatusCode::OK, &admin.deployer.list()),
        (["functions"], _) => method_not_allowed("GET, HEAD"),
        (["functions", id], _) if reads => show(admin, id),
        (["functions", id], Method::PUT) => {
            let (admin, id) = (Arc::clone(admin), (*id).to_owned());
            to_its_end(async move { put(&admin, &id, request).await }).await
        }
        (["functions", _], _) => method_not_allowed("GET, HEAD, PUT"),
        (["functions", id, "rollback"], Method::POST) => {
            let (admin, id) = (Arc::clone(admin), (*id).to_owned());
            to_its_end(async move { roll_back(&admin, &id, request).await }).await
        }
        (["app", "reload"], Method::POST) => {
            let admin = Arc::clone(admin);
            to_its_end(async move { reload(&admin, request).await }).await
        }
        (["functions", _, "rollback"] | ["app", "reload"], _) => method_not_allowed("POST"),
        _ => not_found(),
    })
}

/// A client that goes away ends only its own wait: what it has begun is done, or told in the log.
async fn to_its_end(work: impl Future<Output = Answer> + Send + 'static) -> Answer {
    tokio::spawn(work).await.unwrap_or_else(|_| {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        problem::response(status, "internal", "Internal error", "See the log.")
    })
}

fn show(admin: &Admin, id: &str) -> Answer {
    match admin.deployer.show(id) {
        Some(report) => json(StatusCode::OK, &report),
        None => DeployError::NoFunction(id.to_owned()).into(),
    }
}

async fn put(admin: &Admin, id: &str, request: Request<Incoming>) -> Answer {
    if let Some(draining) = draining(admin) {
        return draining;
    }
    if let Err(error) = admin.deployer.function(id) {
        discard(request.into_body());
        return error.into();
    }
    let (parts, body) = request.into_parts();
    let limit = admin.max_component_size;
    let candidate = match upload::receive(&admin.deployer, &parts.headers, body, limit).await {
        Ok(candidate) => candidate,
        Err(UploadError::Deploy(error)) => {
            admin.deployer.turned_down(id, &error);
            return error.into();
        }
        Err(error) => return unreceived(admin, id, &error),
    };
    let by = By {
        origin: Origin::Api,
        name: deployed_by(&parts.headers),
    };
    match admin.deployer.deploy(id, candidate, by).await {
        Ok(outcome) => json(StatusCode::OK, &outcome),
        Err(error) => error.into(),
    }
}

fn unreceived(admin: &Admin, id: &str, error: &UploadError) -> Answer {
    let (status, slug, title) = match error {
        UploadError::TooLarge(_) => (
            StatusCode::PAYLOAD_TOO_LARGE,
            "component-too-large",
            "Component too large",
        ),
        UploadError::Interrupted => (StatusCode::BAD_REQUEST, "bad-request", "Bad request"),
        _ => (
            StatusCode::BAD_REQUEST,
            "digest-mismatch",
            "Digest mismatch",
        ),
    };
    admin.deployer.not_received(id, slug, &error.to_string());
    problem::response(status, slug, title, &error.to_string())
}

async fn roll_back(admin: &Admin, id: &str, request: Request<Incoming>) -> Answer {
    if let Some(draining) = draining(admin) {
        return draining;
    }
    let by = deployed_by(request.headers());
    let order: RollBack = match order(request.into_body()).await {
        Ok(order) => order,
        Err(answer) => return answer,
    };
    let to = order.version.as_deref();
    match admin.deployer.roll_back(id, to, &by).await {
        Ok(outcome) => json(StatusCode::OK, &outcome),
        Err(error) => error.into(),
    }
}

async fn reload(admin: &Admin, request: Request<Incoming>) -> Answer {
    if let Some(draining) = draining(admin) {
        return draining;
    }
    let order: Reload = match order(request.into_body()).await {
        Ok(order) => order,
        Err(answer) => return answer,
    };
    match admin.deployer.reload(order.fresh).await {
        Ok(reloaded) => json(StatusCode::OK, &reloaded),
        Err(error) => error.into(),
    }
}

fn draining(admin: &Admin) -> Option<Answer> {
    let draining = admin.readiness.is_draining();
    draining.then(|| {
        problem::response(
            StatusCode::SERVICE_UNAVAILABLE,
            "draining",
            "Draining",
            "The host is about to end.",
        )
    })
}

/// A small JSON object; nothing at all is one without fields.
async fn order<T: DeserializeOwned + Default>(body: Incoming) -> Result<T, Answer> {
    let refuse = |detail: &str| {
        let status = StatusCode::BAD_REQUEST;
        problem::response(status, "bad-request", "Bad request", detail)
    };
    let body = Limited::new(body, MAX_ORDER).collect().await;
    let body = body.map_err(|_| refuse("The body is too large, or ended too early."))?;
    let body = body.to_bytes();
    if body.trim_ascii().is_empty() {
        return Ok(T::default());
    }
    serde_json::from_slice(&body).map_err(|error| refuse(&format!("The body: {error}.")))
}

/// Who says that they do it: for people to read, nothing depends on it.
fn deployed_by(headers: &HeaderMap) -> String {
    let name = headers
        .get(DEPLOYED_BY)
        .and_then(|value| value.to_str().ok());
    let name = name.unwrap_or_default().trim();
    if name.is_empty() {
        return "api".to_owned();
    }
    name.chars().take(MAX_NAME).collect()
}
