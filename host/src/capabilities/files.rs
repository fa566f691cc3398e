//! `files`: what the manifest mounts into a component, copied once to a directory of its own and mounted read-only.
//!
//! Copied, because a mount of the original would change under a running function. A link that leads out of the manifest's directory
//! is an error.

use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::manifest::{FileMount, FileMountKind};

/// One function's files; removed when the last instance's function is.
#[derive(Debug)]
pub struct MountedFiles(TempDir);

// === impl MountedFiles ===

impl MountedFiles {
    /// Copies what `mounts` name below `root`, without what the globs of `exclude` match. `None` when there is nothing to mount.
    pub fn stage(root: &Path, mounts: &[FileMount], exclude: &[String]) -> Result<Option<Self>> {
        if mounts.is_empty() {
            return Ok(None);
        }
        let staged = TempDir::with_prefix("flowviz-files-")?;
        let exclude = exclude
            .iter()
            .map(|pattern| {
                glob::Pattern::new(pattern).with_context(|| format!("exclude_files: {pattern}"))
            })
            .collect::<Result<Vec<_>>>()?;
        let copy = Copy {
            root,
            real_root: &root
                .canonicalize()
                .with_context(|| root.display().to_string())?,
            exclude: &exclude,
        };
        for mount in mounts {
            match &mount.kind {
                FileMountKind::Pattern(pattern) => copy.pattern(pattern, staged.path()),
                FileMountKind::Placement {
                    source,
                    destination,
                } => copy.placement(source, destination, staged.path()),
            }
            .with_context(|| format!("files (line {})", mount.line))?;
        }
        Ok(Some(Self(staged)))
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}

struct Copy<'a> {
    root: &'a Path,
    /// Without links.
    real_root: &'a Path,
    exclude: &'a [glob::Pattern],
}

impl Copy<'_> {
    /// Each file that matches goes to its path relative to the root.
    fn pattern(&self, pattern: &str, to: &Path) -> Result<()> {
        let absolute = self.root.join(pattern);
        if absolute.is_dir() {
            return self.tree(&absolute, &to.join(below(pattern)?));
        }
        let pattern_text = absolute.to_string_lossy();
        let mut found = false;
        for path in glob::glob(&pattern_text)? {
            let path = path?;
            if path.is_file() {
                found = true;
                let relative = path.strip_prefix(self.root).context("outside the app")?;
                self.file(&path, &to.join(below(&relative.to_string_lossy())?))?;
            }
        }
        if !found {
            bail!("`{pattern}` matches no file");
        }
        Ok(())
    }

    fn placement(&self, source: &Path, destination: &str, to: &Path) -> Result<()> {
        let target = to.join(below(destination)?);
        if source.is_dir() {
            self.tree(source, &target)
        } else if source.is_file() {
            self.file(source, &target)
        } else {
            bail!("{} doesn't exist", source.display())
        }
    }

    fn tree(&self, from: &Path, to: &Path) -> Result<()> {
        fs::create_dir_all(to)?;
        let entries = fs::read_dir(from).with_context(|| from.display().to_string())?;
        for entry in entries {
            let entry = entry?;
            let (path, target) = (entry.path(), to.join(entry.file_name()));
            if path.is_dir() {
                self.tree(&path, &target)?;
            } else {
                self.file(&path, &target)?;
            }
        }
        Ok(())
    }

    fn file(&self, from: &Path, to: &Path) -> Result<()> {
        let relative = from.strip_prefix(self.root).unwrap_or(from);
        if self.exclude.iter().any(|glob| glob.matches_path(relative)) {
            return Ok(());
        }
        let real = from
            .canonicalize()
            .with_context(|| from.display().to_string())?;
        if !real.starts_with(self.real_root) {
            bail!(
                "{} leads out of the manifest's directory, to {}; put the file itself there",
                from.display(),
                real.display()
            );
        }
        // A pipe would be waited for.
        if !real.is_file() {
            bail!("{} is neither a file nor a directory", from.display());
        }
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::copy(&real, to).with_context(|| from.display().to_string())?;
        Ok(())
    }
}

/// `path` as one below some directory: no leading slash, no way up.
fn below(path: &str) -> Result<PathBuf> {
    let mut inside = PathBuf::new();
    for part in Path::new(path).components() {
        match part {
            Component::Normal(part) => inside.push(part),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => bail!("`{path}` leads out of the mount"),
        }
    }
    Ok(inside)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn mount(kind: FileMountKind) -> FileMount {
        FileMount { kind, line: 1 }
    }

    #[test]
    fn patterns_and_placements_land_where_the_manifest_says() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("web/img")).unwrap();
        fs::write(root.path().join("web/a.html"), "a").unwrap();
        fs::write(root.path().join("web/img/x.png"), "x").unwrap();
        fs::write(root.path().join("web/secret.key"), "k").unwrap();

        let mounts = [
            mount(FileMountKind::Pattern("web/**/*".to_owned())),
            mount(FileMountKind::Placement {
                source: root.path().join("web"),
                destination: "/site".to_owned(),
            }),
        ];
        let staged = MountedFiles::stage(root.path(), &mounts, &["**/*.key".to_owned()])
            .unwrap()
            .unwrap();
        let at = |path: &str| staged.path().join(path);
        assert!(at("web/a.html").is_file());
        assert!(at("web/img/x.png").is_file());
        assert!(at("site/img/x.png").is_file());
        assert!(!at("web/secret.key").exists());
        assert!(!at("site/secret.key").exists());
    }

    #[test]
    fn no_link_leads_out_of_the_root() {
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("key"), "k").unwrap();
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        fs::create_dir_all(at("web/img")).unwrap();
        fs::write(at("shared.css"), "s").unwrap();
        symlink(at("shared.css"), at("web/inside.css")).unwrap();

        let mounts = || {
            let placement = FileMountKind::Placement {
                source: at("web"),
                destination: "/site".to_owned(),
            };
            [
                FileMountKind::Pattern("web/**/*".to_owned()),
                FileMountKind::Pattern("web".to_owned()),
                placement,
            ]
        };
        for kind in mounts() {
            let staged = MountedFiles::stage(root.path(), &[mount(kind)], &[]).unwrap();
            assert!(staged.is_some());
        }
        for (target, link) in [("", "web/img/dir"), ("key", "web/img/file")] {
            symlink(outside.path().join(target), at(link)).unwrap();
            for kind in mounts() {
                let shown = format!("{kind:?}");
                let error = MountedFiles::stage(root.path(), &[mount(kind)], &[]).unwrap_err();
                let error = format!("{error:#}");
                assert!(
                    error.starts_with("files (line 1): ") && error.contains("leads out"),
                    "{shown}: {error}"
                );
            }
            fs::remove_file(at(link)).unwrap();
        }
    }

    #[test]
    fn nothing_leads_out_of_the_mount() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), "a").unwrap();
        let out = mount(FileMountKind::Placement {
            source: root.path().join("a"),
            destination: "../../a".to_owned(),
        });
        assert!(MountedFiles::stage(root.path(), &[out], &[]).is_err());
        let nothing = mount(FileMountKind::Pattern("*.css".to_owned()));
        assert!(MountedFiles::stage(root.path(), &[nothing], &[]).is_err());
    }
}
