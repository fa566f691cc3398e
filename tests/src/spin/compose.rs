//! Composes a component with its dependencies as Spin does when it loads an app, with the crate that Spin does it with.
//!
//! After `crates/compose/src/lib.rs` of Spin 4.0.2: each dependency must match an import by name and be of its type; what the component
//! exports, the whole exports. Spin denies a dependency all that it imports; ours may import nothing, so that there is nothing to deny.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use wac_graph::types::{Package, SubtypeChecker, WorldId};
use wac_graph::{CompositionGraph, NodeId};

use super::manifest::{Component, Dependency};

/// One composition.
struct Composer {
    graph: CompositionGraph,
}

/// The component of the manifest in `root`, with nothing left to import of what its dependencies export.
pub fn compose(root: &Path, id: &str, component: &Component) -> Result<Vec<u8>> {
    let source = read(&root.join(&component.source))?;
    if component.dependencies.is_empty() {
        return Ok(source);
    }
    let mut composer = Composer {
        graph: CompositionGraph::new(),
    };
    composer
        .compose(root, id, source, &component.dependencies)
        .with_context(|| format!("composing {id}"))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    std::fs::read(path).with_context(|| path.display().to_string())
}

// === impl Composer ===

impl Composer {
    fn compose(
        &mut self,
        root: &Path,
        id: &str,
        source: Vec<u8>,
        dependencies: &BTreeMap<String, Dependency>,
    ) -> Result<Vec<u8>> {
        let (world, instance) = self.instantiate(id, source)?;
        for (name, dependency) in dependencies {
            ensure!(
                self.graph.types()[world].imports.contains_key(name),
                "it doesn't import {name}: Spin refuses a dependency that is of no use"
            );
            let argument = self.satisfy(world, name, root, dependency)?;
            self.graph
                .set_instantiation_argument(instance, name, argument)?;
        }
        let exports: Vec<String> = self.graph.types()[world].exports.keys().cloned().collect();
        for name in exports {
            let export = self.graph.alias_instance_export(instance, &name)?;
            self.graph.export(export, &name)?;
        }
        Ok(self.graph.encode(Default::default())?)
    }

    /// The dependency's export that takes the import's place.
    fn satisfy(
        &mut self,
        importer: WorldId,
        name: &str,
        root: &Path,
        dependency: &Dependency,
    ) -> Result<NodeId> {
        let path = root.join(&dependency.path);
        // Spin names it by its package.
        let package = name.split_once('/').map_or(name, |(package, _)| package);
        let (world, instance) = self.instantiate(package, read(&path)?)?;
        let export = dependency.export.as_deref().unwrap_or(name);
        let types = self.graph.types();
        ensure!(
            types[world].imports.is_empty(),
            "{} imports {:?}, which Spin denies a dependency",
            path.display(),
            types[world].imports.keys()
        );
        let exported = types[world].exports.get(export);
        let exported =
            *exported.with_context(|| format!("{} doesn't export {export}", path.display()))?;
        let imported = types[importer].imports[name];
        let mut known = Default::default();
        SubtypeChecker::new(&mut known)
            .is_subtype(exported, types, imported, types)
            .with_context(|| format!("{}: {export} is of another type", path.display()))?;
        Ok(self.graph.alias_instance_export(instance, export)?)
    }

    fn instantiate(&mut self, name: &str, bytes: Vec<u8>) -> Result<(WorldId, NodeId)> {
        let package = Package::from_bytes(name, None, bytes, self.graph.types_mut())?;
        let world = package.ty();
        let package = self.graph.register_package(package)?;
        Ok((world, self.graph.instantiate(package)))
    }
}
