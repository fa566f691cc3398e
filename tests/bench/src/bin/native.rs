//! `flowviz-native`: the native server as a process of its own.

use std::net::SocketAddr;

use anyhow::Result;
use clap::Parser;
use flowviz_bench::native::Native;
use flowviz_bench::process::raise_descriptor_limit;
use tokio::net::TcpListener;

/// A native server of the benchmark's requests.
#[derive(Debug, Parser)]
struct Cli {
    #[arg(long)]
    listen: SocketAddr,

    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,

    #[arg(long, env = "JWT_SECRET", hide_env_values = true)]
    jwt_secret: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    let cli = Cli::parse();
    raise_descriptor_limit();
    let native = Native::new(&cli.database_url, cli.jwt_secret)?;
    match native.serve(TcpListener::bind(cli.listen).await?).await? {}
}
