//! The trail in the database, read in one snapshot.

use std::time::Duration;

use futures::TryStreamExt;
use tokio_postgres::types::Type;
use tokio_postgres::{Client, Row};

use super::chain::{Chain, Link};
use super::error::AuditError;
use super::event::{Event, rfc3339};
use super::fault::Broken;
use crate::manifest::Secret;
use crate::migrate::address;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// One snapshot for all that follows, in one transaction: so it works through a transaction pooler too.
/// Names mean what they say, whatever the role's settings; and rows that a policy hides are an error, not a smaller trail.
const SNAPSHOT: &str = "
    BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
    SET LOCAL search_path = pg_catalog;
    SET LOCAL row_security = off;
    SET LOCAL statement_timeout = 0";

/// Read row by row; so many with one look into the index.
const BATCH: &str = "
    SELECT
        c.seq, c.event_id::text, c.prev_hash, c.hash,
        e.id::text, extract(epoch FROM e.at)::text AS epoch, e.actor_id::text, e.actor_role, e.action, e.entity, e.entity_id::text,
        e.before::text, e.after::text, e.request_id
    FROM public.audit_chain c
    LEFT JOIN public.audit_events e ON e.id = c.event_id
    WHERE c.seq > $1
    ORDER BY c.seq
    LIMIT 1000";

const UNLINKED: &str = "
    SELECT
        e.id::text, extract(epoch FROM e.at)::text AS epoch, e.actor_id::text, e.actor_role, e.action, e.entity, e.entity_id::text,
        e.before::text, e.after::text, e.request_id
    FROM public.audit_events e
    WHERE NOT EXISTS (SELECT FROM public.audit_chain c WHERE c.event_id = e.id)
    ORDER BY e.at, e.id
    LIMIT 1";

const COUNTS: &str = "
    SELECT (SELECT count(*) FROM public.audit_chain) AS links, (SELECT count(*) FROM public.audit_events) AS events";

const LAST_SEQ: &str = "SELECT coalesce(max(seq), 0) AS seq FROM public.audit_chain";

/// All of the trail, as it was when it was opened.
pub(super) struct Trail(Client);

// === impl Trail ===

impl Trail {
    pub async fn open(url: &Secret) -> Result<Self, AuditError> {
        let (mut config, encryption) = pg_tls::parse(url.expose(), None)?;
        config.application_name("flowviz audit");
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        let connected = pg_tls::connect(&config, &encryption).await;
        let client = connected.map_err(|error| AuditError::Connect {
            address: address(&config),
            reason: error.into(),
        })?;
        client.batch_execute(SNAPSHOT).await?;
        Ok(Self(client))
    }

    pub async fn last_seq(&self) -> Result<i64, AuditError> {
        Ok(self.one(LAST_SEQ).await?.try_get("seq")?)
    }

    /// Follows the next batch of links, and says how many there were.
    pub async fn walk(&self, chain: &mut Chain) -> Result<Result<usize, Broken>, AuditError> {
        // Numbers below 1 are no number of a link; the first batch has to show them.
        let after = match chain.events() {
            0 => i64::MIN,
            events => events,
        };
        // Unnamed, as anything that may go through a pooler has to be.
        let rows = self.0.query_typed_raw(BATCH, [(after, Type::INT8)]).await?;
        let mut rows = std::pin::pin!(rows);
        let mut count = 0;
        while let Some(row) = rows.try_next().await? {
            if let Err(broken) = chain.follow(link(&row)?) {
                return Ok(Err(broken));
            }
            count += 1;
        }
        Ok(Ok(count))
    }

    /// The oldest event that has no link.
    pub async fn unlinked(&self) -> Result<Option<Event>, AuditError> {
        let rows = self.0.query_typed(UNLINKED, &[]).await?;
        Ok(rows.first().map(event).transpose()?.flatten())
    }

    /// How many links and events there are.
    pub async fn counts(&self) -> Result<(i64, i64), AuditError> {
        let row = self.one(COUNTS).await?;
        Ok((row.try_get("links")?, row.try_get("events")?))
    }

    /// The only row of a statement that aggregates.
    async fn one(&self, statement: &str) -> Result<Row, AuditError> {
        let rows = self.0.query_typed(statement, &[]).await?;
        rows.into_iter().next().ok_or(AuditError::NoTrail)
    }
}

fn link(row: &Row) -> Result<Link, tokio_postgres::Error> {
    Ok(Link {
        seq: row.try_get("seq")?,
        event_id: row.try_get::<_, Option<_>>("event_id")?.unwrap_or_default(),
        prev_hash: row
            .try_get::<_, Option<_>>("prev_hash")?
            .unwrap_or_default(),
        hash: row.try_get::<_, Option<_>>("hash")?.unwrap_or_default(),
        event: event(row)?,
    })
}

fn event(row: &Row) -> Result<Option<Event>, tokio_postgres::Error> {
    let Some(id) = row.try_get("id")? else {
        return Ok(None);
    };
    let epoch: Option<&str> = row.try_get("epoch")?;
    Ok(Some(Event {
        id,
        at: epoch.map(rfc3339),
        actor_id: row.try_get("actor_id")?,
        actor_role: row.try_get("actor_role")?,
        action: row.try_get("action")?,
        entity: row.try_get("entity")?,
        entity_id: row.try_get("entity_id")?,
        before: row.try_get("before")?,
        after: row.try_get("after")?,
        request_id: row.try_get("request_id")?,
    }))
}
