//! Prometheus' own opinion of a scrape.

use std::io::Write as _;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// `promtool check metrics`: it parses, and keeps Prometheus' conventions.
pub fn promtool_accepts(scrape: &str) -> Result<()> {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("promtool, of the package prometheus")?;
    let mut stdin = promtool.stdin.take().context("promtool's standard input")?;
    // It reads all of it before it says anything.
    stdin.write_all(scrape.as_bytes())?;
    drop(stdin);
    let output = promtool.wait_with_output()?;
    ensure!(
        output.status.success(),
        "promtool: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
