//! Promise: a component made of Python by Spin's own SDK runs as any other: it answers, echoes bodies, and asks PostgreSQL through
//! the host's pool and PgBouncer.

use std::sync::Arc;

use anyhow::{Result, ensure};
use bytes::Bytes;
use flowviz_tests::{ForeignApp, Language};
use serde_json::json;

async fn app() -> Result<Arc<ForeignApp>> {
    ForeignApp::shared(Language::Python).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_answers_and_echoes() -> Result<()> {
    let app = app().await?;
    let hello = app.ask("hello").await?;
    ensure!(
        hello.status == 200 && hello.text() == "\"hello from Python\"",
        "{hello:?}"
    );
    ensure!(app.ask("nothing").await?.status == 404);
    app.echoes(Bytes::new()).await?;
    app.echoes((0..=255).collect::<Vec<u8>>().repeat(4096).into())
        .await?;
    app.survives_a_crash().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_asks_postgresql() -> Result<()> {
    let app = app().await?;
    app.finds_rows_by_a_parameter().await?;
    app.answers_many_at_once().await?;

    // An error of the database arrives with its code.
    let failed = app.ask("fail?code=RAW-1").await?;
    ensure!(failed.status == 409, "{failed:?}");
    let told = failed.json()?;
    ensure!(
        told == json!({
            "code": "23505",
            "message": "duplicate key value violates unique constraint \"foreign_lots_pkey\"",
        }),
        "{told}"
    );

    // The manifest doesn't name this host.
    let denied = app.ask("elsewhere").await?;
    ensure!(
        denied.status == 502 && denied.text().contains("allowed_outbound_hosts"),
        "{denied:?}"
    );
    Ok(())
}
