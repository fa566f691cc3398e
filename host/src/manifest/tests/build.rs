//! What to build is known before there is anything to run.

use std::path::Path;

use crate::manifest::reader::build_commands;

#[test]
fn commands_come_in_the_manifests_order_with_their_place() {
    let text = r#"
[component.second.build]
command = ["npm install", "npm run build"]
workdir = "front"
watch = ["src/**/*.ts"]
[component.first]
source = { url = "not supported, and no matter here" }
[component.first.build]
command = "make"
[component.unbuilt]
"#;
    let builds = build_commands(text, Path::new("app/spin.toml")).unwrap();
    let [second, first] = &builds[..] else {
        panic!("{builds:?}")
    };
    assert_eq!(second.function.as_ref(), "second");
    assert_eq!(second.commands, ["npm install", "npm run build"]);
    assert_eq!(second.workdir, Path::new("app/front"));
    assert_eq!(second.watch, ["src/**/*.ts"]);
    assert_eq!(first.commands, ["make"]);
    assert_eq!(first.workdir, Path::new("app"));
}

#[test]
fn a_manifest_beside_us_builds_here() {
    let builds = build_commands(
        "component.a.build.command = \"make\"",
        Path::new("spin.toml"),
    )
    .unwrap();
    assert_eq!(builds[0].workdir, Path::new("."));
}

#[test]
fn faults_of_the_build_are_found() {
    let text = "[component.a.build]\ncomand = \"make\"\n[component.b.build]\ncommand = []";
    let errors = build_commands(text, Path::new("spin.toml"))
        .unwrap_err()
        .to_string();
    for part in [
        "spin.toml:1: [component.a.build]: `command` is missing",
        "spin.toml:2: [component.a.build] comand: unknown key; fix: did you mean `command`?",
        "spin.toml:4: [component.b.build] command: there is nothing to run",
    ] {
        assert!(errors.contains(part), "no `{part}` in:\n{errors}");
    }
}
