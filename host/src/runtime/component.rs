//! From a file to something that can be instantiated, or one error that says what is wrong with it and what to do.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};
use wasmtime::component::Component;
use wasmtime_wasi_http::handler::ProxyPre;
use wasmtime_wasi_http::{p2, p3};

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
    #[error(
        "{path} imports what this host doesn't have: {import}; what it has is WASI 0.2 and 0.3 (cli, clocks, config, filesystem, http, io, keyvalue, \
         random, sockets), spin:postgres, spin:variables, spin:key-value, fermyon:spin (postgres, variables, key-value) and flowviz:metrics \
         (docs/capabilities.md says which versions)"
    )]
    MissingImport { path: PathBuf, import: String },
    #[error(
        "{path} is not an HTTP function: it exports neither wasi:http/handler@0.3.0 (spin-sdk 7 and `#[http_service]` make that) nor wasi:http/incoming-handler@0.2 (other SDKs)"
    )]
    NoHandler { path: PathBuf },
}

/// A component that compiled and links. Cheap to clone.
#[derive(Clone)]
pub struct Loaded {
    pub digest: Digest,
    /// Bytes of the component.
    pub size: u64,
    handler: Handler,
    /// How long compiling took; `None` when the compiled form came from the cache.
    pub compiled_in: Option<Duration>,
}

/// How it wants to be asked.
#[derive(Clone)]
enum Handler {
    P3(p3::bindings::ServicePre<InstanceState>),
    P2(p2::bindings::ProxyPre<InstanceState>),
}

// === impl Loaded ===

impl Loaded {
    pub(super) fn proxy(&self) -> ProxyPre<InstanceState> {
        match self.handler.clone() {
            Handler::P3(pre) => ProxyPre::P3(pre),
            Handler::P2(pre) => ProxyPre::P2(pre),
        }
    }
}

// === impl Runtime ===

impl Runtime {
    /// Reads, compiles (or takes from the cache) and links the component at `path`. Blocks: call it off the serving threads.
    pub fn load(&self, path: &Path) -> Result<Loaded, LoadError> {
        let bytes = read(path)?;
        let loaded = self.load_bytes(&bytes, path)?;
        self.cache.keep_source(&loaded.digest, &bytes);
        Ok(loaded)
    }

    /// The same, of a file of the host's own that errors call `shown`.
    pub fn load_stored(&self, path: &Path, shown: &Path) -> Result<Loaded, LoadError> {
        self.load_bytes(&read(path)?, shown)
    }

    /// Does `work`, which compiles, so that whoever is served meanwhile hardly notices. Blocks.
    pub fn in_background<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        self.background.install(work)
    }

    /// The bytes of a component that was loaded from a file that may have changed since; `None` if they are nowhere.
    pub fn source(&self, path: &Path, digest: &Digest) -> Option<Vec<u8>> {
        std::fs::read(path)
            .ok()
            .filter(|bytes| Digest::of(bytes) == *digest)
            .or_else(|| self.cache.source(digest))
    }

    fn load_bytes(&self, bytes: &[u8], path: &Path) -> Result<Loaded, LoadError> {
        let path_buf = || path.to_owned();
        match bytes.get(..8) {
            Some([b'\0', b'a', b's', b'm', 1, 0, 0, 0]) => {
                return Err(LoadError::CoreModule { path: path_buf() });
            }
            Some([b'\0', b'a', b's', b'm', ..]) => {}
            _ => return Err(LoadError::NotWasm { path: path_buf() }),
        }
        let digest = Digest::of(bytes);
        let (component, compiled_in) = match self.cache.load(&self.engine, &digest) {
            Some(component) => (component, None),
            None => {
                let started = Instant::now();
                let component =
                    Component::new(&self.engine, bytes).map_err(|error| LoadError::Invalid {
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
        let handler = p3::bindings::ServicePre::new(pre.clone())
            .map(Handler::P3)
            .or_else(|_| p2::bindings::ProxyPre::new(pre).map(Handler::P2))
            .map_err(|_| LoadError::NoHandler { path: path_buf() })?;
        Ok(Loaded {
            digest,
            size: bytes.len() as u64,
            handler,
            compiled_in,
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, LoadError> {
    std::fs::read(path).map_err(|error| LoadError::Missing {
        path: path.to_owned(),
        error,
    })
}

// === impl Digest ===

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// `sha256:` and 64 hexadecimal digits.
impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("sha256:{self}"))
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.strip_prefix("sha256:")
            .and_then(Self::parse)
            .ok_or_else(|| D::Error::custom("a digest is `sha256:` and 64 hexadecimal digits"))
    }
}

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The hash of whatever `hasher` was fed.
    pub fn finish(hasher: Sha256) -> Self {
        Self(hasher.finalize().into())
    }

    /// 64 hexadecimal digits.
    pub fn parse(hex: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        if hex.len() != 2 * bytes.len() || !hex.is_ascii() {
            return None;
        }
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(hex.get(2 * index..2 * index + 2)?, 16).ok()?;
        }
        Some(Self(bytes))
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
