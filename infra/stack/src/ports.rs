//! Ports on the loopback interface: the ones a person chose, or free ones.

use std::fmt;
use std::net::{Ipv4Addr, TcpListener};

use crate::error::{Error, Result};
use crate::part::Part;

/// Free ports are taken from below the range that the kernel gives to outgoing connections (32768 and up on Linux): a port from
/// that range could be taken by anybody while its owner is being restarted.
const FREE_FROM: u16 = 15_000;
const FREE_TO: u16 = 32_000;
const ATTEMPTS: usize = 200;

/// Who listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listener {
    Postgres,
    PgBouncer,
    Prometheus,
    Alertmanager,
    NodeExporter,
    PostgresExporter,
    /// Where the host serves the functions.
    Functions,
    /// Where the host serves /metrics and the like.
    Admin,
}

/// `None` and `Some(0)` mean "a free one".
#[derive(Debug, Clone, Copy, Default)]
pub struct Ports {
    pub postgres: Option<u16>,
    pub pgbouncer: Option<u16>,
    pub prometheus: Option<u16>,
    pub alertmanager: Option<u16>,
    pub node_exporter: Option<u16>,
    pub postgres_exporter: Option<u16>,
}

/// Ports that are held until all of them are known, so that none is given away twice.
#[derive(Debug, Default)]
pub(crate) struct Claims(Vec<TcpListener>);

/// The port to use for `listener`, known to be free a moment ago.
pub fn claim(listener: Listener, wanted: Option<u16>) -> Result<u16> {
    Claims::default().claim(listener, wanted)
}

// === impl Ports ===

impl Ports {
    pub(crate) fn of(&self, listener: Listener) -> Option<u16> {
        match listener {
            Listener::Postgres => self.postgres,
            Listener::PgBouncer => self.pgbouncer,
            Listener::Prometheus => self.prometheus,
            Listener::Alertmanager => self.alertmanager,
            Listener::NodeExporter => self.node_exporter,
            Listener::PostgresExporter => self.postgres_exporter,
            Listener::Functions | Listener::Admin => None,
        }
    }
}

// === impl Claims ===

impl Claims {
    pub(crate) fn claim(&mut self, listener: Listener, wanted: Option<u16>) -> Result<u16> {
        let (port, held) = match wanted {
            Some(port) if port != 0 => {
                let held = hold(port).ok_or(Error::PortTaken { listener, port })?;
                (port, held)
            }
            _ => std::iter::repeat_with(random_port)
                .take(ATTEMPTS)
                .find_map(|port| Some((port, hold(port)?)))
                .ok_or(Error::NoFreePort {
                    from: FREE_FROM,
                    to: FREE_TO,
                })?,
        };
        self.0.push(held);
        Ok(port)
    }
}

// === impl Listener ===

impl From<Part> for Listener {
    fn from(part: Part) -> Self {
        match part {
            Part::Host => Self::Functions,
            Part::Prometheus => Self::Prometheus,
            Part::Alertmanager => Self::Alertmanager,
            Part::NodeExporter => Self::NodeExporter,
            Part::PostgresExporter => Self::PostgresExporter,
            Part::PgBouncer => Self::PgBouncer,
            Part::Postgres => Self::Postgres,
        }
    }
}

impl Listener {
    pub(crate) const OF_THE_STACK: [Self; 6] = [
        Self::Postgres,
        Self::PgBouncer,
        Self::Prometheus,
        Self::Alertmanager,
        Self::NodeExporter,
        Self::PostgresExporter,
    ];

    /// The environment variable by which a person chooses its port.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "FLOWVIZ_POSTGRES_PORT",
            Self::PgBouncer => "FLOWVIZ_PGBOUNCER_PORT",
            Self::Prometheus => "FLOWVIZ_PROMETHEUS_PORT",
            Self::Alertmanager => "FLOWVIZ_ALERTMANAGER_PORT",
            Self::NodeExporter => "FLOWVIZ_NODE_EXPORTER_PORT",
            Self::PostgresExporter => "FLOWVIZ_POSTGRES_EXPORTER_PORT",
            Self::Functions => "FLOWVIZ_PORT",
            Self::Admin => "FLOWVIZ_ADMIN_PORT",
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postgres => "PostgreSQL",
            Self::PgBouncer => "PgBouncer",
            Self::Prometheus => "Prometheus",
            Self::Alertmanager => "Alertmanager",
            Self::NodeExporter => "node_exporter",
            Self::PostgresExporter => "postgres_exporter",
            Self::Functions => "the functions",
            Self::Admin => "the host's admin listener",
        })
    }
}

fn hold(port: u16) -> Option<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
}

fn random_port() -> u16 {
    let (high, _) = uuid::Uuid::new_v4().as_u64_pair();
    let span = u64::from(FREE_TO - FREE_FROM);
    FREE_FROM + u16::try_from(high % span).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_an_error_that_names_it_and_what_to_change() {
        let holder = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = holder.local_addr().unwrap().port();
        let error = claim(Listener::PgBouncer, Some(port))
            .unwrap_err()
            .to_string();
        assert!(error.contains(&port.to_string()), "{error}");
        assert!(error.contains("FLOWVIZ_PGBOUNCER_PORT"), "{error}");
    }

    #[test]
    fn free_ports_are_below_the_range_of_outgoing_connections() {
        for wanted in [None, Some(0)] {
            let port = claim(Listener::Postgres, wanted).unwrap();
            assert!((FREE_FROM..FREE_TO).contains(&port), "{port}");
        }
    }
}
