//! The `connection-builder` resource: an address, and the certificates that its server has to be trusted by.
//!
//! Whoever sets some counts on TLS: unless the address says `sslmode=disable` or `verify-ca`, that is `verify-full`.

use pg_tls::Roots;
use wasmtime::component::{Accessor, Resource};

use super::wit::{self, HostConnectionBuilder};
use super::{Connection, Error, Postgres, PostgresView};
use crate::manifest::Secret;

#[derive(Debug)]
pub struct ConnectionBuilder {
    address: Secret,
    roots: Option<Roots>,
}

impl HostConnectionBuilder for PostgresView<'_> {
    async fn new(&mut self, address: String) -> wasmtime::Result<Resource<ConnectionBuilder>> {
        Ok(self.table.push(ConnectionBuilder {
            address: address.into(),
            roots: None,
        })?)
    }

    async fn set_ca_root(
        &mut self,
        builder: Resource<ConnectionBuilder>,
        certificate: String,
    ) -> wasmtime::Result<Result<(), Error>> {
        match Roots::given(&certificate) {
            Ok(roots) => {
                self.table.get_mut(&builder)?.roots = Some(roots);
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(Error::Other(error.to_string()))),
        }
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
        let opened = self
            .ctx
            .open(builder.address.expose(), builder.roots.clone());
        match opened {
            Ok(connection) => Ok(Ok(self.table.push(connection)?)),
            Err(error) => Ok(Err(error)),
        }
    }
}
