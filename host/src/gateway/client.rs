//! Whose connection it really is: behind a proxy that the operator trusts, the client is whom the proxy says it is.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName};
use ipnet::IpNet;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Addresses whose `X-Forwarded-For` is believed. Empty by default: any client can send one.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Vec<IpNet>);

// === impl TrustedProxies ===

impl TrustedProxies {
    /// Addresses and networks, separated by commas. The error is the first that is neither.
    pub fn parse(list: &str) -> Result<Self, String> {
        let parse = |entry: &str| {
            let address = || entry.parse::<IpAddr>().map(|ip| ip.to_canonical().into());
            let net = entry.parse::<IpNet>().or_else(|_| address());
            net.map_err(|_| format!("`{entry}` is neither an address nor a network (10.0.0.0/8)"))
        };
        list.split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
            .map(parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The client's address: that of the connection, or, where it is a trusted proxy's, the right-most one in `X-Forwarded-For`
    /// that isn't. If all of them are, the left-most. Left of what is no address, nothing is believed.
    pub fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> SocketAddr {
        let mut client = peer;
        if self.0.is_empty() {
            return client;
        }
        let lines: Vec<_> = headers.get_all(FORWARDED_FOR).iter().collect();
        let mut hops = lines
            .iter()
            .rev()
            .flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','))
            .map(address);
        while self.trusts(client.ip())
            && let Some(Some(hop)) = hops.next()
        {
            client = hop;
        }
        client
    }

    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address))
    }
}

impl FromIterator<Self> for TrustedProxies {
    fn from_iter<I: IntoIterator<Item = Self>>(lists: I) -> Self {
        Self(lists.into_iter().flat_map(|list| list.0).collect())
    }
}

/// With or without a port (0 stands for none), as the various proxies write it.
fn address(entry: &[u8]) -> Option<SocketAddr> {
    let entry = std::str::from_utf8(entry).ok()?.trim();
    let bare = entry
        .strip_prefix('[')
        .and_then(|entry| entry.strip_suffix(']'))
        .unwrap_or(entry);
    match bare.parse::<IpAddr>() {
        Ok(ip) => Some(SocketAddr::new(ip, 0)),
        Err(_) => entry.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn client(trusted: &str, peer: &str, forwarded: &[&str]) -> String {
        let headers = forwarded
            .iter()
            .map(|line| (FORWARDED_FOR, HeaderValue::from_str(line).unwrap()))
            .collect();
        TrustedProxies::parse(trusted)
            .unwrap()
            .client(peer.parse().unwrap(), &headers)
            .to_string()
    }

    #[test]
    fn nobody_is_believed_by_default() {
        assert_eq!(client("", "192.0.2.1:5", &["10.0.0.1"]), "192.0.2.1:5");
        assert_eq!(
            client("10.0.0.0/8", "192.0.2.1:5", &["198.51.100.1"]),
            "192.0.2.1:5"
        );
    }

    #[test]
    fn a_trusted_proxy_says_who_the_client_is() {
        let behind =
            |forwarded: &[&str]| client("10.0.0.0/8, 2001:db8::1", "10.1.1.1:5", forwarded);
        assert_eq!(behind(&[]), "10.1.1.1:5");
        assert_eq!(behind(&["198.51.100.1"]), "198.51.100.1:0");
        // What the client itself sent stands on the left.
        assert_eq!(behind(&["6.6.6.6, 198.51.100.1"]), "198.51.100.1:0");
        assert_eq!(
            behind(&["6.6.6.6", "198.51.100.1, 10.2.2.2"]),
            "198.51.100.1:0"
        );
        assert_eq!(
            behind(&["198.51.100.1,10.2.2.2", "2001:db8::1"]),
            "198.51.100.1:0"
        );
        assert_eq!(behind(&["10.3.3.3, 10.2.2.2"]), "10.3.3.3:0");
        assert_eq!(behind(&["198.51.100.1, unknown, 10.2.2.2"]), "10.2.2.2:0");
        assert_eq!(behind(&["nonsense"]), "10.1.1.1:5");
    }

    #[test]
    fn reads_addresses_in_every_form() {
        for (entry, read) in [
            ("198.51.100.1:4711", "198.51.100.1:4711"),
            ("2001:db8::2", "[2001:db8::2]:0"),
            ("[2001:db8::2]", "[2001:db8::2]:0"),
            (" [2001:db8::2]:4711 ", "[2001:db8::2]:4711"),
        ] {
            assert_eq!(
                client("::ffff:127.0.0.1", "[::ffff:127.0.0.1]:1", &[entry]),
                read
            );
        }
    }

    #[test]
    fn what_is_no_address_is_told() {
        for list in ["localhost", "10.0.0.0/33", "10.0.0.1,x"] {
            assert!(TrustedProxies::parse(list).is_err(), "{list}");
        }
    }
}
