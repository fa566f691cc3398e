//! `wasi:keyvalue@0.2.0-draft2`: `store`, `batch` and `atomics`. Here a batch is atomic.

use wasmtime::component::Resource;

use super::store::StoreError;
use super::{KeyValueView, NoStore, Store};
use crate::capabilities::bindings::older::wasi::keyvalue::atomics::{self, CasError};
use crate::capabilities::bindings::older::wasi::keyvalue::batch;
use crate::capabilities::bindings::older::wasi::keyvalue::store::{
    self as wit, Error, KeyResponse,
};

/// A key, and the value that was seen there.
#[derive(Debug)]
pub struct Cas {
    store: Store,
    key: String,
    seen: Option<Vec<u8>>,
}

impl wit::Host for KeyValueView<'_> {
    async fn open(
        &mut self,
        identifier: String,
    ) -> wasmtime::Result<Result<Resource<Store>, Error>> {
        match self.granted(&identifier) {
            Ok(store) => Ok(Ok(self.table.push(store)?)),
            Err(no) => Ok(Err(no.into())),
        }
    }
}

impl wit::HostBucket for KeyValueView<'_> {
    async fn get(
        &mut self,
        bucket: Resource<Store>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let store = self.table.get(&bucket)?.clone();
        Ok(store.get(key).await.map_err(Error::from))
    }

    async fn set(
        &mut self,
        bucket: Resource<Store>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let store = self.table.get(&bucket)?.clone();
        Ok(store.set(vec![(key, value)]).await.map_err(Error::from))
    }

    async fn delete(
        &mut self,
        bucket: Resource<Store>,
        key: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        let store = self.table.get(&bucket)?.clone();
        Ok(store.delete(vec![key]).await.map_err(Error::from))
    }

    async fn exists(
        &mut self,
        bucket: Resource<Store>,
        key: String,
    ) -> wasmtime::Result<Result<bool, Error>> {
        let store = self.table.get(&bucket)?.clone();
        Ok(store.exists(key).await.map_err(Error::from))
    }

    /// All of them at once: there is no next page.
    async fn list_keys(
        &mut self,
        bucket: Resource<Store>,
        _cursor: Option<String>,
    ) -> wasmtime::Result<Result<KeyResponse, Error>> {
        let store = self.table.get(&bucket)?.clone();
        let keys = store.keys().await.map_err(Error::from);
        Ok(keys.map(|keys| KeyResponse { keys, cursor: None }))
    }

    async fn drop(&mut self, bucket: Resource<Store>) -> wasmtime::Result<()> {
        self.table.delete(bucket)?;
        Ok(())
    }
}

impl batch::Host for KeyValueView<'_> {
    async fn get_many(
        &mut self,
        bucket: Resource<Store>,
        keys: Vec<String>,
    ) -> wasmtime::Result<Result<Vec<(String, Option<Vec<u8>>)>, Error>> {
        let store = self.table.get(&bucket)?.clone();
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            match store.get(key.clone()).await {
                Ok(value) => found.push((key, value)),
                Err(error) => return Ok(Err(error.into())),
            }
        }
        Ok(Ok(found))
    }

    async fn set_many(
        &mut self,
        bucket: Resource<Store>,
        key_values: Vec<(String, Vec<u8>)>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let store = self.table.get(&bucket)?.clone();
        Ok(store.set(key_values).await.map_err(Error::from))
    }

    async fn delete_many(
        &mut self,
        bucket: Resource<Store>,
        keys: Vec<String>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let store = self.table.get(&bucket)?.clone();
        Ok(store.delete(keys).await.map_err(Error::from))
    }
}

impl atomics::Host for KeyValueView<'_> {
    async fn increment(
        &mut self,
        bucket: Resource<Store>,
        key: String,
        delta: i64,
    ) -> wasmtime::Result<Result<i64, Error>> {
        let store = self.table.get(&bucket)?.clone();
        Ok(store.increment(key, delta).await.map_err(Error::from))
    }

    async fn swap(
        &mut self,
        cas: Resource<Cas>,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), CasError>> {
        let Cas { store, key, seen } = self.table.delete(cas)?;
        Ok(match store.swap(key.clone(), seen, value).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(seen)) => Err(CasError::CasFailed(self.table.push(Cas {
                store,
                key,
                seen,
            })?)),
            Err(error) => Err(CasError::StoreError(error.into())),
        })
    }
}

impl atomics::HostCas for KeyValueView<'_> {
    async fn new(
        &mut self,
        bucket: Resource<Store>,
        key: String,
    ) -> wasmtime::Result<Result<Resource<Cas>, Error>> {
        let store = self.table.get(&bucket)?.clone();
        match store.get(key.clone()).await {
            Ok(seen) => Ok(Ok(self.table.push(Cas { store, key, seen })?)),
            Err(error) => Ok(Err(error.into())),
        }
    }

    async fn current(
        &mut self,
        cas: Resource<Cas>,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        Ok(Ok(self.table.get(&cas)?.seen.clone()))
    }

    async fn drop(&mut self, cas: Resource<Cas>) -> wasmtime::Result<()> {
        self.table.delete(cas)?;
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
