//! `spin:key-value@3.0.0`.

use wasmtime::component::{Accessor, FutureReader, Resource, StreamReader};

use super::store::StoreError;
use super::{KeyValue, KeyValueView, NoStore, Store};
use crate::capabilities::bindings::spin::key_value::key_value as wit;
use crate::capabilities::bindings::spin::key_value::key_value::Error;

type Keys = (StreamReader<String>, FutureReader<Result<(), Error>>);

impl wit::Host for KeyValueView<'_> {}

impl wit::HostStore for KeyValueView<'_> {
    async fn drop(&mut self, store: Resource<Store>) -> wasmtime::Result<()> {
        self.table.delete(store)?;
        Ok(())
    }
}

impl<T: Send> wit::HostStoreWithStore<T> for KeyValue {
    async fn open(
        accessor: &Accessor<T, Self>,
        label: String,
    ) -> wasmtime::Result<Result<Resource<Store>, Error>> {
        accessor.with(|mut access| {
            let view = access.get();
            match view.granted(&label) {
                Ok(store) => Ok(Ok(view.table.push(store)?)),
                Err(no) => Ok(Err(no.into())),
            }
        })
    }

    async fn get(
        accessor: &Accessor<T, Self>,
        store: Resource<Store>,
        key: String,
    ) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let store = opened(accessor, &store)?;
        Ok(store.get(key).await.map_err(Error::from))
    }

    async fn set(
        accessor: &Accessor<T, Self>,
        store: Resource<Store>,
        key: String,
        value: Vec<u8>,
    ) -> wasmtime::Result<Result<(), Error>> {
        let store = opened(accessor, &store)?;
        Ok(store.set(vec![(key, value)]).await.map_err(Error::from))
    }

    async fn delete(
        accessor: &Accessor<T, Self>,
        store: Resource<Store>,
        key: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        let store = opened(accessor, &store)?;
        Ok(store.delete(vec![key]).await.map_err(Error::from))
    }

    async fn exists(
        accessor: &Accessor<T, Self>,
        store: Resource<Store>,
        key: String,
    ) -> wasmtime::Result<Result<bool, Error>> {
        let store = opened(accessor, &store)?;
        Ok(store.exists(key).await.map_err(Error::from))
    }

    async fn get_keys(
        accessor: &Accessor<T, Self>,
        store: Resource<Store>,
    ) -> wasmtime::Result<Keys> {
        let store = opened(accessor, &store)?;
        let (keys, outcome) = match store.keys().await {
            Ok(keys) => (keys, Ok(())),
            Err(error) => (Vec::new(), Err(Error::from(error))),
        };
        accessor.with(|mut store| {
            let keys = StreamReader::new(&mut store, keys)?;
            let outcome = async move { wasmtime::error::Ok(outcome) };
            Ok((keys, FutureReader::new(&mut store, outcome)?))
        })
    }
}

fn opened<T: Send>(
    accessor: &Accessor<T, KeyValue>,
    store: &Resource<Store>,
) -> wasmtime::Result<Store> {
    accessor.with(|mut access| Ok(access.get().table.get(store)?.clone()))
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
