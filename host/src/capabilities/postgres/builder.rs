//! The `connection-builder` resource: an address, and whether it has to be reached over TLS.

use wasmtime::component::{Accessor, Resource};

use super::wit::{self, HostConnectionBuilder};
use super::{Connection, Error, Postgres, PostgresView};
use crate::manifest::Secret;

#[derive(Debug)]
pub struct ConnectionBuilder {
    address: Secret,
    /// A certificate authority was set.
    encrypted: bool,
}

impl HostConnectionBuilder for PostgresView<'_> {
    async fn new(&mut self, address: String) -> wasmtime::Result<Resource<ConnectionBuilder>> {
        Ok(self.table.push(ConnectionBuilder {
            address: address.into(),
            encrypted: false,
        })?)
    }

    async fn set_ca_root(
        &mut self,
        builder: Resource<ConnectionBuilder>,
        certificate: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        if !certificate.contains("-----BEGIN CERTIFICATE-----") {
            return Ok(Err(Error::Other(
                "the root certificate is not in PEM format".to_owned(),
            )));
        }
        self.table.get_mut(&builder)?.encrypted = true;
        Ok(Ok(()))
    }

    async fn build(
        &mut self,
        builder: Resource<ConnectionBuilder>,
    ) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        self.build(&builder)
    }

    async fn drop(&mut self, builder: Resource<ConnectionBuilder>) -> wasmtime::Result<()> {
        self.table.delete(builder)?;
        Ok(())
    }
}

impl<T: Send> wit::HostConnectionBuilderWithStore<T> for Postgres {
    async fn build_async(
        accessor: &Accessor<T, Self>,
        builder: Resource<ConnectionBuilder>,
    ) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        accessor.with(|mut store| store.get().build(&builder))
    }
}

impl PostgresView<'_> {
    fn build(
        &mut self,
        builder: &Resource<ConnectionBuilder>,
    ) -> wasmtime::Result<Result<Resource<Connection>, Error>> {
        let builder = self.table.get(builder)?;
        match self.ctx.open(builder.address.expose(), builder.encrypted) {
            Ok(connection) => Ok(Ok(self.table.push(connection)?)),
            Err(error) => Ok(Err(error)),
        }
    }
}
