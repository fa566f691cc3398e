//! What the component exports, from `wit/`, as the linker for wasm32-wasip2 reads it: from a section of the module.

use std::path::Path;
use std::{env, fs};

use anyhow::{Context as _, Result};
use wit_component::{StringEncoding, metadata};
use wit_parser::Resolve;

const WIT: &str = "../../wit";

fn main() -> Result<()> {
    let mut wit = Resolve::default();
    let (package, _) = wit.push_path(WIT)?;
    let world = wit.select_world(&[package], Some("no-metrics"))?;
    let section = metadata::encode(&wit, world, StringEncoding::UTF8, None)?;

    let out = env::var_os("OUT_DIR").context("cargo names OUT_DIR")?;
    let text = format!("const SECTION: [u8; {}] = {section:?};\n", section.len());
    fs::write(Path::new(&out).join("section.rs"), text)?;
    println!("cargo:rerun-if-changed={WIT}");
    println!("cargo:rerun-if-changed=build.rs");
    Ok(())
}
