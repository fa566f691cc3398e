//! Who is at work, what waits on devices and which runs are under way is seen at the metrics' endpoint also while nobody calls: the host
//! has it counted by a function of its own accord. The same function forgets idempotency keys whose time is over.

use anyhow::Result;
use flowviz_tests::{User, Wms};
use serde_json::json;

const OPERATORS: &str = "flowviz_active_operators";
const PENDING: &str = "flowviz_pending_lots_offline";
const RUNS: &str = "flowviz_production_runs_active";

/// Waits until the gauges say so, without calling the API.
async fn wait_for(wms: &Wms, expected: [f64; 3]) -> Result<()> {
    let gauges = [OPERATORS, PENDING, RUNS];
    wms.host
        .wait_for_metrics(|metrics| gauges.map(|name| metrics.get(name)) == expected.map(Some))
        .await
        .map(drop)
}

#[tokio::test]
async fn gauges_rise_and_fall_though_nobody_calls() -> Result<()> {
    let wms = Wms::start().await?;
    let database = wms.database().await?;
    wait_for(&wms, [0.0, 0.0, 0.0]).await?;

    let operator = User::login(&wms, "operator").await?;
    User::login(&wms, "viewer").await?;
    let scenario = &operator.get("/api/scenarios").await?.body[0]["id"];
    let run = json!({ "scenario_id": scenario });
    operator.post("/api/production-runs", run).await?;
    let batch = json!({ "items": [], "pending_after": 7 });
    operator.post("/api/sync", batch).await?;
    let kept =
        "INSERT INTO idempotency_keys (owner_id, route, key, fingerprint, answer, expires_at)
        SELECT gen_random_uuid(), 'POST /', age, '', '{}', now() + age::interval
        FROM unnest(ARRAY['-1 second', '1 hour']) AS age";
    database.batch_execute(kept).await?;
    wait_for(&wms, [2.0, 7.0, 1.0]).await?;

    // A quarter of an hour later, the shift is over, and so is the run; the device was heard of a week ago.
    database
        .batch_execute(
            "UPDATE users SET last_seen = last_seen - interval '16 minutes';
             UPDATE sync_backlogs SET reported_at = reported_at - interval '8 days';
             UPDATE production_runs SET status = 'CANCELLED'",
        )
        .await?;
    wait_for(&wms, [0.0, 0.0, 0.0]).await?;
    let kept = database
        .query("SELECT key FROM idempotency_keys", &[])
        .await?;
    let kept: Vec<String> = kept.iter().map(|row| row.get(0)).collect();
    assert_eq!(kept, ["1 hour"]);
    Ok(())
}
