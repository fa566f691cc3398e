//! Lists of HTTP methods: those that a function takes, and those that a rule is for. GET includes HEAD.

use http::Method;

use super::document::Item;

// TRACE and CONNECT speak to the server itself, never to an endpoint.
const KNOWN: [Method; 7] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::PATCH,
    Method::DELETE,
    Method::OPTIONS,
];

/// Is `method` among `methods`? `None` is all of them.
pub fn include(methods: Option<&[Method]>, method: &Method) -> bool {
    methods.is_none_or(|methods| {
        methods.contains(method) || (method == Method::HEAD && methods.contains(&Method::GET))
    })
}

/// `empty` says what a list of none would mean.
pub(super) fn read(item: &Item<'_>, empty: &str) -> Option<Vec<Method>> {
    let items = item.list()?;
    if items.is_empty() {
        item.error(empty, "name one, or remove the key to take them all");
    }
    let mut methods = Vec::new();
    for item in items {
        let Some(text) = item.text() else { continue };
        match KNOWN.into_iter().find(|method| method.as_str() == text) {
            Some(method) if methods.contains(&method) => {
                item.error(format!("`{method}` is there twice"), "remove one")
            }
            Some(method) => methods.push(method),
            None => {
                let known = KNOWN.map(|method| method.to_string()).join(", ");
                item.error(
                    format!("`{text}` is no method that a function can take"),
                    format!("use one of {known}"),
                );
            }
        }
    }
    Some(methods)
}
