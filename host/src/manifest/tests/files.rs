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

#[test]
fn a_database_that_can_not_be_connected_to_is_found_before_the_start() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("c.wasm"), "").unwrap();
    let root = dir.path().join("root.crt");
    let said = |database: &str| {
        let text = format!(
            "spin_manifest_version = 2\n[application]\nname = \"a\"\n[application.tool.flowviz]\ndatabase = \"{database}\"\n{}",
            around("")
        );
        fs::write(dir.path().join("spin.toml"), text).unwrap();
        let app = load(dir.path(), &Inputs::default()).unwrap();
        check_files(&app).map_err(|errors| errors.to_string())
    };
    let full = format!(
        "host=h user=u password=s3cret sslmode=verify-full sslrootcert={}",
        root.display()
    );
    let cases = [
        ("host=h password=s3cret", "names no user"),
        (
            "postgres://u:s3cret@h/d?sslmode=full",
            "`sslmode` is one of",
        ),
        (&full, "`sslrootcert` names no readable file"),
    ];
    for (database, what) in cases {
        let shown = said(database).unwrap_err();
        assert!(
            shown.contains("[application.tool.flowviz] database: ")
                && shown.contains(what)
                && !shown.contains("s3cret"),
            "{shown}"
        );
    }
    let made = rcgen::generate_simple_self_signed(["h".to_owned()]).unwrap();
    fs::write(root, made.cert.pem()).unwrap();
    said(&full).unwrap();
    said("postgres://u:s3cret@h/d").unwrap();
}
