//! `flowviz-bench`: starts the stack, sees that both systems answer alike, measures, tells.

use anyhow::{Context as _, Result};
use clap::Parser as _;
use flowviz_bench::cli::{self, Cli, Command};
use flowviz_bench::environment::Environment;
use flowviz_bench::figures::figures;
use flowviz_bench::manifest;
use flowviz_bench::native::Native;
use flowviz_bench::plant::Plant;
use flowviz_bench::process::raise_descriptor_limit;
use flowviz_bench::report::{Report, ratios, rows};
use flowviz_bench::server::{HostOptions, Programs};
use flowviz_bench::telemetry;
use tokio::net::TcpListener;

fn main() -> Result<()> {
    let cli = Cli::parse();
    raise_descriptor_limit();
    match &cli.command {
        Some(Command::Native(native)) => serve(native),
        Some(Command::Telemetry(_)) | None => bench(&cli),
    }
}

#[tokio::main]
async fn serve(cli: &cli::Native) -> Result<()> {
    let native = Native::new(&cli.database_url, cli.jwt_secret.clone())?;
    match native.serve(TcpListener::bind(cli.listen).await?).await? {}
}

/// On one thread, since the kernel ends our children with the thread that started them; the load has threads of its own.
#[tokio::main(flavor = "current_thread")]
async fn bench(cli: &Cli) -> Result<()> {
    let programs = Programs::find(cli.dir())?;
    let manifest = cli.dir().join("spin.toml");
    std::fs::write(&manifest, manifest::wms(cli.statements)?)
        .with_context(|| manifest.display().to_string())?;

    let plant = Plant::start(&programs.flowviz, cli.direct).await?;
    let cache = programs.cache();
    let options = HostOptions {
        manifest: &manifest,
        cache: &cache,
        first: "/hello",
        plant: Some(&plant),
        telemetry: true,
    };
    if let Some(Command::Telemetry(wanted)) = &cli.command {
        telemetry::costs(wanted, &plant, &programs, &options).await?;
    } else {
        compare(cli, &plant, &programs, &options).await?;
    }
    plant.stack.stop().await;
    Ok(())
}

/// With the native server.
async fn compare(
    cli: &Cli,
    plant: &Plant,
    programs: &Programs,
    options: &HostOptions<'_>,
) -> Result<()> {
    let rounds = cli.rounds();
    let environment = Environment::of(plant, &rounds).await?;
    if !rounds.cases.is_empty() {
        let same = rounds.check(plant, programs, options).await?;
        eprintln!("both systems gave the same answers to {same} requests");
    }
    let turns = rounds.run(plant, programs, options).await?;
    let report = Report {
        environment,
        rows: rows(&turns),
        ratios: ratios(&turns),
        host: if cli.with_figures() {
            figures(plant, programs).await?
        } else {
            Vec::new()
        },
        rounds: turns,
    };
    println!("{}", report.table());
    let output = cli.output();
    std::fs::write(&output, serde_json::to_string_pretty(&report)?)
        .with_context(|| output.display().to_string())?;
    println!("written to {}", output.display());
    Ok(())
}
