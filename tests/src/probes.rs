//! Manifests of test components.

use std::fmt::Write as _;

/// The test component under several names, each at `/<name>/...` and with its own lines in `[component.<name>.tool.flowviz]`.
pub fn probes(functions: &[(&str, &str)]) -> String {
    let mut manifest = "spin_manifest_version = 2\n[application]\nname = \"probes\"\n".to_owned();
    for (name, settings) in functions {
        // Writing to a String can't fail.
        _ = write!(
            manifest,
            r#"
[[trigger.http]]
route = "/{name}/..."
component = "{name}"
[component.{name}]
source = "{{probe}}"
[component.{name}.tool.flowviz]
{settings}
"#
        );
    }
    manifest
}
