//! From a file to something that can be instantiated, or one error that says what is wrong with it and what to do.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;
use wasmtime_wasi_http::p3::bindings::ServicePre;

use super::engine::Runtime;
use super::instance::InstanceState;

/// SHA-256 of a component's bytes: the version of a function.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

/// Why a file can't serve as a function.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error(
        "{path}: {error}; build the functions first (`cargo functions`, or `flowviz up --build`)"
    )]
    Missing {
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("{path} is not WebAssembly: it doesn't begin with `\\0asm`")]
    NotWasm { path: PathBuf },
    #[error(
        "{path} is a core WebAssembly module, not a component; build it for wasm32-wasip2 (wasm32-wasip1 and wasm32-unknown-unknown make modules)"
    )]
    CoreModule { path: PathBuf },
    #[error("{path} does not compile: {reason}")]
    Invalid { path: PathBuf, reason: String },
    #[error("{path} imports what this host doesn't have: {import}")]
    MissingImport { path: PathBuf, import: String },
    #[error(
        "{path} is not an HTTP function: it doesn't export wasi:http/handler@0.3.0 (build it with spin-sdk 7 and `#[http_service]`)"
    )]
    NoHandler { path: PathBuf },
}

/// A component that compiled and links.
pub struct Loaded {
    pub digest: Digest,
    pub(super) pre: ServicePre<InstanceState>,
    /// How long compiling took; `None` when the compiled form came from the cache.
    pub compiled_in: Option<Duration>,
}

// === impl Runtime ===

impl Runtime {
    /// Reads, compiles (or takes from the cache) and links the component at `path`. Blocks: call it off the serving threads.
    pub fn load(&self, path: &Path) -> Result<Loaded, LoadError> {
        let path_buf = || path.to_owned();
        let bytes = std::fs::read(path).map_err(|error| LoadError::Missing {
            path: path_buf(),
            error,
        })?;
        match bytes.get(..8) {
            Some([b'\0', b'a', b's', b'm', 1, 0, 0, 0]) => {
                return Err(LoadError::CoreModule { path: path_buf() });
            }
            Some([b'\0', b'a', b's', b'm', ..]) => {}
            _ => return Err(LoadError::NotWasm { path: path_buf() }),
        }
        let digest = Digest::of(&bytes);
        let (component, compiled_in) = match self.cache.load(&self.engine, &digest) {
            Some(component) => (component, None),
            None => {
                let started = Instant::now();
                let component =
                    Component::new(&self.engine, &bytes).map_err(|error| LoadError::Invalid {
                        path: path_buf(),
                        reason: format!("{error:#}"),
                    })?;
                let took = started.elapsed();
                self.cache.store(&self.engine, &digest, &component);
                (component, Some(took))
            }
        };
        let pre =
            self.linker
                .instantiate_pre(&component)
                .map_err(|error| LoadError::MissingImport {
                    path: path_buf(),
                    import: format!("{error:#}"),
                })?;
        let pre = ServicePre::new(pre).map_err(|_| LoadError::NoHandler { path: path_buf() })?;
        Ok(Loaded {
            digest,
            pre,
            compiled_in,
        })
    }
}

// === impl Digest ===

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The first 12 hexadecimal digits: enough to tell versions apart by eye.
    pub fn short(&self) -> String {
        self.to_string().chars().take(12).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loaded")
            .field("digest", &self.digest)
            .field("compiled_in", &self.compiled_in)
            .finish_non_exhaustive()
    }
}
