//! `fermyon:spin/key-value@2.0.0`, which older SDKs import.

use wasmtime::component::Resource;

use super::store::StoreError;
use super::{KeyValueView, NoStore, Store};
use crate::capabilities::bindings::older::fermyon::spin::key_value as wit;
use crate::capabilities::bindings::older::fermyon::spin::key_value::Error;

impl wit::Host for KeyValueView<'_> {}

impl wit::HostStore for KeyValueView<'_> {
    async fn open(&mut self, label: String) -> wasmtime::Result<Result<Resource<Store>, Error>> {
        match self.granted(&label) {
            Ok(store) => Ok(Ok(self.table.push(store)?)),
            Err(no) => Ok(Err(no.into())),
        }
    }

    async fn get(
        &mut self,
        store: Resource<Store>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let store = self.table.get(&store)?.clone();
        Ok(store.get(key).await.map_err(Error::from))
    }

    async fn set(
        &mut self,
        store: Resource<Store>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let store = self.table.get(&store)?.clone();
        Ok(store.set(vec![(key, value)]).await.map_err(Error::from))
    }

    async fn delete(
        &mut self,
        store: Resource<Store>,
        key: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        let store = self.table.get(&store)?.clone();
        Ok(store.delete(vec![key]).await.map_err(Error::from))
    }

    async fn exists(
        &mut self,
        store: Resource<Store>,
        key: String,
    ) -> wasmtime::Result<Result<bool, Error>> {
        let store = self.table.get(&store)?.clone();
        Ok(store.exists(key).await.map_err(Error::from))
    }

    async fn get_keys(
        &mut self,
        store: Resource<Store>,
    ) -> wasmtime::Result<Result<Vec<String>, Error>> {
        let store = self.table.get(&store)?.clone();
        Ok(store.keys().await.map_err(Error::from))
    }

    async fn drop(&mut self, store: Resource<Store>) -> wasmtime::Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
}

impl From<NoStore> for Error {
    fn from(no: NoStore) -> Self {
        match no {
            NoStore::Unknown => Self::NoSuchStore,
            NoStore::Denied => Self::AccessDenied,
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Other(error.to_string())
    }
}
