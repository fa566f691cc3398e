//! What a component imports and exports, and what Spin has for it.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, bail};
use wit_component::DecodedWasm;
use wit_parser::{Resolve, WorldId, WorldItem, WorldKey};

use crate::foreign::spin_wit;

/// Names of interfaces with their versions, such as `wasi:http/types@0.3.0`.
#[derive(Clone, Debug)]
pub struct Interfaces {
    pub imports: BTreeSet<String>,
    pub exports: BTreeSet<String>,
}

/// What a component asks for, and what it has to give.
pub fn interfaces(component: &[u8]) -> Result<Interfaces> {
    match wit_component::decode(component)? {
        DecodedWasm::Component(wit, world) => Ok(Interfaces::of(&wit, world)),
        DecodedWasm::WitPackage(..) => bail!("it is WIT, no component"),
    }
}

/// What Spin offers to the component of an HTTP trigger, and what it calls: the world that its own SDK for Python ships
/// (tests/components/python/requirements.txt).
pub fn offered() -> Result<Interfaces> {
    let mut wit = Resolve::default();
    let (package, _) = wit.push_dir(spin_wit()?).context("Spin's WIT")?;
    let world = wit.select_world(&[package], Some("spin:up/http-trigger@4.1.0"))?;
    Ok(Interfaces::of(&wit, world))
}

// === impl Interfaces ===

impl Interfaces {
    fn of(wit: &Resolve, world: WorldId) -> Self {
        let names = |(key, _): (&WorldKey, &WorldItem)| wit.name_world_key(key);
        let world = &wit.worlds[world];
        Self {
            imports: world.imports.iter().map(names).collect(),
            exports: world.exports.iter().map(names).collect(),
        }
    }

    /// What a component with these imports still lacks where all of `offered` is.
    pub fn lacking(&self, offered: &Self) -> Vec<&str> {
        let offers = |import: &str| offered.imports.iter().any(|offer| serves(offer, import));
        let imports = self.imports.iter().map(String::as_str);
        imports.filter(|import| !offers(import)).collect()
    }
}

/// As wasmtime links: the same interface of a compatible version, whichever is newer.
fn serves(offer: &str, import: &str) -> bool {
    match (offer.split_once('@'), import.split_once('@')) {
        (Some((offer, offered)), Some((import, imported))) => {
            offer == import
                && (offered == imported
                    || track(offered).is_some_and(|t| Some(t) == track(imported)))
        }
        _ => offer == import,
    }
}

/// What compatible versions have in common: `0.2` of 0.2.6, `4` of 4.2.0. A version before its time is compatible with itself alone.
fn track(version: &str) -> Option<&str> {
    if version.contains('-') {
        return None;
    }
    let (major, rest) = version.split_once('.')?;
    if major != "0" {
        return Some(major);
    }
    let (minor, _) = rest.split_once('.')?;
    (minor != "0").then(|| &version[..2 + minor.len()])
}
