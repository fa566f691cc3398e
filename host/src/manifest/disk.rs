//! The two places where the manifest meets the disk.

use std::fs;
use std::path::{Path, PathBuf};

use super::app::{App, Build, FileMountKind, Function};
use super::error::{Finding, ManifestErrors};
use super::inputs::Inputs;
use super::reader::{build_commands, parse};
use crate::database::Address;

/// Reads and parses a manifest; a directory means the `spin.toml` in it.
pub fn load(path: &Path, inputs: &Inputs) -> Result<App, ManifestErrors> {
    let (file, text) = read(path)?;
    parse(&text, &file, inputs)
}

/// The build commands of a manifest that may not be ready to be loaded: sources and variables' values may be missing.
pub fn load_builds(path: &Path) -> Result<Vec<Build>, ManifestErrors> {
    let (file, text) = read(path)?;
    build_commands(&text, &file)
}

fn read(path: &Path) -> Result<(PathBuf, String), ManifestErrors> {
    let file = if path.is_dir() {
        path.join("spin.toml")
    } else {
        path.to_owned()
    };
    let text = fs::read_to_string(&file).map_err(|error| Finding {
        file: file.clone(),
        line: None,
        key: String::new(),
        what: format!("the manifest can't be read: {error}"),
        fix: "name a Spin manifest, or a directory with a `spin.toml` in it".into(),
    })?;
    Ok((file, text))
}

/// Are the components' files there? Apart from `parse`, since a build may still have to make them.
pub fn check_files(app: &App) -> Result<(), ManifestErrors> {
    let findings = app
        .functions
        .iter()
        .flat_map(|function| missing(app, function))
        .chain(unusable(app))
        .collect();
    ManifestErrors::unless_clean(findings, ())
}

/// A `database` that can't be connected to, whatever is there: an address that isn't one, roots that can't be read.
fn unusable(app: &App) -> Option<Finding> {
    let database = app.settings.database.as_ref()?;
    let what = match Address::parse(database.expose()) {
        Ok(address) => address.check_roots().err()?.to_string(),
        Err(error) => error.to_string(),
    };
    Some(Finding {
        file: app.file.clone(),
        line: None,
        key: "[application.tool.flowviz] database".into(),
        what,
        fix: "correct the connection string: docs/database.md says what it may hold".into(),
    })
}

fn missing(app: &App, function: &Function) -> Vec<Finding> {
    let finding = |line, key: &str, what: String, fix: String| Finding {
        file: app.file.clone(),
        line: Some(line),
        key: format!("[component.{}] {key}", function.id),
        what,
        fix,
    };
    let mut findings = Vec::new();
    if !function.source.is_file() {
        let what = format!("there is no file `{}`", function.source.display());
        let fix = match &function.build {
            Some(build) => format!("build it: `{}`", build.commands.join("` and `")),
            None => "correct the path, or build the component".into(),
        };
        findings.push(finding(function.source_line, "source", what, fix));
    }
    for mount in &function.files {
        let path = match &mount.kind {
            FileMountKind::Placement { source, .. } => source.clone(),
            // What a glob matches may be nothing.
            FileMountKind::Pattern(pattern) if pattern.contains(['*', '?', '[']) => continue,
            FileMountKind::Pattern(path) => app.root.join(path),
        };
        if !path.exists() {
            let what = format!("there is no file or directory `{}`", path.display());
            findings.push(finding(
                mount.line,
                "files",
                what,
                "correct the path, or remove the entry".into(),
            ));
        }
    }
    findings
}
