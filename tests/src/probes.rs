//! Manifests of test components.

use anyhow::Result;
use tempfile::TempDir;

use crate::{artifacts, functions, root};

/// The test component under several names, each at `/<name>/...` and with its own lines in `[component.<name>.tool.flowviz]`.
pub fn probes(functions: &[(&str, &str)]) -> String {
    let head = "spin_manifest_version = 2\n[application]\nname = \"probes\"\n".to_owned();
    functions.iter().fold(head, |manifest, (name, settings)| {
        manifest + &probe(name, "", settings)
    })
}

/// A directory with a `spin.toml` of the whole WMS and, beside its functions, the test component, which may use their database.
pub fn wms_and_probes(probes: &[(&str, &str)]) -> Result<TempDir> {
    let components = functions().display().to_string();
    let mut manifest = std::fs::read_to_string(root().join("spin.toml"))?.replace(
        "\"target/wasm32-wasip2/component/",
        &format!("\"{components}/"),
    );
    for (name, settings) in probes {
        let grant = r#"allowed_outbound_hosts = ["postgres://{{ database_host }}"]"#;
        manifest += &probe(name, grant, settings)
            .replace("{probe}", &artifacts().probe.display().to_string());
    }
    let directory = TempDir::new()?;
    std::fs::write(directory.path().join("spin.toml"), manifest)?;
    Ok(directory)
}

fn probe(name: &str, grants: &str, settings: &str) -> String {
    format!(
        r#"
[[trigger.http]]
route = "/{name}/..."
component = "{name}"
[component.{name}]
source = "{{probe}}"
{grants}
[component.{name}.tool.flowviz]
{settings}
"#
    )
}
