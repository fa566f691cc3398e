//! What a manifest's reader has to say: what, where, and how to mend it; one line each, all of them at once.

use std::fmt;
use std::path::PathBuf;

/// One fault, or one warning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub file: PathBuf,
    /// Counted from 1. `None` where no line of the manifest is to blame, for example a `--variable` that it doesn't declare.
    pub line: Option<usize>,
    /// The table and the key, as a reader of the manifest finds them: `[component.lots.tool.flowviz] timeout`. May be empty.
    pub key: String,
    pub what: String,
    pub fix: String,
}

/// Everything that is wrong with a manifest, in the order of its lines. Never empty, never shows a variable's value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", lines(.0))]
pub struct ManifestErrors(Vec<Finding>);

// === impl Finding ===

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
        }
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}; fix: {}", self.what, self.fix)
    }
}

// === impl ManifestErrors ===

impl ManifestErrors {
    #[cfg(test)]
    pub fn findings(&self) -> &[Finding] {
        &self.0
    }

    /// `value`, unless something was found.
    pub(super) fn unless_clean<T>(mut findings: Vec<Finding>, value: T) -> Result<T, Self> {
        if findings.is_empty() {
            return Ok(value);
        }
        // Two readers may stumble over the same fault, for example a template that is used twice on a line.
        findings.sort_by_key(|f| f.line);
        findings.dedup();
        Err(Self(findings))
    }
}

impl From<Finding> for ManifestErrors {
    fn from(finding: Finding) -> Self {
        Self(vec![finding])
    }
}

fn lines(findings: &[Finding]) -> String {
    findings
        .iter()
        .map(Finding::to_string)
        .collect::<Vec<_>>()
        .join("\n")
}
