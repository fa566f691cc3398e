//! An event tells what was there before and after its write, however many write to the same thing at once: each one goes on where the
//! one before it in the chain has ended.

use anyhow::{Context as _, Result};
use flowviz_tests::{User, Wms};
use futures::future::try_join_all;
use serde_json::{Value, json};
use tokio_postgres::Client;

const CHANGES: usize = 40;
const LOGINS: usize = 6;

const AUDITOR: &str = "00000000-0000-0000-0000-000000000004";

/// What the events about an entity say, in the order of the chain: before and after, and by whom.
async fn story(database: &Client, action: &str, entity_id: &str) -> Result<Vec<[Value; 3]>> {
    let rows = database
        .query(
            "SELECT jsonb_build_array(e.before, e.after, jsonb_build_array(e.actor_id, e.actor_role, e.request_id))::text
             FROM audit_chain c JOIN audit_events e ON e.id = c.event_id
             WHERE e.action = $1 AND e.entity_id = $2::text::uuid ORDER BY c.seq",
            &[&action, &entity_id],
        )
        .await?;
    rows.iter()
        .map(|row| Ok(serde_json::from_str(row.get(0))?))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_one_thing_at_once_follow_each_other() -> Result<()> {
    let wms = Wms::start().await?;
    let database = wms.database().await?;
    let admin = User::login(&wms, "admin").await?;
    let lot = admin.lot(json!({ "lot_code": "BUSY" })).await?;
    let viewer = "00000000-0000-0000-0000-000000000005";
    let (path, role_path) = (
        format!("/api/lots/{lot}"),
        format!("/api/users/{viewer}/role"),
    );
    let roles = ["OPERATOR", "AUDITOR", "VIEWER", "MANAGER"];
    let change = async |n: usize| -> Result<()> {
        let role = json!({ "role": roles[n % roles.len()] });
        let role = admin.put(&role_path, role);
        let weight = admin.patch(&path, json!({ "weight_kg": n }));
        let (role, weight) = tokio::try_join!(role, weight)?;
        role.is(200);
        weight.is(200);
        Ok(())
    };
    try_join_all((0..CHANGES).map(change)).await?;
    let logins = try_join_all((0..LOGINS).map(|_| wms.login("auditor"))).await?;

    let logged_in = story(&database, "user.logged_in", AUDITOR).await?;
    assert_eq!(logged_in.len(), logins.len());
    for pair in logged_in.windows(2) {
        assert_eq!(pair[1][0], pair[0][1], "user.logged_in");
    }
    for (action, entity_id) in [("user.role_changed", viewer), ("lot.changed", &lot)] {
        let story = story(&database, action, entity_id).await?;
        assert_eq!(story.len(), CHANGES, "{action}");
        for pair in story.windows(2) {
            assert_eq!(pair[1][0], pair[0][1], "{action}");
        }
        let [_, now, by] = story.last().context("an event")?;
        assert_eq!(by[0], "00000000-0000-0000-0000-000000000001");
        assert_eq!(by[1], "ADMIN");
        assert!(by[2].as_str().is_some_and(|id| !id.is_empty()), "{by}");
        let there = if action == "lot.changed" {
            admin.get(&path).await?.body
        } else {
            let users = admin.get("/api/users").await?.body;
            let users = users.as_array().context("users")?.clone();
            let found = users.into_iter().find(|user| user["id"] == viewer);
            found.context("the viewer")?
        };
        assert_eq!(*now, there, "{action}");
    }
    Ok(())
}
