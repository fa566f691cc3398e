//! A database's address: `postgres://user:password@host:port/database?...`, or `host=... user=...`.
//!
//! Parsed once; the value is also the pool's key, so two functions with the same address share a pool. It prints without secrets.

use std::fmt;
use std::net::IpAddr;

use pg_tls::{Encryption, ParameterError, Roots, TlsError};
use tokio_postgres::config::{self, Host, TargetSessionAttrs};

const DEFAULT_PORT: u16 = 5432;

/// What the server shows in `pg_stat_activity`, unless the address says otherwise.
const APPLICATION_NAME: &str = "flowviz";

/// Where and as whom to connect.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address {
    endpoints: Vec<Endpoint>,
    pub(super) user: String,
    pub(super) password: Option<Vec<u8>>,
    pub(super) database: String,
    pub(super) options: Option<String>,
    pub(super) application_name: String,
    pub(super) encryption: Encryption,
    pub(super) channel_binding: ChannelBinding,
}

/// One of the servers that an address names; they are tried in order.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Endpoint {
    pub host: String,
    pub port: u16,
    /// `hostaddr`: the address to connect to, in place of a look-up of `host`.
    pub hostaddr: Option<IpAddr>,
}

/// `channel_binding`: whether a login by SCRAM is tied to the server's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum ChannelBinding {
    Never,
    IfPossible,
    Always,
}

/// Why an address can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    #[error("the database address is not a valid connection string")]
    Syntax,
    #[error("the database address names no host")]
    NoHost,
    #[error("the database address names no user")]
    NoUser,
    #[error(
        "the database address names as many `port` or `hostaddr` as hosts, or else one port or none"
    )]
    Count,
    #[error("the database address names a Unix socket; only TCP is possible")]
    UnixSocket,
    #[error(transparent)]
    Tls(ParameterError),
    #[error("only `target_session_attrs=any` is supported")]
    TargetSession,
}

// === impl Address ===

impl Address {
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        Self::parse_trusting(text, None)
    }

    /// With roots that go before the address's own: whoever gives them counts on TLS, so only an explicit `sslmode=disable` goes without.
    pub fn parse_trusting(text: &str, roots: Option<Roots>) -> Result<Self, AddressError> {
        let (config, encryption) = pg_tls::parse(text, roots)?;
        if config.get_target_session_attrs() != TargetSessionAttrs::Any {
            return Err(AddressError::TargetSession);
        }
        let user = config.get_user().ok_or(AddressError::NoUser)?.to_owned();
        Ok(Self {
            endpoints: endpoints(&config)?,
            password: config.get_password().map(<[u8]>::to_vec),
            database: config.get_dbname().unwrap_or(&user).to_owned(),
            options: config.get_options().map(str::to_owned),
            application_name: config
                .get_application_name()
                .unwrap_or(APPLICATION_NAME)
                .to_owned(),
            user,
            encryption,
            channel_binding: match config.get_channel_binding() {
                config::ChannelBinding::Disable => ChannelBinding::Never,
                config::ChannelBinding::Require => ChannelBinding::Always,
                _ => ChannelBinding::IfPossible,
            },
        })
    }

    /// The servers, at least one. All of them must be allowed, since any of them may be connected to.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    pub fn database(&self) -> &str {
        &self.database
    }

    /// Whether what its TLS needs is there, such as the file of `sslrootcert`. Reads the disk.
    pub fn check_roots(&self) -> Result<(), TlsError> {
        self.encryption.check()
    }
}

impl From<ParameterError> for AddressError {
    fn from(error: ParameterError) -> Self {
        match error {
            ParameterError::Syntax => Self::Syntax,
            error => Self::Tls(error),
        }
    }
}

fn endpoints(config: &tokio_postgres::Config) -> Result<Vec<Endpoint>, AddressError> {
    let hosts = config.get_hosts();
    let addrs = config.get_hostaddrs();
    let ports = config.get_ports();
    let count = if hosts.is_empty() {
        addrs.len()
    } else {
        hosts.len()
    };
    if count == 0 {
        return Err(AddressError::NoHost);
    }
    if (!hosts.is_empty() && !addrs.is_empty() && addrs.len() != count)
        || (ports.len() > 1 && ports.len() != count)
    {
        return Err(AddressError::Count);
    }
    let mut endpoints = Vec::with_capacity(count);
    for index in 0..count {
        let hostaddr = addrs.get(index).copied();
        let host = match (hosts.get(index), hostaddr) {
            (Some(Host::Tcp(host)), _) => host.clone(),
            (Some(Host::Unix(_)), _) => return Err(AddressError::UnixSocket),
            (None, Some(addr)) => addr.to_string(),
            (None, None) => return Err(AddressError::NoHost),
        };
        let port = ports
            .get(index)
            .or(ports.first())
            .copied()
            .unwrap_or(DEFAULT_PORT);
        endpoints.push(Endpoint {
            host,
            port,
            hostaddr,
        });
    }
    Ok(endpoints)
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address")
            .field("database", &self.database)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_give_the_same_key() {
        let url =
            Address::parse("postgres://app:s3cret@127.0.0.1:6432/flowviz?sslmode=disable").unwrap();
        let words = Address::parse(
            "host=127.0.0.1 port=6432 user=app password=s3cret dbname=flowviz sslmode=disable",
        )
        .unwrap();
        assert_eq!(url, words);
        assert_eq!(
            url.endpoints(),
            [Endpoint {
                host: "127.0.0.1".to_owned(),
                port: 6432,
                hostaddr: None
            }]
        );
        let other =
            Address::parse("postgres://app:other@127.0.0.1:6432/flowviz?sslmode=disable").unwrap();
        assert_ne!(url, other);
    }

    /// Connections of one kind must not be lent to who asks for another.
    #[test]
    fn how_it_is_protected_is_part_of_the_key() {
        let of = |parameters: &str, roots| {
            let text = format!("postgres://u:p@h/d?{parameters}");
            Address::parse_trusting(&text, roots).unwrap()
        };
        let pem = |name: &str| {
            let made = rcgen::generate_simple_self_signed([name.to_owned()]);
            Some(Roots::given(&made.unwrap().cert.pem()).unwrap())
        };
        let addresses = [
            of("", None),
            of("sslmode=disable", None),
            of("sslmode=require", None),
            of("sslmode=verify-ca&sslrootcert=/a", None),
            of("sslmode=verify-full&sslrootcert=/a", None),
            of("sslmode=verify-full&sslrootcert=/b", None),
            of("sslrootcert=system", None),
            of("", pem("a")),
            of("", pem("b")),
            of("channel_binding=require", None),
            of("channel_binding=disable", None),
        ];
        let different: std::collections::HashSet<_> = addresses.iter().collect();
        assert_eq!(different.len(), addresses.len());
        assert_eq!(
            of("sslmode=prefer&channel_binding=prefer", None),
            addresses[0]
        );
    }

    #[test]
    fn every_host_is_listed() {
        let address =
            Address::parse("host=a,b hostaddr=10.0.0.1,10.0.0.2 port=1,2 user=u").unwrap();
        let seen: Vec<_> = address
            .endpoints()
            .iter()
            .map(|e| (e.host.as_str(), e.port, e.hostaddr.map(|a| a.to_string())))
            .collect();
        assert_eq!(
            seen,
            [
                ("a", 1, Some("10.0.0.1".to_owned())),
                ("b", 2, Some("10.0.0.2".to_owned()))
            ]
        );
        assert_eq!(address.database(), "u");
    }

    #[test]
    fn what_can_not_be_done_is_refused() {
        let cases = [
            (
                "postgres://u@h/d?sslmode=verify-full",
                AddressError::Tls(ParameterError::NoRoots),
            ),
            ("host=/tmp user=u", AddressError::UnixSocket),
            ("postgres://u@%2Ftmp/d", AddressError::UnixSocket),
            ("user=u", AddressError::NoHost),
            ("host=h", AddressError::NoUser),
            ("host=a,b,c port=1,2 user=u", AddressError::Count),
            ("host=a,b hostaddr=10.0.0.1 user=u", AddressError::Count),
            (
                "postgres://u@h/d?target_session_attrs=read-write",
                AddressError::TargetSession,
            ),
            ("nonsense", AddressError::Syntax),
        ];
        for (text, error) in cases {
            assert_eq!(Address::parse(text), Err(error), "{text}");
        }
    }

    #[test]
    fn nothing_secret_is_printed() {
        let address = Address::parse("postgres://app:s3cret@db.internal/flowviz").unwrap();
        let text = format!("{address:?}");
        assert!(
            !text.contains("s3cret") && !text.contains("db.internal"),
            "{text}"
        );
    }
}
