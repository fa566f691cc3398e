//! Versions of the test component: the same code, told apart by the digits in one of its texts.

use std::fs;

use anyhow::{Context as _, Result};

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

    /// What it answers at `/version`.
    pub fn says(number: u64) -> String {
        format!("{TEXT}{number:0DIGITS$}")
    }
}
