//! `spin:variables@3.0.0`, and `fermyon:spin/variables@2.0.0` for older SDKs: the component's own variables, with the values that the manifest's templates had at load.

use wasmtime::component::Accessor;

use super::Granted;
use super::bindings::older::fermyon::spin::variables as older;
use super::bindings::spin::variables::variables::{Error, Host, HostWithStore};
use crate::runtime::InstanceState;

/// Spin's rule for a variable's name, which tells "no such variable" from "no such name".
fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.ends_with('_')
        && !name.contains("__")
        && name
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

impl Host for InstanceState {}

impl<T> HostWithStore<T> for Granted {
    async fn get(
        accessor: &Accessor<T, Self>,
        name: String,
    ) -> wasmtime::Result<Result<String, Error>> {
        if !is_name(&name) {
            return Ok(Err(Error::InvalidName(name)));
        }
        Ok(accessor.with(|mut access| {
            let state: &mut InstanceState = access.get();
            match state.config.grants.variables.get(&name) {
                Some(value) => Ok(value.expose().to_owned()),
                None => Err(Error::Undefined(name)),
            }
        }))
    }
}

impl older::Host for InstanceState {
    async fn get(&mut self, name: String) -> wasmtime::Result<Result<String, older::Error>> {
        if !is_name(&name) {
            return Ok(Err(older::Error::InvalidName(name)));
        }
        Ok(match self.config.grants.variables.get(&name) {
            Some(value) => Ok(value.expose().to_owned()),
            None => Err(older::Error::Undefined(name)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::is_name;

    #[test]
    fn names_follow_spins_rule() {
        for name in ["a", "database_url", "v2_x"] {
            assert!(is_name(name), "{name}");
        }
        for name in ["", "A", "2a", "a_", "a__b", "a-b", "é"] {
            assert!(!is_name(name), "{name}");
        }
    }
}
