//! How files of observability/ get into a part's directory.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use include_dir::Dir;

use crate::account::Account;
use crate::directory::own_dir;
use crate::error::{Error, Result};

/// Writes all the files of a folder into `dir`, each as `change` makes it. Nothing else stays there: a file of an older version would
/// still be read.
pub(super) fn write_folder(
    folder: &Dir<'_>,
    dir: &Path,
    account: &Account,
    change: impl Fn(&str) -> String,
) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir).map_err(Error::file(dir))?;
    }
    own_dir(dir, account)?;
    for file in folder.files() {
        let text = change(file.contents_utf8().unwrap_or_default());
        write_readable(&dir.join(file.path()), &text)?;
    }
    Ok(())
}

/// Whole or not at all, so that nobody ever reads half a file. Nothing secret is in there.
pub(super) fn write_readable(path: &Path, content: &str) -> Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, content).map_err(Error::file(&new))?;
    fs::set_permissions(&new, Permissions::from_mode(0o644)).map_err(Error::file(&new))?;
    fs::rename(&new, path).map_err(Error::file(path))
}
