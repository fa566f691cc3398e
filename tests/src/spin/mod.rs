//! Stock Spin, as far as it can be checked without it: its manifest, what it offers to a component, and how it composes one with its
//! dependencies.

mod compose;
mod manifest;
mod world;

pub use compose::compose;
pub use manifest::{Component, Dependency, Manifest};
pub use world::{Interfaces, interfaces, offered};
