//! A question to one version of a function, before anybody else asks it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri};
use http_body_util::BodyExt as _;

use super::headers::{self, REQUEST_ID};
use super::upload::whole;
use crate::deploy::{Functions, LiveFunction};
use crate::runtime::FunctionVersion;

/// Why a version is not fit to serve.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    #[error("`{0}` is no route of this function")]
    NoRoute(String),
    #[error("`GET {path}` answers {status}")]
    Refused { path: String, status: StatusCode },
    #[error("`GET {path}` fails: {reason}")]
    Failed { path: String, reason: String },
    #[error("`GET {0}` doesn't answer within the function's `timeout`")]
    Late(String),
}

/// `GET path` of this version, as a client's request would reach it. No metric of the function's counts it.
pub async fn probe(
    functions: &Functions,
    function: &LiveFunction,
    version: &Arc<FunctionVersion>,
    path: &str,
) -> Result<(), ProbeError> {
    let client = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let no_route = || ProbeError::NoRoute(path.to_owned());
    let uri = Uri::try_from(format!("http://localhost{path}")).map_err(|_| no_route())?;
    let (route, matched) = functions
        .find(uri.path())
        .filter(|(route, _)| route.function.config.id == function.config.id)
        .ok_or_else(no_route)?;
    let request_id: Arc<str> = headers::request_id(&HeaderMap::new()).into();
    let mut request = Request::new(whole(Bytes::new()));
    if let Ok(id) = HeaderValue::from_str(&request_id) {
        request.headers_mut().insert(REQUEST_ID, id);
    }
    let headers = request.headers_mut();
    route.headers.apply(headers, &uri, &matched, client);
    *request.uri_mut() = uri.clone();

    let failed = |reason: String| ProbeError::Failed {
        path: path.to_owned(),
        reason,
    };
    let asked = async {
        let call = version.call(request_id, request, ()).await;
        let mut call = call.map_err(|error| failed(error.to_string()))?;
        let response = call.response().await;
        let response = response.map_err(|error| failed(error.to_string()))?;
        let status = response.status();
        let body = call.drive(response.into_body().collect()).await;
        body.map_err(|error| failed(format!("its body is cut: {error}")))?;
        call.leave();
        if status.is_success() || status.is_redirection() {
            return Ok(());
        }
        Err(ProbeError::Refused {
            path: path.to_owned(),
            status,
        })
    };
    let limit = function.config.limits.timeout;
    tokio::time::timeout(limit, asked)
        .await
        .unwrap_or_else(|_| Err(ProbeError::Late(path.to_owned())))
}
