//! Key-value for functions: `spin:key-value@3.0.0`, `fermyon:spin/key-value@2.0.0` and `wasi:keyvalue` over one store, which the manifest
//! grants as `key_value_stores = ["default"]`. Values belong to the application: every function that is granted the store sees all of it.

mod older;
mod spin;
mod store;
mod wasi;

use wasmtime::component::{HasData, Linker, ResourceTable};

use crate::capabilities::bindings;
use crate::capabilities::bindings::older as older_bindings;

pub use store::{KeyValueFile, Store};
pub use wasi::Cas;

/// The only store there is.
pub const LABEL: &str = "default";

/// The interfaces' view of a store's data.
#[derive(Debug)]
pub struct KeyValueView<'a> {
    /// `None`: it isn't granted.
    pub store: Option<&'a Store>,
    pub table: &'a mut ResourceTable,
}

/// Names the interfaces' implementation in the type system.
#[derive(Debug)]
pub struct KeyValue;

/// Why a store can't be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum NoStore {
    Unknown,
    Denied,
}

impl HasData for KeyValue {
    type Data<'a> = KeyValueView<'a>;
}

pub fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    get: fn(&mut T) -> KeyValueView<'_>,
) -> wasmtime::Result<()> {
    bindings::spin::key_value::key_value::add_to_linker::<T, KeyValue>(linker, get)?;
    older_bindings::fermyon::spin::key_value::add_to_linker::<T, KeyValue>(linker, get)?;
    older_bindings::wasi::keyvalue::store::add_to_linker::<T, KeyValue>(linker, get)?;
    older_bindings::wasi::keyvalue::atomics::add_to_linker::<T, KeyValue>(linker, get)?;
    older_bindings::wasi::keyvalue::batch::add_to_linker::<T, KeyValue>(linker, get)
}

// === impl KeyValueView ===

impl KeyValueView<'_> {
    fn granted(&self, label: &str) -> Result<Store, NoStore> {
        if label != LABEL {
            return Err(NoStore::Unknown);
        }
        self.store.cloned().ok_or(NoStore::Denied)
    }
}
