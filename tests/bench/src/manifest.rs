//! The manifests that the host is measured with, and where things are.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use crate::cli::Statements;

/// The workspace's root.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// Where the functions' components are.
pub fn components() -> PathBuf {
    root().join("target/wasm32-wasip2/component")
}

/// The application as it is, and besides the function that needs no database.
pub fn wms(statements: Option<Statements>) -> Result<String> {
    let path = root().join("spin.toml");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let sources = format!("source = \"{}/", components().display());
    let text = text.replace("source = \"target/wasm32-wasip2/component/", &sources);
    let pool = statements.map_or(String::new(), |statements| {
        let statements = statements.as_str();
        format!("[application.tool.flowviz.pool]\nstatements = \"{statements}\"\n")
    });
    Ok(text + &pool + &function("hello", &components().join("hello.wasm"), ""))
}

/// An application of these functions, each at `/<id>` and with its lines in `[component.<id>.tool.flowviz]`.
pub fn of(functions: impl IntoIterator<Item = (String, PathBuf, &'static str)>) -> String {
    let mut text = "spin_manifest_version = 2\n[application]\nname = \"bench\"\n".to_owned();
    for (id, source, settings) in functions {
        text += &function(&id, &source, settings);
    }
    text
}

fn function(id: &str, source: &Path, settings: &str) -> String {
    let mut text = String::new();
    // Writing to a String can't fail.
    _ = write!(
        text,
        r#"
[[trigger.http]]
route = "/{id}"
component = "{id}"
[component.{id}]
source = "{}"
[component.{id}.tool.flowviz]
{settings}
"#,
        source.display()
    );
    text
}
