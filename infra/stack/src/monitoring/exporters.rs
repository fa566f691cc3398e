//! What tells Prometheus of the machine and of PostgreSQL. PgBouncer is told of by the host itself.

use std::path::Path;

use super::Program;
use crate::directory::Directory;
use crate::error::Result;
use crate::part::Part;
use crate::process::{Launch, Launcher};
use crate::secrets::DatabaseUrl;

pub(super) fn node(
    directory: &Directory,
    launcher: &Launcher,
    program: &Path,
    port: u16,
) -> Result<Program> {
    let address = super::loopback(port);
    let process = launcher.launch(Launch {
        part: Part::NodeExporter,
        program,
        arguments: vec![
            format!("--web.listen-address={address}"),
            "--log.level=warn".to_owned(),
        ],
        dir: &directory.part("node-exporter", launcher.account())?,
        environment: Vec::new(),
        account: launcher.account(),
    })?;
    Ok(Program {
        process,
        address,
        ready: "/metrics",
    })
}

/// Straight to PostgreSQL: behind the pooler it would see the pooler's connections as its own.
pub(super) fn postgres(
    directory: &Directory,
    launcher: &Launcher,
    program: &Path,
    port: u16,
    database: &DatabaseUrl,
) -> Result<Program> {
    let address = super::loopback(port);
    // Its driver would insist on TLS.
    let url = match database.contains("sslmode=") {
        true => database.to_string(),
        false => format!("{}?sslmode=disable", &**database),
    };
    let process = launcher.launch(Launch {
        part: Part::PostgresExporter,
        program,
        arguments: vec![
            format!("--web.listen-address={address}"),
            "--log.level=warn".to_owned(),
        ],
        dir: &directory.part("postgres-exporter", launcher.account())?,
        // Its arguments can be seen by everybody on the machine.
        environment: vec![("DATA_SOURCE_NAME".into(), url.into())],
        account: launcher.account(),
    })?;
    Ok(Program {
        process,
        address,
        ready: "/metrics",
    })
}
