//! `wasi:config/store`: the component's own variables again, by the interface that other hosts offer too.

use super::bindings::older::wasi::config::store::{Error, Host};
use crate::runtime::InstanceState;

impl Host for InstanceState {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<String>, Error>> {
        let value = self.config.grants.variables.get(&key);
        Ok(Ok(value.map(|value| value.expose().to_owned())))
    }

    async fn get_all(&mut self) -> wasmtime::Result<Result<Vec<(String, String)>, Error>> {
        let variables = self.config.grants.variables.iter();
        let shown = variables.map(|(name, value)| (name.clone(), value.expose().to_owned()));
        Ok(Ok(shown.collect()))
    }
}
