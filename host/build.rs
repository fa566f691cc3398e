//! Generates the host's bindings from one source of WIT: Spin's interfaces as the locked `spin-sdk` crate ships them (so that
//! the SDK that functions are built with and the host can't drift apart), and our own packages in `wit/`.

use std::path::{Path, PathBuf};
use std::{env, fs, process::Command};

use anyhow::{Context, Result, bail};

/// The packages taken from the SDK that functions are built with: their folder below its `wit/deps/`.
const FROM_SDK: [&str; 2] = ["spin-postgres@4.2.0", "spin-variables@3.0.0"];
const CONFIG: &str = "wasi-runtime-config-2024-09-27";
/// And what is taken from the last one for WASI 0.2, which a test component is built with: packages, and interfaces of one that has more.
const FROM_SDK_5: &str = "spin-postgres@3.0.0";
const FERMYON: &str = "spin@2.0.0";
const FROM_FERMYON: [&str; 3] = ["postgres.wit", "rdbms-types.wit", "variables.wit"];

const WORLD: &str = "\
package flowviz:host;

world capabilities {
    import spin:postgres/postgres@4.2.0;
    import spin:variables/variables@3.0.0;
    import flowviz:metrics/metrics@0.1.0;
}
";

/// What components of other SDKs import.
const OLDER: &str = "\
package flowviz:host;

world older {
    import spin:postgres/postgres@3.0.0;
    import fermyon:spin/postgres@2.0.0;
    import fermyon:spin/variables@2.0.0;
    import wasi:config/store@0.2.0-draft-2024-09-27;
}
";

fn main() -> Result<()> {
    let manifest_dir = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let own = manifest_dir.join("../wit");

    let metadata = metadata(&manifest_dir)?;
    let sdk = sdk_wit(&metadata, "7.")?.join("deps");
    let older_sdk = sdk_wit(&metadata, "5.")?.join("deps");

    let wit = empty(out.join("wit"))?;
    for package in FROM_SDK {
        copy_dir(&sdk.join(package), &wit.join("deps").join(package))?;
    }
    copy_dir(&own, &wit.join("deps/flowviz-metrics"))?;
    fs::write(wit.join("world.wit"), WORLD)?;

    let older = empty(out.join("older"))?;
    copy_dir(
        &older_sdk.join(FROM_SDK_5),
        &older.join("deps").join(FROM_SDK_5),
    )?;
    let fermyon = older.join("deps").join(FERMYON);
    fs::create_dir_all(&fermyon)?;
    for file in FROM_FERMYON {
        fs::copy(older_sdk.join(FERMYON).join(file), fermyon.join(file))?;
    }
    fs::write(fermyon.join("package.wit"), "package fermyon:spin@2.0.0;\n")?;
    copy_dir(&sdk.join(CONFIG), &older.join("deps").join(CONFIG))?;
    fs::write(older.join("world.wit"), OLDER)?;

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

pub mod older {{
    wasmtime::component::bindgen!({{
        path: {older:?},
        world: "flowviz:host/older",
        imports: {{ default: async | trappable }},
        with: {{
            "spin:postgres/postgres.connection": crate::capabilities::postgres::Connection,
            "fermyon:spin/postgres.connection": crate::capabilities::postgres::Connection,
        }},
    }});
}}
"#,
            wit = wit.display().to_string(),
            older = older.display().to_string(),
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

/// What `cargo` knows of the packages that Cargo.lock names.
fn metadata(manifest_dir: &Path) -> Result<serde_json::Value> {
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
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The `wit/` folder of the `spin-sdk` whose version begins so.
fn sdk_wit(metadata: &serde_json::Value, version: &str) -> Result<PathBuf> {
    let text = |package: &serde_json::Value, field: &str| -> Option<String> {
        Some(package.get(field)?.as_str()?.to_owned())
    };
    metadata
        .get("packages")
        .and_then(serde_json::Value::as_array)
        .into_iter()
        .flatten()
        .filter(|package| text(package, "name").is_some_and(|name| name == "spin-sdk"))
        .find(|package| text(package, "version").is_some_and(|own| own.starts_with(version)))
        .and_then(|package| {
            Some(
                Path::new(&text(package, "manifest_path")?)
                    .parent()?
                    .join("wit"),
            )
        })
        .with_context(|| format!("spin-sdk {version} is not among the workspace's dependencies"))
}

fn empty(dir: PathBuf) -> Result<PathBuf> {
    if dir.exists() {
        fs::remove_dir_all(&dir)?;
    }
    Ok(dir)
}

fn copy_dir(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))?;
    }
    Ok(())
}
