//! `allowed_outbound_hosts`: where a function may connect to. What no entry allows is denied.
//!
//! An entry is `scheme://host[:port]`:
//! - scheme: letters, or `*` for all;
//! - host: a name, an IP address (an IPv6 one in brackets), a network such as `10.0.0.0/8`, `*.example.com` for all that is
//!   below `example.com` but not itself, or `*` for all;
//! - port: a number, `8000..8010` (the end is excluded), or `*`. Without one, the scheme's usual port.
//!
//! As in Spin, an entry whose template comes out empty (or as a bare `http://`) allows nothing and is no error.

use std::net::{IpAddr, Ipv6Addr};
use std::ops::Range;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowedHosts(Vec<AllowedHost>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct AllowedHost {
    /// `None` is any.
    scheme: Option<String>,
    host: HostPattern,
    /// `None` is any.
    ports: Option<Range<u32>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum HostPattern {
    Any,
    /// The suffix, with its leading dot.
    Below(String),
    Name(String),
    Network(Network),
}

/// The addresses whose first `bits` are those of `address`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Network {
    address: IpAddr,
    bits: u32,
}

/// Why an entry is not one. The sentences don't quote the entry: a template may have put a secret there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum BadHost {
    #[error("it has no scheme")]
    NoScheme,
    #[error("its scheme is not `*` or letters")]
    Scheme,
    #[error("it carries a user name or password")]
    UserInfo,
    #[error("it has a path")]
    Path,
    #[error("its host is not a name, an address, a network, `*.name` or `*`")]
    Host,
    #[error("`self` (a function that calls its own application) is not supported yet")]
    ToItself,
    #[error("`.spin.internal` (a function that calls another one) is not supported yet")]
    Chaining,
    #[error("its port is not a number from 1 to 65535, a range such as `8000..8010`, or `*`")]
    Port,
    #[error("lists in braces are not supported, and stock Spin refuses them too")]
    List,
    #[error("it names no port, and its scheme has no usual one")]
    NoPort,
}

// === impl AllowedHosts ===

impl AllowedHosts {
    /// May a connection be opened? `host` is a name or an IP address, an IPv6 one with or without its brackets.
    pub fn allows(&self, scheme: &str, host: &str, port: u16) -> bool {
        self.0.iter().any(|entry| entry.allows(scheme, host, port))
    }
}

impl FromIterator<AllowedHost> for AllowedHosts {
    fn from_iter<T: IntoIterator<Item = AllowedHost>>(entries: T) -> Self {
        Self(entries.into_iter().collect())
    }
}

// === impl AllowedHost ===

impl AllowedHost {
    pub(super) fn parse(entry: &str) -> Result<Self, BadHost> {
        let (scheme, rest) = entry.trim().split_once("://").ok_or(BadHost::NoScheme)?;
        if scheme.starts_with('{') || rest.starts_with('{') {
            return Err(BadHost::List);
        }
        if rest.contains('@') {
            return Err(BadHost::UserInfo);
        }
        let any_scheme = scheme == "*";
        if !any_scheme && (scheme.is_empty() || !scheme.bytes().all(|b| b.is_ascii_alphabetic())) {
            return Err(BadHost::Scheme);
        }
        let scheme = scheme.to_ascii_lowercase();
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = split_port(rest);
        Ok(Self {
            host: HostPattern::parse(host)?,
            ports: parse_ports(port, &scheme)?,
            scheme: (!any_scheme).then_some(scheme),
        })
    }

    fn allows(&self, scheme: &str, host: &str, port: u16) -> bool {
        self.scheme
            .as_deref()
            .is_none_or(|s| s.eq_ignore_ascii_case(scheme))
            && self
                .ports
                .as_ref()
                .is_none_or(|ports| ports.contains(&u32::from(port)))
            && self.host.allows(host)
    }
}

/// The port starts at the last colon, unless that one is part of an IPv6 address.
fn split_port(rest: &str) -> (&str, Option<&str>) {
    if rest.parse::<Ipv6Addr>().is_ok() || rest.ends_with(']') {
        return (rest, None);
    }
    match rest.rsplit_once(':') {
        Some((network, tail)) if tail.contains('/') && network.contains(':') => (rest, None),
        Some((host, "")) => (host, None),
        Some((host, port)) => (host, Some(port)),
        None => (rest, None),
    }
}

fn parse_ports(port: Option<&str>, scheme: &str) -> Result<Option<Range<u32>>, BadHost> {
    let number = |text: &str| {
        text.parse::<u16>()
            .map(u32::from)
            .map_err(|_| BadHost::Port)
    };
    match port {
        Some("*") => Ok(None),
        Some(port) if port.starts_with('{') => Err(BadHost::List),
        Some(port) if port.contains('/') => Err(BadHost::Path),
        Some(port) => {
            let ports = match port.split_once("..") {
                Some((start, end)) => number(start)?..number(end)?,
                None => number(port)?..number(port)? + 1,
            };
            if ports.start == 0 || ports.is_empty() {
                Err(BadHost::Port)
            } else {
                Ok(Some(ports))
            }
        }
        None => {
            let usual = match scheme {
                "http" => 80,
                "https" => 443,
                "postgres" => 5432,
                "mysql" => 3306,
                "redis" => 6379,
                "mqtt" => 1883,
                _ => return Err(BadHost::NoPort),
            };
            Ok(Some(usual..usual + 1))
        }
    }
}

// === impl HostPattern ===

impl HostPattern {
    fn parse(host: &str) -> Result<Self, BadHost> {
        if let Some(network) = Network::parse(host) {
            return Ok(Self::Network(network));
        }
        match host {
            "*" => return Ok(Self::Any),
            "self" | "self.alt" => return Err(BadHost::ToItself),
            _ if host.contains('/') => return Err(BadHost::Path),
            _ => {}
        }
        let host = host.to_ascii_lowercase();
        if host.ends_with(".spin.internal") {
            return Err(BadHost::Chaining);
        }
        let name = host.strip_prefix("*.").unwrap_or(&host);
        let is_name = name.split('.').all(|label| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        });
        // `10.0.0.999` would read as a name that nothing resolves.
        let looks_like_address = name.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if !is_name || looks_like_address {
            return Err(BadHost::Host);
        }
        Ok(if name.len() < host.len() {
            Self::Below(format!(".{name}"))
        } else {
            Self::Name(host)
        })
    }

    fn allows(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Below(suffix) => {
                // The bytes before the suffix are the subdomain; an empty one isn't below anything.
                let start = host
                    .len()
                    .checked_sub(suffix.len())
                    .filter(|start| *start > 0);
                start
                    .and_then(|start| host.get(start..))
                    .is_some_and(|tail| tail.eq_ignore_ascii_case(suffix))
            }
            Self::Name(name) => name.eq_ignore_ascii_case(host),
            Self::Network(network) => {
                parse_address(host).is_some_and(|address| network.contains(address))
            }
        }
    }
}

// === impl Network ===

impl Network {
    /// An address alone is a network of one.
    fn parse(text: &str) -> Option<Self> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits.parse().ok()?)),
            None => (text, None),
        };
        let address = parse_address(address)?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        (bits <= width).then_some(Self { address, bits })
    }

    fn contains(&self, other: IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                (a.to_bits() ^ b.to_bits()).leading_zeros() >= self.bits
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                (a.to_bits() ^ b.to_bits()).leading_zeros() >= self.bits
            }
            _ => false,
        }
    }
}

fn parse_address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    match bare {
        Some(bare) => bare.parse().ok().map(IpAddr::V6),
        None => text.parse().ok(),
    }
}
