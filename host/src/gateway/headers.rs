//! The headers that the host adds: Spin's, which tell a function how it was reached, and the request's id.

use std::net::SocketAddr;

use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use uuid::Uuid;

use crate::manifest::RouteMatch;

pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Characters. A longer id from a client is replaced by one of ours.
const MAX_REQUEST_ID: usize = 128;

/// Headers whose values a route decides, made once.
#[derive(Clone, Debug)]
pub struct RouteHeaders {
    matched_route: HeaderValue,
    component_route: HeaderValue,
    params: Vec<HeaderName>,
}

// === impl RouteHeaders ===

impl RouteHeaders {
    /// `template` is the route as the manifest has it, for example `/api/lots/:id`.
    pub fn new(template: &str) -> anyhow::Result<Self> {
        let without_rest = template
            .strip_suffix("/...")
            .or_else(|| template.strip_suffix("/*"))
            .unwrap_or(template);
        let params = template
            .split('/')
            .filter_map(|segment| segment.strip_prefix(':'))
            .map(|name| {
                let name = name.to_ascii_lowercase().replace('_', "-");
                HeaderName::try_from(format!("spin-path-match-{name}"))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self {
            matched_route: HeaderValue::try_from(template)?,
            component_route: HeaderValue::try_from(without_rest)?,
            params,
        })
    }

    /// Puts Spin's headers in place of whatever the client sent under their names, and takes out what belongs to the connection.
    pub fn apply(
        &self,
        headers: &mut HeaderMap,
        uri: &Uri,
        matched: &RouteMatch<'_>,
        client: SocketAddr,
    ) {
        const SPIN: &str = "spin-";
        let theirs: Vec<HeaderName> = headers
            .keys()
            .filter(|name| name.as_str().starts_with(SPIN))
            .cloned()
            .collect();
        for name in theirs {
            headers.remove(name);
        }
        headers.remove(http::header::CONNECTION);

        set(headers, "spin-path-info", matched.path_info);
        set(headers, "spin-full-url", &uri.to_string());
        set(headers, "spin-client-addr", &client.to_string());
        headers.insert("spin-matched-route", self.matched_route.clone());
        headers.insert("spin-raw-component-route", self.matched_route.clone());
        headers.insert("spin-component-route", self.component_route.clone());
        headers.insert("spin-base-path", HeaderValue::from_static("/"));
        for (name, (_, value)) in self.params.iter().zip(matched.params()) {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name.clone(), value);
            }
        }
    }
}

fn set(headers: &mut HeaderMap, name: &'static str, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The client's `X-Request-Id` if it is fit for a log line, or a new one.
pub fn request_id(headers: &HeaderMap) -> String {
    headers
        .get(REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| {
            (1..=MAX_REQUEST_ID).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic())
        })
        .map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

/// The request's absolute URI: what a guest's `authority` and `scheme` come from.
pub fn absolute(uri: &Uri, headers: &HeaderMap, local: SocketAddr) -> Option<Uri> {
    let authority = match uri.authority() {
        Some(authority) => authority.clone(),
        None => match headers.get(http::header::HOST) {
            Some(host) => Authority::try_from(host.as_bytes()).ok()?,
            // HTTP/1.0
            None => Authority::try_from(local.to_string()).ok()?,
        },
    };
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority);
    parts.path_and_query = uri.path_and_query().cloned();
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unfit_request_id_is_replaced() {
        let with = |id: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_str(id).unwrap());
            request_id(&headers)
        };
        assert_eq!(with("scanner-7/42"), "scanner-7/42");
        assert_ne!(with("two words"), "two words");
        assert_ne!(with(""), "");
        let long = "x".repeat(MAX_REQUEST_ID + 1);
        assert_ne!(with(&long), long);
    }

    #[test]
    fn the_absolute_uri_takes_its_authority_from_where_there_is_one() {
        let local: SocketAddr = "127.0.0.1:3000".parse().unwrap();
        let path: Uri = "/a?b".parse().unwrap();
        let mut headers = HeaderMap::new();
        let uri = |uri: &Uri, headers: &HeaderMap| {
            absolute(uri, headers, local).map(|uri| uri.to_string())
        };
        assert_eq!(uri(&path, &headers).unwrap(), "http://127.0.0.1:3000/a?b");
        headers.insert("host", HeaderValue::from_static("wms.example"));
        assert_eq!(uri(&path, &headers).unwrap(), "http://wms.example/a?b");
        headers.insert("host", HeaderValue::from_static("not a host"));
        assert_eq!(uri(&path, &headers), None);
    }
}
