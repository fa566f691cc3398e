//! The flags that say which application, and with which values: shared by the commands that read a manifest.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;

use crate::manifest::{self, App, Inputs, Secret};
use crate::runtime::CompiledCache;

#[derive(Debug, Args)]
pub struct AppArgs {
    /// The manifest, or the directory that it is in
    #[arg(
        short = 'f',
        long = "from",
        alias = "file",
        value_name = "PATH",
        default_value = "spin.toml"
    )]
    pub from: PathBuf,

    /// A value for an application variable: KEY=VALUE, or KEY=@FILE to read it from a file. `SPIN_VARIABLE_KEY` in the
    /// environment does the same; this goes before it
    #[arg(long = "variable", value_name = "KEY=VALUE", value_parser = key_value)]
    pub variables: Vec<(String, Secret)>,

    /// A WASI environment variable for every component
    #[arg(short = 'e', long = "env", value_name = "KEY=VALUE", value_parser = key_value)]
    pub env: Vec<(String, Secret)>,

    /// Where compiled components are kept between starts [default: flowviz/compiled in the user's cache directory]
    #[arg(long, value_name = "DIR", env = "FLOWVIZ_CACHE_DIR")]
    pub cache_dir: Option<PathBuf>,

    /// Compile at each start
    #[arg(long, conflicts_with = "cache_dir")]
    pub no_cache: bool,
}

// === impl AppArgs ===

impl AppArgs {
    pub fn load(&self) -> Result<App> {
        let mut variables = BTreeMap::new();
        for (name, value) in &self.variables {
            variables.insert(name.clone(), resolve(name, value)?);
        }
        let inputs = Inputs {
            variables,
            variables_from_environment: Inputs::variables_in(std::env::vars_os().filter_map(
                |(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)),
            )),
            extra_env: self.env.clone(),
        };
        let app = manifest::load(&self.from, &inputs).map_err(|errors| anyhow!("{errors}"))?;
        manifest::check_files(&app).map_err(|errors| anyhow!("{errors}"))?;
        Ok(app)
    }

    pub fn cache(&self) -> CompiledCache {
        if self.no_cache {
            return CompiledCache::disabled();
        }
        match self.cache_dir.clone().or_else(default_cache_dir) {
            Some(dir) => CompiledCache::at(&dir),
            None => CompiledCache::disabled(),
        }
    }
}

/// `@FILE` is the file's text, without the line end that editors add.
fn resolve(name: &str, value: &Secret) -> Result<Secret> {
    let Some(path) = value.expose().strip_prefix('@') else {
        return Ok(value.clone());
    };
    let text = std::fs::read_to_string(Path::new(path))
        .with_context(|| format!("--variable {name}=@{path}"))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Secret::from(text.strip_suffix('\r').unwrap_or(text)))
}

fn key_value(text: &str) -> Result<(String, Secret)> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), Secret::from(value))),
        _ => bail!("not KEY=VALUE"),
    }
}

fn default_cache_dir() -> Option<PathBuf> {
    let base = match std::env::var_os("XDG_CACHE_HOME") {
        Some(dir) if !dir.is_empty() => PathBuf::from(dir),
        _ => PathBuf::from(std::env::var_os("HOME")?).join(".cache"),
    };
    Some(base.join("flowviz/compiled"))
}
