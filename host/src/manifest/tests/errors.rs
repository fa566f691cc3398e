//! All the faults at once, each on one line: file, line, key, what, fix.

use std::path::Path;

use super::{assert_fault, parse_with};
use crate::manifest::Inputs;
use crate::manifest::error::ManifestErrors;
use crate::manifest::reader::parse;

fn errors_of(text: &str) -> ManifestErrors {
    parse(text, Path::new("spin.toml"), &Inputs::default()).unwrap_err()
}

#[test]
fn all_faults_come_at_once_in_the_order_of_their_lines() {
    let rest = r#"[[trigger.http]]
route = "/a"
component = "lot"
[component.lots]
source = 7
descripton = "d"
[component.lots.tool.flowviz]
memory_limit = "12 parsecs"
queue = -1
"#;
    let errors = parse_with(rest, &Inputs::default()).unwrap_err();
    let shown = errors.to_string();
    let expected = [
        "dir/spin.toml:6: [[trigger.http]] component: there is no component `lot`; fix: did you mean `lots`?",
        "dir/spin.toml:8: [component.lots] source: a string belongs here, not an integer; fix: write for example `source = \"...\"`",
        "dir/spin.toml:9: [component.lots] descripton: unknown key; fix: did you mean `description`?",
        "dir/spin.toml:11: [component.lots.tool.flowviz] memory_limit: `12 parsecs` is not a whole number and a unit; fix: write for example `memory_limit = \"128MiB\"`",
        "dir/spin.toml:12: [component.lots.tool.flowviz] queue: -1 is out of range; fix: write for example `queue = 2048`",
    ];
    assert_eq!(shown.lines().collect::<Vec<_>>(), expected);
    assert_eq!(errors.findings()[0].line, Some(6));
}

#[test]
fn broken_syntax_shows_its_line_and_column() {
    let shown = errors_of("spin_manifest_version = 2\n[application\nname = \"a\"\n").to_string();
    assert!(
        shown.starts_with("spin.toml:2: invalid TOML at column 13 of `[application`: "),
        "{shown}"
    );
}

#[test]
fn of_a_long_line_only_the_place_is_shown() {
    let long = format!(
        "spin_manifest_version = 2\ntext = \"{}\" oops \"{}\"\n",
        "a".repeat(5000),
        "b".repeat(5000)
    );
    let shown = errors_of(&long).to_string();
    let first = shown.lines().next().unwrap();
    assert!(
        first.len() < 300 && first.contains("aaa\" oops \"bbb") && first.contains("`...aaa"),
        "{first}"
    );
    // Both ends of a line.
    let (start, end) = (
        format!("= {}", "é".repeat(500)),
        format!("a = \"{}", "é".repeat(500)),
    );
    let (start, end) = (errors_of(&start).to_string(), errors_of(&end).to_string());
    assert!(
        start.contains("of `= é") && start.contains("é...`"),
        "{start}"
    );
    assert!(end.contains("`...é") || end.contains("of `a = "), "{end}");
    assert!(
        start
            .lines()
            .chain(end.lines())
            .all(|line| line.chars().count() < 300)
    );
}

#[test]
fn the_same_component_twice_is_broken_syntax_too() {
    let shown = parse_with(
        "[component.a]\nsource = \"a\"\n[component.a]\nsource = \"b\"\n",
        &Inputs::default(),
    )
    .unwrap_err()
    .to_string();
    assert!(shown.contains("dir/spin.toml:6: invalid TOML"), "{shown}");
}

#[test]
fn other_versions_are_refused_and_nothing_else_is_said() {
    assert_fault(
        &errors_of("spin_manifest_version = \"1\"\nname = \"old\"").to_string(),
        &["spin.toml:1: spin_manifest_version: "],
    );
    assert_fault(
        &errors_of("\nspin_manifest_version = 1\nname = \"old\"").to_string(),
        &["spin.toml:2: spin_manifest_version: only version 2"],
    );
    assert_fault(
        &errors_of("name = \"x\"").to_string(),
        &[
            "`spin_manifest_version` is missing",
            "spin_manifest_version = 2",
        ],
    );
}

#[test]
fn an_empty_manifest_misses_its_parts() {
    let shown = errors_of("spin_manifest_version = 2").to_string();
    assert!(
        shown.contains("`application` is missing") && shown.contains("`trigger` is missing"),
        "{shown}"
    );
}

#[test]
fn the_application_is_read_strictly() {
    let shown = errors_of(
        "spin_manifest_version = 2\ncolour = 1\n[application]\nname = \"\"\nauthor = \"me\"\n[application.trigger.http]\nbase = \"/v1\"\n[application.trigger.redis]\naddress = \"redis://x\"\n[application.tool.flowviz]\ndatabse = \"x\"\n[[trigger.redis]]\nchannel = \"c\"\n",
    )
    .to_string();
    let expected = [
        "spin.toml:2: colour: unknown key",
        "spin.toml:4: [application] name: the name is empty",
        "spin.toml:5: [application] author: unknown key; fix: did you mean `authors`?",
        "spin.toml:7: [application.trigger.http] base: this key of Spin's is not supported",
        "spin.toml:8: [application.trigger] redis: triggers of type `redis` are not supported",
        "spin.toml:11: [application.tool.flowviz] databse: unknown key; fix: did you mean `database`?",
        "spin.toml:12: [trigger] redis: triggers of type `redis` are not supported",
    ];
    assert_eq!(shown.lines().count(), expected.len(), "{shown}");
    for (line, expected) in shown.lines().zip(expected) {
        assert!(line.starts_with(expected), "{line}");
    }
}
