//! What a manifest says, typed: an application, its functions and their routes.
//! The types hold only what the reader has checked, so whoever gets an `App` need not check it again.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::error::Finding;
use super::hosts::AllowedHosts;
use super::limits::Limits;
use super::metrics::MetricDeclaration;
use super::origins::AllowedOrigins;
use super::pool::PoolSettings;
use super::rates::RateLimit;
use super::routes::RoutePattern;
use super::secret::Secret;

/// An application, ready to be loaded: every variable has its value.
#[derive(Debug, Clone)]
pub struct App {
    pub name: String,
    pub version: String,
    pub description: String,
    /// The manifest's path, as errors show it.
    pub file: PathBuf,
    /// The manifest's directory; what is relative in the manifest is relative to it.
    pub root: PathBuf,
    /// In the manifest's order.
    pub functions: Vec<Function>,
    /// In the manifest's order, free of duplicates: `Router::new` takes them as they are.
    pub routes: Vec<Route>,
    pub settings: AppSettings,
    /// What works but is hardly meant, for example a component that no trigger names.
    pub warnings: Vec<Finding>,
}

/// `[application.tool.flowviz]`
#[derive(Debug, Clone, Default)]
pub struct AppSettings {
    /// The database that `/readyz` asks: a connection string.
    pub database: Option<Secret>,
    /// PgBouncer's console, whose statistics the host serves: a connection string; `None`: not asked.
    pub pgbouncer: Option<Secret>,
    /// The origins whose pages may call the functions; `None`: the host has no part in CORS.
    pub cors_origins: Option<AllowedOrigins>,
    /// How often the audit trail in `database` is checked; `None`: never.
    pub audit_every: Option<Duration>,
    /// How users are told apart, for rate limits.
    pub identity: Option<Identity>,
    /// The functions' connections to each database.
    pub pool: PoolSettings,
}

/// `identity`: whose token a request carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Signs the tokens (HS256). Never empty.
    pub jwt_secret: Secret,
}

/// One component: `[component.<id>]`.
#[derive(Debug, Clone, PartialEq)]
pub struct Function {
    pub id: FunctionId,
    pub description: Option<String>,
    /// The component's file, below `App::root` unless the manifest names an absolute path.
    pub source: PathBuf,
    /// Where the manifest names `source`, counted from 1.
    pub source_line: usize,
    /// What the guest reads through the variables interfaces, templates filled in.
    pub variables: std::collections::BTreeMap<String, Secret>,
    /// WASI environment: the manifest's, then `Inputs::extra_env`; each name once.
    pub environment: Vec<(String, Secret)>,
    pub files: Vec<FileMount>,
    /// Globs, relative to `App::root`, of what `files` must leave out.
    pub exclude_files: Vec<String>,
    pub allowed_hosts: AllowedHosts,
    /// The store `default` is granted.
    pub key_value: bool,
    pub limits: Limits,
    /// The host calls the function by itself, at once and then at this interval.
    pub every: Option<Duration>,
    /// The methods that the function takes; `None` is all of them.
    pub methods: Option<Vec<http::Method>>,
    /// In the manifest's order.
    pub rate_limits: Vec<RateLimit>,
    /// In the manifest's order.
    pub metrics: Vec<MetricDeclaration>,
    /// A path of its own that a new version must answer before it serves.
    pub probe: Option<String>,
    pub build: Option<Build>,
}

/// A component's id: kebab-case, as Spin wants it. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FunctionId(Arc<str>);

/// One `[[trigger.http]]` that the public can reach.
#[derive(Debug, Clone)]
pub struct Route {
    pub pattern: RoutePattern,
    pub function: FunctionId,
    /// Where the manifest names the route, counted from 1.
    pub line: usize,
}

/// An entry of `files`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileMount {
    pub kind: FileMountKind,
    /// Counted from 1.
    pub line: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileMountKind {
    /// A glob, a file or a directory relative to `App::root`; the guest sees each file at its path relative to the root.
    Pattern(String),
    /// A file or directory (joined with `App::root`), and the path that the guest sees.
    Placement {
        source: PathBuf,
        destination: String,
    },
}

/// `[component.<id>.build]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    pub function: FunctionId,
    /// Shell commands, run one after the other in `workdir`.
    pub commands: Vec<String>,
    /// Joined with `App::root`.
    pub workdir: PathBuf,
    /// Globs of the sources, relative to `workdir`.
    pub watch: Vec<String>,
}

/// Why a string is no function id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadFunctionId {
    #[error(
        "an id is words of lower-case letters and digits, joined by single hyphens, each starting with a letter"
    )]
    NotKebab,
    #[error("`none` is what telemetry calls a request that matches no function")]
    Reserved,
}

// === impl Function ===

impl Function {
    /// Whether `other` says the same of a component, wherever in the manifest.
    pub fn means_the_same(&self, other: &Self) -> bool {
        let unplaced = |function: &Self| Self {
            source_line: 0,
            files: Vec::new(),
            ..function.clone()
        };
        let kinds = |function: &Self| -> Vec<FileMountKind> {
            function
                .files
                .iter()
                .map(|mount| mount.kind.clone())
                .collect()
        };
        unplaced(self) == unplaced(other) && kinds(self) == kinds(other)
    }
}

// === impl FunctionId ===

impl FunctionId {
    /// Words of one case in ASCII, each starting with a letter, joined by single hyphens: Spin's rule.
    pub fn parse(id: &str) -> Result<Self, BadFunctionId> {
        if id == "none" {
            return Err(BadFunctionId::Reserved);
        }
        let is_word = |word: &str| {
            let one_case =
                |is_case: fn(&u8) -> bool| word.bytes().all(|b| is_case(&b) || b.is_ascii_digit());
            word.starts_with(|c: char| c.is_ascii_alphabetic())
                && (one_case(u8::is_ascii_lowercase) || one_case(u8::is_ascii_uppercase))
        };
        if id.split('-').all(is_word) {
            Ok(Self(id.into()))
        } else {
            Err(BadFunctionId::NotKebab)
        }
    }
}

impl fmt::Display for FunctionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for FunctionId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl std::borrow::Borrow<str> for FunctionId {
    fn borrow(&self) -> &str {
        &self.0
    }
}
