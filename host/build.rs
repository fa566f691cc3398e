//! Generates the host's bindings from one source of WIT: Spin's interfaces as the locked `spin-sdk` crate ships them (so that
//! the SDK that functions are built with and the host can't drift apart), and our own packages in `wit/`.

use std::path::{Path, PathBuf};
use std::{env, fs, process::Command};

use anyhow::{Context, Result, bail};

/// The packages taken from the SDK: their folder below its `wit/deps/`.
const FROM_SDK: [&str; 2] = ["spin-postgres@4.2.0", "spin-variables@3.0.0"];

const WORLD: &str = "\
package flowviz:host;

world capabilities {
    import spin:postgres/postgres@4.2.0;
    import spin:variables/variables@3.0.0;
    import flowviz:metrics/metrics@0.1.0;
}
";

fn main() -> Result<()> {
    let manifest_dir = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let own = manifest_dir.join("../wit");

    let wit = out.join("wit");
    if wit.exists() {
        fs::remove_dir_all(&wit)?;
    }
    let deps = wit.join("deps");
    let sdk = sdk_wit(&manifest_dir)?.join("deps");
    for package in FROM_SDK {
        copy_dir(&sdk.join(package), &deps.join(package))?;
    }
    copy_dir(&own, &deps.join("flowviz-metrics"))?;
    fs::write(wit.join("world.wit"), WORLD)?;

    fs::write(
        out.join("bindings.rs"),
        format!(
            r#"wasmtime::component::bindgen!({{
    path: {wit:?},
    world: "flowviz:host/capabilities",
    imports: {{
        "flowviz:metrics/metrics": trappable,
        "spin:variables/variables": trappable,
        default: async | trappable,
    }},
    with: {{
        "spin:postgres/postgres.connection": crate::capabilities::postgres::Connection,
        "spin:postgres/postgres.connection-builder": crate::capabilities::postgres::ConnectionBuilder,
    }},
}});
"#,
            wit = wit.display().to_string(),
        ),
    )?;

    println!("cargo:rerun-if-changed={}", own.display());
    println!(
        "cargo:rerun-if-changed={}",
        manifest_dir.join("../Cargo.lock").display()
    );
    println!("cargo:rerun-if-changed=build.rs");
    Ok(())
}

/// The `wit/` folder of the `spin-sdk` that Cargo.lock names.
fn sdk_wit(manifest_dir: &Path) -> Result<PathBuf> {
    let cargo = env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args([
            "metadata",
            "--format-version",
            "1",
            "--locked",
            "--filter-platform",
            "wasm32-wasip2",
        ])
        .current_dir(manifest_dir)
        .output()
        .context("running `cargo metadata` to find spin-sdk's WIT")?;
    if !output.status.success() {
        bail!(
            "`cargo metadata` failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    metadata
        .get("packages")
        .and_then(serde_json::Value::as_array)
        .into_iter()
        .flatten()
        .find(|package| package.get("name").is_some_and(|name| name == "spin-sdk"))
        .and_then(|package| Path::new(package.get("manifest_path")?.as_str()?).parent())
        .map(|dir| dir.join("wit"))
        .context("spin-sdk is not among the workspace's dependencies")
}

fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
