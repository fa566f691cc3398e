//! One file per promise of the manifest's reader.

mod our_manifest;

use std::path::Path;

use super::{App, Inputs, ManifestErrors, parse};

/// A manifest around `rest`, which starts at line 4.
fn parse_app(rest: &str) -> Result<App, ManifestErrors> {
    parse_with(rest, &Inputs::default())
}

fn parse_with(rest: &str, inputs: &Inputs) -> Result<App, ManifestErrors> {
    let text = format!("spin_manifest_version = 2\n[application]\nname = \"app\"\n{rest}");
    parse(&text, Path::new("dir/spin.toml"), inputs)
}
