//! Promise: with `audit_every` the host checks the audit trail by itself, and its metrics say what it found: an event that was changed, and
//! also what no single check of the chain can see, an end that was cut off.

use anyhow::Result;
use flowviz_stack::{Options, Stack};
use flowviz_tests::{User, Wms, wms_and_probes};
use serde_json::json;

const INTACT: &str = "flowviz_audit_chain_intact";
const EVENTS: &str = "flowviz_audit_chain_events";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_trail_is_seen_in_the_metrics() -> Result<()> {
    let directory = wms_and_probes(&[])?;
    let manifest = directory.path().join("spin.toml");
    let text = std::fs::read_to_string(&manifest)?;
    let often = text.replace(r#"audit_every = "10m""#, r#"audit_every = "1s""#);
    assert_ne!(text, often);
    std::fs::write(&manifest, often)?;
    let stack = Stack::start(Options::temporary()).await?;
    let wms = Wms::on(stack, |options| options.manifest = manifest).await?;

    // The login is an event, too.
    let user = User::login(&wms, "operator").await?;
    for n in 0..4 {
        user.lot(json!({ "lot_code": format!("RAW-{n}"), "weight_kg": 10 }))
            .await?;
    }
    wms.host
        .wait_for_metrics(|metrics| {
            metrics.get(INTACT) == Some(1.0) && metrics.get(EVENTS) == Some(5.0)
        })
        .await?;

    let owner = wms.database().await?;
    let as_owner = async |change: &str| owner.batch_execute(change).await;
    as_owner("ALTER TABLE audit_events DISABLE TRIGGER USER; ALTER TABLE audit_chain DISABLE TRIGGER USER").await?;
    as_owner("CREATE TABLE kept AS SELECT e.id, e.after FROM audit_events e JOIN audit_chain c ON c.event_id = e.id WHERE c.seq = 3").await?;
    as_owner("UPDATE audit_events SET after = '{}' WHERE id = (SELECT id FROM kept)").await?;
    wms.host
        .wait_for_metrics(|metrics| {
            metrics.get(INTACT) == Some(0.0) && metrics.get(EVENTS) == Some(2.0)
        })
        .await?;
    wms.host
        .wait_for_log(|line| line.contains("not what was written") && line.contains("seq 3"))
        .await?;

    as_owner("UPDATE audit_events e SET after = kept.after FROM kept WHERE kept.id = e.id").await?;
    wms.host
        .wait_for_metrics(|metrics| metrics.get(INTACT) == Some(1.0))
        .await?;

    // The chain that is left holds in itself.
    as_owner("CREATE TABLE cut AS SELECT event_id FROM audit_chain ORDER BY seq DESC LIMIT 1")
        .await?;
    as_owner("DELETE FROM audit_chain WHERE event_id IN (TABLE cut); DELETE FROM audit_events WHERE id IN (TABLE cut)").await?;
    wms.host
        .wait_for_metrics(|metrics| metrics.get(INTACT) == Some(0.0))
        .await?;
    Ok(())
}
