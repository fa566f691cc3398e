//! Spin's manifest of version 2, strictly: what Spin 4 would refuse is refused here.
//!
//! After `crates/manifest/src/schema/v2.rs` and `crates/http/src/config.rs` of Spin 4.0.2. Left out is what only other manifests have:
//! components inside triggers, profiles, and dependencies out of registries.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use toml::Table;

type Map<T> = BTreeMap<String, T>;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    spin_manifest_version: u32,
    #[expect(dead_code, reason = "only that it is well-formed matters")]
    application: Application,
    #[serde(default)]
    variables: Map<Variable>,
    trigger: Triggers,
    #[serde(default)]
    pub component: Map<Component>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only that it is well-formed matters")]
struct Application {
    name: String,
    version: Option<String>,
    description: Option<String>,
    authors: Option<Vec<String>>,
    targets: Option<Vec<String>>,
    trigger: Option<Map<Table>>,
    tool: Option<Map<Table>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Variable {
    #[expect(dead_code, reason = "only that it is well-formed matters")]
    description: Option<String>,
    #[serde(default)]
    required: bool,
    default: Option<String>,
    #[serde(default)]
    #[expect(dead_code, reason = "only that it is well-formed matters")]
    secret: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Triggers {
    http: Vec<HttpTrigger>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct HttpTrigger {
    #[expect(dead_code, reason = "only that it is well-formed matters")]
    id: Option<String>,
    route: Route,
    component: String,
    #[expect(dead_code, reason = "only that it is well-formed matters")]
    executor: Option<Table>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Route {
    Path(String),
    Private(Private),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Private {
    private: bool,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only that it is well-formed matters")]
pub struct Component {
    /// Below the manifest's directory.
    pub source: PathBuf,
    description: Option<String>,
    #[serde(default)]
    variables: Map<String>,
    environment: Option<Map<String>>,
    files: Option<Vec<Files>>,
    exclude_files: Option<Vec<String>>,
    allowed_outbound_hosts: Option<Vec<String>>,
    key_value_stores: Option<Vec<String>>,
    sqlite_databases: Option<Vec<String>>,
    ai_models: Option<Vec<String>>,
    targets: Option<Vec<String>>,
    build: Option<Build>,
    tool: Option<Map<Table>>,
    dependencies_inherit_configuration: Option<bool>,
    /// By the name of what is imported.
    #[serde(default)]
    pub dependencies: Map<Dependency>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "only that it is well-formed matters")]
enum Files {
    Pattern(String),
    Placement(Placement),
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only that it is well-formed matters")]
struct Placement {
    source: String,
    destination: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only that it is well-formed matters")]
struct Build {
    command: Commands,
    workdir: Option<String>,
    watch: Option<Vec<String>>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
#[expect(dead_code, reason = "only that it is well-formed matters")]
enum Commands {
    Single(String),
    Multiple(Vec<String>),
}

/// A local component.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dependency {
    /// Below the manifest's directory.
    pub path: PathBuf,
    /// Of the component, if it isn't named as the import is.
    pub export: Option<String>,
}

// === impl Manifest ===

impl Manifest {
    pub fn read(text: &str) -> Result<Self> {
        let manifest: Self = toml::from_str(text)?;
        ensure!(manifest.spin_manifest_version == 2, "not of version 2");
        for (name, variable) in &manifest.variables {
            ensure!(is_id(name, '_'), "the variable {name}");
            ensure!(
                variable.required || variable.default.is_some(),
                "the variable {name} is neither required nor has a default"
            );
        }
        for (id, component) in &manifest.component {
            ensure!(is_id(id, '-'), "the component {id}");
            for name in component.variables.keys() {
                ensure!(is_id(name, '_'), "the variable {name} of {id}");
            }
        }
        for trigger in &manifest.trigger.http {
            let id = &trigger.component;
            manifest
                .component
                .get(id)
                .with_context(|| format!("no component {id}"))?;
            match &trigger.route {
                Route::Path(path) => ensure!(path.starts_with('/'), "the route {path}"),
                Route::Private(private) => ensure!(private.private, "a route of {id}"),
            }
        }
        Ok(manifest)
    }
}

/// Words in lower case, each beginning with a letter.
fn is_id(text: &str, between: char) -> bool {
    text.split(between).all(|word| {
        word.starts_with(|first: char| first.is_ascii_lowercase())
            && word
                .chars()
                .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
    })
}
