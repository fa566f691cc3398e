//! What comes from outside the manifest: the values of its variables, and environment for its components.

use std::collections::BTreeMap;

use super::secret::Secret;

/// The prefix of the environment variables that set an application's variables, as in Spin.
pub const VARIABLE_PREFIX: &str = "SPIN_VARIABLE_";

#[derive(Debug, Clone, Default)]
pub struct Inputs {
    /// `--variable name=value`. A name that the application doesn't declare is an error.
    pub variables: BTreeMap<String, Secret>,
    /// `SPIN_VARIABLE_NAME=value`, under the variable's name (`name`). `variables` goes before it. A name that the application
    /// doesn't declare is ignored: the environment may be that of several applications.
    pub variables_from_environment: BTreeMap<String, Secret>,
    /// `--env NAME=value`, for every component; goes before the manifest's `environment`.
    pub extra_env: Vec<(String, Secret)>,
}

// === impl Inputs ===

impl Inputs {
    /// Picks the variables out of an environment, for example `std::env::vars_os` with what isn't UTF-8 left out.
    pub fn variables_in(
        environment: impl IntoIterator<Item = (String, String)>,
    ) -> BTreeMap<String, Secret> {
        environment
            .into_iter()
            .filter_map(|(name, value)| {
                let name = name.strip_prefix(VARIABLE_PREFIX)?.to_ascii_lowercase();
                Some((name, Secret::from(value)))
            })
            .collect()
    }
}
