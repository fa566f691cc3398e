//! `--build`: runs the components' build commands, each command once.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use crate::manifest;

pub fn run(from: &Path) -> Result<()> {
    let builds = manifest::load_builds(from).map_err(|errors| anyhow!("{errors}"))?;
    let mut done = Vec::new();
    for build in builds {
        for command in &build.commands {
            let what = (command.clone(), build.workdir.clone());
            if done.contains(&what) {
                continue;
            }
            eprintln!("building {}: {command}", build.function);
            let status = Command::new("/bin/sh")
                .arg("-c")
                .arg(command)
                .current_dir(&build.workdir)
                .status()
                .with_context(|| format!("[component.{}.build] {command}", build.function))?;
            if !status.success() {
                bail!(
                    "[component.{}.build] `{command}` failed: {status}",
                    build.function
                );
            }
            done.push(what);
        }
    }
    Ok(())
}
