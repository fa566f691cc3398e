//! Pages of other origins (CORS): the host tells browsers, for all functions, whose pages may call them and read what they answer.
//!
//! Browsers ask before such a call (a preflight); the host answers that itself, so no function is started for it. Cookies are never
//! allowed: who a caller is stands in `Authorization`, which only the page itself can set.

use bytes::Bytes;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};

use super::Body;
use super::problem::Problem;
use crate::manifest::AllowedOrigins;

/// What a page may read beside the headers that every page may.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "ETag, Link, Location, Retry-After, RateLimit, RateLimit-Policy, Idempotency-Replayed, X-Request-Id, X-Required-Roles, WWW-Authenticate",
);
/// Of a function whose methods the manifest doesn't name.
const ANY_METHOD: HeaderValue =
    HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
/// What a preflight's answer depends on, beside the origin.
const ASKED: HeaderValue =
    HeaderValue::from_static("Access-Control-Request-Method, Access-Control-Request-Headers");
/// Seconds for which a browser need not ask again.
const MAX_AGE_SECONDS: HeaderValue = HeaderValue::from_static("600");

/// What the manifest allows.
#[derive(Debug)]
pub struct Cors(AllowedOrigins);

/// What the answer to one request says of it: the origin that may read the answer, if any may.
#[derive(Debug)]
pub struct Grant(Option<HeaderValue>);

// === impl Cors ===

impl Cors {
    pub fn new(origins: AllowedOrigins) -> Self {
        Self(origins)
    }

    /// What is granted to the sender of a request with these headers.
    pub fn grant(&self, headers: &HeaderMap) -> Grant {
        let origin = headers
            .get(ORIGIN)
            .filter(|origin| self.0.allow(origin.as_bytes()));
        Grant(origin.map(|origin| match self.0 {
            AllowedOrigins::Any => HeaderValue::from_static("*"),
            AllowedOrigins::These(_) => origin.clone(),
        }))
    }

    /// The answer to a preflight, but for what [`Grant::apply`] adds; `None`: the request is no preflight.
    /// `methods` are the function's, as `Allow` lists them; empty for all.
    pub fn preflight<B>(
        &self,
        request: &Request<B>,
        methods: &HeaderValue,
    ) -> Option<Response<Body>> {
        let asked = request.headers();
        let is_preflight = request.method() == Method::OPTIONS
            && asked.contains_key(ORIGIN)
            && asked.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
        if !is_preflight {
            return None;
        }
        if self.grant(asked).0.is_none() {
            return Some(Problem::OriginNotAllowed.into_response());
        }
        let mut response = Response::new(Body::from(Bytes::new()));
        *response.status_mut() = StatusCode::NO_CONTENT;
        let headers = response.headers_mut();
        let methods = if methods.is_empty() {
            ANY_METHOD
        } else {
            methods.clone()
        };
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
        if let Some(names) = header_names(asked) {
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, names);
        }
        headers.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECONDS);
        headers.insert(VARY, ASKED);
        Some(response)
    }
}

/// The headers that a preflight asks for; what is no header's name is left out.
fn header_names(asked: &HeaderMap) -> Option<HeaderValue> {
    let names: Vec<_> = asked
        .get_all(ACCESS_CONTROL_REQUEST_HEADERS)
        .iter()
        .flat_map(|list| list.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    let names: Vec<_> = names.iter().map(HeaderName::as_str).collect();
    HeaderValue::try_from(names.join(", "))
        .ok()
        .filter(|names| !names.is_empty())
}

// === impl Grant ===

impl Grant {
    /// Every answer says that it depends on who asked, so that no cache gives one origin's to another.
    pub fn apply(self, headers: &mut HeaderMap) {
        headers.append(VARY, HeaderValue::from_static("Origin"));
        if let Some(origin) = self.0 {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "https://wms.example";

    fn cors() -> Cors {
        Cors::new(AllowedOrigins::These(vec![PAGE.to_owned()]))
    }

    fn request(method: Method, headers: &[(&str, &str)]) -> Request<()> {
        let mut request = Request::builder().method(method);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap()
    }

    fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
        headers.get(name).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn only_a_preflight_is_answered() {
        let asks = ("access-control-request-method", "POST");
        let page = ("origin", PAGE);
        let allow = HeaderValue::from_static("POST");
        for (method, headers) in [
            (Method::OPTIONS, &[page][..]),
            (Method::OPTIONS, &[asks]),
            (Method::POST, &[page, asks]),
        ] {
            let answer = cors().preflight(&request(method, headers), &allow);
            assert!(answer.is_none(), "{headers:?}");
        }
        let answer = cors().preflight(&request(Method::OPTIONS, &[page, asks]), &allow);
        let answer = answer.unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        assert_eq!(
            text(answer.headers(), "access-control-allow-methods"),
            Some("POST")
        );
        assert_eq!(text(answer.headers(), "access-control-allow-headers"), None);

        let stranger = ("origin", "https://other.example");
        let answer = cors().preflight(&request(Method::OPTIONS, &[stranger, asks]), &allow);
        let answer = answer.unwrap();
        assert_eq!(answer.status(), StatusCode::FORBIDDEN);
        assert_eq!(text(answer.headers(), "access-control-allow-methods"), None);
    }

    #[test]
    fn what_was_asked_for_is_allowed_if_it_is_a_name() {
        let names = |lists: &[&str]| {
            let headers: Vec<_> = lists
                .iter()
                .map(|list| ("access-control-request-headers", *list))
                .collect();
            let names = header_names(request(Method::OPTIONS, &headers).headers());
            names.map(|names| names.to_str().unwrap().to_owned())
        };
        assert_eq!(names(&[]), None);
        assert_eq!(names(&["", " , "]), None);
        assert_eq!(
            names(&["Authorization,content-type", "two words, a:b, x-own"]).as_deref(),
            Some("authorization, content-type, x-own")
        );
    }

    #[test]
    fn an_answer_names_the_origin_only_if_it_is_allowed() {
        let granted = |cors: &Cors, headers: &[(&str, &str)]| {
            let mut answer = HeaderMap::new();
            answer.insert(VARY, HeaderValue::from_static("Accept"));
            cors.grant(request(Method::GET, headers).headers())
                .apply(&mut answer);
            answer
        };
        let answer = granted(&cors(), &[("origin", PAGE)]);
        assert_eq!(text(&answer, "access-control-allow-origin"), Some(PAGE));
        assert!(text(&answer, "access-control-expose-headers").is_some());
        assert_eq!(
            answer.get_all(VARY).iter().collect::<Vec<_>>(),
            ["Accept", "Origin"]
        );

        for headers in [
            &[][..],
            &[("origin", "https://other.example")],
            &[("origin", "null")],
        ] {
            let answer = granted(&cors(), headers);
            assert_eq!(text(&answer, "access-control-allow-origin"), None);
            assert_eq!(answer.get_all(VARY).iter().count(), 2);
        }

        let all = Cors::new(AllowedOrigins::Any);
        let answer = granted(&all, &[("origin", "https://other.example")]);
        assert_eq!(text(&answer, "access-control-allow-origin"), Some("*"));
    }
}
