//! The benchmark compares like with like: its native server answers what the load asks, and what it doesn't, as our host does.

use anyhow::Result;
use clap::ValueEnum as _;
use flowviz_bench::cases::Case;
use flowviz_bench::native::Native;
use flowviz_bench::plant::Data;
use flowviz_bench::same::check;
use flowviz_bench::server::System;
use flowviz_tests::{Wms, jwt_secret};
use std::sync::Arc;
use tokio::net::TcpListener;

/// Lots of a plant day: enough to have parents and children.
const LOTS: u64 = 500;

#[tokio::test(flavor = "multi_thread")]
async fn both_give_the_same_answers() -> Result<()> {
    let wms = Wms::start().await?;
    let data = Arc::new(Data::load(&wms.stack.owner_url(), LOTS).await?);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let native = listener.local_addr()?;
    let server = Native::new(&wms.stack.app_url(), jwt_secret().to_owned())?;
    let server = tokio::spawn(server.serve(listener));

    // The function without a database is the benchmark's own, and not in spin.toml.
    let cases: Vec<Case> = Case::value_variants()
        .iter()
        .copied()
        .filter(|case| *case != Case::NoDb)
        .collect();
    let addresses = [
        (System::Native, native),
        (System::Flowviz, wms.host.address),
    ]
    .into();
    let asked = check(&data, jwt_secret(), &addresses, &cases).await?;
    assert!(asked > cases.len());
    server.abort();
    Ok(())
}
