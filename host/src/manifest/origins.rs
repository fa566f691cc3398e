//! `cors_origins`: the origins whose pages may call the functions, separated by commas, or `*` for all.
//!
//! An origin is what a browser sends as `Origin`: `scheme://host`, with `:port` where it isn't the scheme's usual one.

use std::net::{Ipv4Addr, Ipv6Addr};

/// At least one origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AllowedOrigins {
    Any,
    /// As browsers write them.
    These(Vec<String>),
}

/// Which entry of the list is none, and why. The entry isn't quoted: a variable's value is never shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("number {number} is no origin: {reason}")]
pub(super) struct BadOrigin {
    /// Counted from 1.
    pub number: usize,
    pub reason: Reason,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Reason {
    #[error("it is empty")]
    Empty,
    #[error("`*` is every origin, so it stands alone")]
    NotAlone,
    #[error("`null` is what pages without an origin send, whoever made them")]
    Null,
    #[error("it has no scheme")]
    NoScheme,
    #[error("its scheme is not letters, digits, `+`, `-` and `.`")]
    Scheme,
    #[error("it carries a user name or password")]
    UserInfo,
    #[error("it has a path, be it a slash, or a query")]
    Path,
    #[error("a `*` in an origin is not supported")]
    Wildcard,
    #[error("its host is not a name or an address")]
    Host,
    #[error("its port is not a number from 1 to 65535")]
    Port,
    #[error("its port is its scheme's usual one, which browsers leave out")]
    UsualPort,
}

// === impl AllowedOrigins ===

impl AllowedOrigins {
    /// `None` for an empty text.
    pub(super) fn parse(list: &str) -> Result<Option<Self>, BadOrigin> {
        match list.trim() {
            "" => return Ok(None),
            "*" => return Ok(Some(Self::Any)),
            _ => {}
        }
        let parse = |(index, origin): (usize, &str)| {
            parse_origin(origin.trim()).map_err(|reason| BadOrigin {
                number: index + 1,
                reason,
            })
        };
        let origins: Result<_, _> = list.split(',').enumerate().map(parse).collect();
        Ok(Some(Self::These(origins?)))
    }

    /// `origin` is what a request says.
    pub fn allow(&self, origin: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::These(origins) => origins.iter().any(|allowed| allowed.as_bytes() == origin),
        }
    }
}

fn parse_origin(text: &str) -> Result<String, Reason> {
    let text = text.to_ascii_lowercase();
    match text.as_str() {
        "" => return Err(Reason::Empty),
        "*" => return Err(Reason::NotAlone),
        "null" => return Err(Reason::Null),
        _ => {}
    }
    let (scheme, rest) = text.split_once("://").ok_or(Reason::NoScheme)?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    if !is_scheme {
        return Err(Reason::Scheme);
    }
    if rest.contains('@') {
        return Err(Reason::UserInfo);
    }
    if rest.contains(['/', '?', '#']) {
        return Err(Reason::Path);
    }
    if rest.contains('*') {
        return Err(Reason::Wildcard);
    }
    // The colons of an IPv6 address are within its brackets.
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let host = parse_host(host).ok_or(Reason::Host)?;
    let Some(port) = port else {
        return Ok(format!("{scheme}://{host}"));
    };
    let port = match port.parse::<u16>() {
        Ok(port) if port > 0 => port,
        _ => return Err(Reason::Port),
    };
    match (scheme, port) {
        ("http", 80) | ("https", 443) => Err(Reason::UsualPort),
        _ => Ok(format!("{scheme}://{host}:{port}")),
    }
}

/// As browsers write it.
fn parse_host(text: &str) -> Option<String> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    if let Some(bare) = bare {
        return Some(format!("[{}]", bare.parse::<Ipv6Addr>().ok()?));
    }
    let is_name = text.split('.').all(|label| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    });
    let looks_like_address = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let is_host = is_name && (!looks_like_address || text.parse::<Ipv4Addr>().is_ok());
    is_host.then(|| text.to_owned())
}
