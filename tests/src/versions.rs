//! Versions of the test component: the same code, told apart by the digits in one of its texts.

use std::fs;

use anyhow::{Context as _, Result, bail};
use wit_component::{
    ComponentEncoder, DecodedWasm, StringEncoding, dummy_module, embed_component_metadata,
};
use wit_parser::{LiftLowerAbi, ManglingAndAbi};

use crate::artifacts;

/// As it is built.
pub const FIRST: u64 = 0;

const TEXT: &str = "probe version ";
const DIGITS: usize = 10;

/// One version's bytes.
#[derive(Clone, Debug)]
pub struct Component(pub Vec<u8>);

// === impl Component ===

impl Component {
    /// The test component, which says that it is this version.
    pub fn version(number: u64) -> Result<Self> {
        let mut bytes = fs::read(&artifacts().probe)?;
        let marked = Self::says(FIRST);
        let at = bytes
            .windows(marked.len())
            .position(|window| window == marked.as_bytes())
            .context("the test component has no version in it")?;
        let end = at + marked.len();
        bytes[at..end].copy_from_slice(Self::says(number).as_bytes());
        Ok(Self(bytes))
    }

    /// A component with the test component's imports and exports, which does this (as text) when an instance of it is made, and
    /// nothing that is asked of it.
    pub fn that_starts_with(instructions: &str) -> Result<Self> {
        let like = fs::read(&artifacts().probe)?;
        let DecodedWasm::Component(resolve, world) = wit_component::decode(&like)? else {
            bail!("the test component is no component");
        };
        let module = dummy_module(&resolve, world, ManglingAndAbi::Legacy(LiftLowerAbi::Sync));
        let text = wasmprinter::print_bytes(module)?;
        let end = text.rfind(')').context("a module's end")?;
        let start = format!("(func $start {instructions}) (start $start))");
        let mut module = wat::parse_str(format!("{}{start}", &text[..end]))?;
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)?;
        let encoder = ComponentEncoder::default().module(&module)?;
        Ok(Self(encoder.validate(true).encode()?))
    }

    /// What it answers at `/version`.
    pub fn says(number: u64) -> String {
        format!("{TEXT}{number:0DIGITS$}")
    }
}
