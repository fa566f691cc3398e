//! A connection that is known to be PostgreSQL's own session.

use std::time::Duration;

use tokio_postgres::config::Host;
use tokio_postgres::{Client, Config};

use super::error::{MigrateError, SqlError, chain};

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A setting that means nothing to PostgreSQL, which accepts any name with a dot in it, given among the startup options.
/// A pooler refuses such options or drops them: its server connections are older than its clients. So whoever shows us
/// this value is PostgreSQL itself. Works with every pooler, and through port mappings, where comparing ports doesn't.
const MARK: &str = "flowviz.direct";
const MARK_VALUE: &str = "yes";

pub(super) async fn direct(url: &str) -> Result<Client, MigrateError> {
    let (mut config, encryption) = pg_tls::parse(url, None)?;
    let address = address(&config);
    let options = format!(
        "{} -c {MARK}={MARK_VALUE}",
        config.get_options().unwrap_or_default()
    );
    config
        .options(options.trim_start())
        .application_name("flowviz migrate");
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }

    let connected = pg_tls::connect(&config, &encryption).await;
    let client = connected.map_err(|error| {
        // PgBouncer: "unsupported startup parameter: options", from 1.20 on "... in options: flowviz.direct".
        let text = chain(&error);
        if text.contains("unsupported startup parameter") {
            MigrateError::Pooler {
                address: address.clone(),
            }
        } else {
            MigrateError::Connect {
                address: address.clone(),
                reason: SqlError::from(error).to_string(),
            }
        }
    })?;

    // Unnamed, as anything that may go through a pooler has to be.
    let shown = client
        .query_typed(
            &format!("SELECT coalesce(current_setting('{MARK}', true), '')"),
            &[],
        )
        .await?;
    let shown: &str = match shown.first() {
        Some(row) => row.try_get(0)?,
        None => "",
    };
    if shown == MARK_VALUE {
        Ok(client)
    } else {
        Err(MigrateError::Pooler { address })
    }
}

/// Host and port, for messages: never the password.
pub fn address(config: &Config) -> String {
    let host = match config.get_hosts().first() {
        Some(Host::Tcp(host)) => host.clone(),
        Some(Host::Unix(path)) => path.display().to_string(),
        None => "localhost".to_owned(),
    };
    let port = config.get_ports().first().copied().unwrap_or(5432);
    format!("{host}:{port}")
}
