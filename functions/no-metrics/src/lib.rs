//! `flowviz:metrics` without a host that serves metrics: every value is taken, and goes nowhere.
//!
//! For stock Spin, where the manifest names this component as the functions' dependency (docs/spin.md); our host never loads it. Spin
//! denies a dependency what it imports, so it imports nothing: no standard library, which would bring WASI along, and the exports
//! written out as the component model's ABI has them.

#![cfg_attr(target_family = "wasm", no_std)]

#[cfg(target_family = "wasm")]
#[allow(
    unsafe_code,
    reason = "a symbol's name is a promise: no other has it, and these are the ABI's"
)]
mod exports;
