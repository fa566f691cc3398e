//! What tells Prometheus of the machine and of PostgreSQL. PgBouncer is told of by the host itself.

use std::net::SocketAddr;

use super::Surroundings;
use super::server::Server;
use crate::error::Result;
use crate::part::Part;
use crate::postgres::{DATABASE, Role};
use crate::secrets::write_private;
use crate::tls::Tls;

const METRICS: &str = "/metrics";
const PASSWORD: &str = "password";

pub(super) fn node(around: &Surroundings<'_>, address: SocketAddr) -> Result<Server> {
    let account = around.launcher.account();
    Ok(Server {
        part: Part::NodeExporter,
        address,
        dir: around.directory.part("node-exporter", account)?,
        arguments: vec![
            format!("--web.listen-address={address}"),
            // Debian turns it on; without systemd it complains at every scrape, and nobody asks for what it tells.
            "--no-collector.systemd".to_owned(),
            "--log.level=warn".to_owned(),
        ],
        environment: Vec::new(),
        ready: METRICS,
    })
}

/// Straight to PostgreSQL: behind the pooler it would see the pooler's connections as its own, and be lost with it.
pub(super) fn postgres(around: &Surroundings<'_>, address: SocketAddr) -> Result<Server> {
    let account = around.launcher.account();
    let dir = around.directory.part("postgres-exporter", account)?;
    let password = dir.join(PASSWORD);
    write_private(&password, &around.secrets.get(Role::Monitor.name())?)?;
    account.own(&password)?;
    // Its driver would insist on TLS.
    let tls = around.tls.map(Tls::parameters);
    let tls = tls.unwrap_or_else(|| "sslmode=disable".to_owned());
    let uri = format!("127.0.0.1:{}/{DATABASE}?{tls}", around.postgres_port);
    Ok(Server {
        part: Part::PostgresExporter,
        address,
        dir,
        arguments: vec![
            format!("--web.listen-address={address}"),
            "--log.level=warn".to_owned(),
        ],
        environment: vec![
            ("DATA_SOURCE_URI", uri),
            ("DATA_SOURCE_USER", Role::Monitor.name().to_owned()),
            ("DATA_SOURCE_PASS_FILE", PASSWORD.to_owned()),
        ],
        ready: METRICS,
    })
}
