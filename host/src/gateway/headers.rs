//! The headers that the host adds: Spin's, which tell a function how it was reached, and the request's id.

use std::net::SocketAddr;

use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Uri, Version};
use uuid::Uuid;

use crate::manifest::RouteMatch;

pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// `true` in the host's own calls, and in no client's.
pub const SCHEDULED: HeaderName = HeaderName::from_static("x-flowviz-scheduled");

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

    /// The route as the manifest has it.
    pub fn template(&self) -> &str {
        // It was made of text.
        self.matched_route.to_str().unwrap_or_default()
    }

    /// Puts Spin's headers in place of whatever the client sent under their names, and takes out what belongs to the connection
    /// or would pass for a call of the host's. `client` is who asks, even where the connection is a trusted proxy's.
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
            .filter(|name| name.as_str().starts_with(SPIN) || **name == SCHEDULED)
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

/// The request's absolute URI: what a guest's `authority` and `scheme` come from. An error says what is wrong with its host.
pub fn absolute<B>(request: &Request<B>, local: SocketAddr) -> Result<Uri, &'static str> {
    const NO_HOST: &str = "The Host header names no host.";
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next();
    if hosts.next().is_some() {
        return Err("There are two Host headers.");
    }
    let authority = match (request.uri().authority(), host) {
        (Some(authority), _) => authority.clone(),
        (None, Some(host)) => Authority::try_from(host.as_bytes()).map_err(|_| NO_HOST)?,
        (None, None) if request.version() == Version::HTTP_10 => {
            Authority::try_from(local.to_string()).map_err(|_| NO_HOST)?
        }
        (None, None) => return Err("There is no Host header."),
    };
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority);
    parts.path_and_query = request.uri().path_and_query().cloned();
    Uri::from_parts(parts).map_err(|_| "The request's target is no path.")
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
        let uri = |version, hosts: &[&str]| {
            let mut request = Request::get("/a?b").version(version);
            for host in hosts {
                request = request.header(HOST, *host);
            }
            absolute(&request.body(()).unwrap(), local).map(|uri| uri.to_string())
        };
        let ok = |text: &str| Ok(text.to_owned());
        assert_eq!(uri(Version::HTTP_10, &[]), ok("http://127.0.0.1:3000/a?b"));
        assert_eq!(
            uri(Version::HTTP_11, &["wms.example"]),
            ok("http://wms.example/a?b")
        );
        for hosts in [&[][..], &["not a host"], &["a", "a"]] {
            assert!(uri(Version::HTTP_11, hosts).is_err(), "{hosts:?}");
        }
    }
}
