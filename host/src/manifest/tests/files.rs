//! Whether the files are there is asked apart, and answered for all of them.

use std::fs;

use super::around;
use crate::manifest::{Inputs, check_files, load};

#[test]
fn missing_files_are_named_with_their_lines() {
    let dir = tempfile::tempdir().unwrap();
    let rest = around(
        "files = [\"there.txt\", \"missing.txt\", \"none/*.css\",\n  { source = \"gone\", destination = \"/\" }]\n[component.c.build]\ncommand = \"make c\"",
    );
    fs::write(
        dir.path().join("spin.toml"),
        format!("spin_manifest_version = 2\n[application]\nname = \"a\"\n{rest}"),
    )
    .unwrap();
    fs::write(dir.path().join("there.txt"), "").unwrap();

    let app = load(dir.path(), &Inputs::default()).unwrap();
    let shown = check_files(&app).unwrap_err().to_string();
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines.len(), 3, "{shown}");
    assert!(
        lines[0].contains("spin.toml:8: [component.c] source: ")
            && lines[0].ends_with("fix: build it: `make c`"),
        "{shown}"
    );
    assert!(
        lines[1].contains("spin.toml:9: [component.c] files: ") && lines[1].contains("missing.txt"),
        "{shown}"
    );
    assert!(
        lines[2].contains("spin.toml:10: [component.c] files: ") && lines[2].contains("gone"),
        "{shown}"
    );

    for name in ["c.wasm", "missing.txt", "gone"] {
        fs::write(dir.path().join(name), "").unwrap();
    }
    check_files(&app).unwrap();
}

#[test]
fn a_manifest_that_is_not_there_is_said_so() {
    let dir = tempfile::tempdir().unwrap();
    let shown = load(dir.path(), &Inputs::default())
        .unwrap_err()
        .to_string();
    assert!(
        shown.contains("spin.toml: the manifest can't be read"),
        "{shown}"
    );
}
