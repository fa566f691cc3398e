//! A component says what it may have, and what Spin knows and we don't is refused by name.

use std::path::Path;

use super::{around, assert_fault, faults, function, parse_with};
use crate::manifest::error::Finding;
use crate::manifest::{Inputs, Secret};

#[test]
fn the_stock_keys_are_taken() {
    let f = function(
        r#"description = "d"
environment = { A = "1", B = "2" }
exclude_files = ["secret/*"]
targets = ["spin-up:3"]
key_value_stores = []
dependencies_inherit_configuration = true
dependencies = { "flowviz:metrics/metrics@0.1.0" = { path = "noop.wasm" } }
[component.c.tool.other]
anything = "goes"
"#,
    );
    assert_eq!(f.source, Path::new("dir/c.wasm"));
    assert_eq!(f.source_line, 8);
    assert_eq!(f.exclude_files, ["secret/*"]);
    assert_eq!(
        f.environment,
        [("A".into(), "1".into()), ("B".into(), "2".into())]
    );
}

#[test]
fn env_from_outside_replaces_the_manifests() {
    let extra_env = vec![
        ("A".to_owned(), Secret::from("outside")),
        ("Z".to_owned(), Secret::from("new")),
    ];
    let inputs = Inputs {
        extra_env,
        ..Inputs::default()
    };
    let app = parse_with(&around("environment = { A = \"1\", B = \"2\" }"), &inputs).unwrap();
    let environment: Vec<_> = app.functions[0]
        .environment
        .iter()
        .map(|(n, v)| (n.as_str(), v.expose()))
        .collect();
    assert_eq!(environment, [("B", "2"), ("A", "outside"), ("Z", "new")]);
}

#[test]
fn what_we_do_not_support_is_named_with_its_line() {
    for key in ["sqlite_databases", "ai_models", "allowed_http_hosts"] {
        assert_fault(
            &faults(&format!("{key} = [\"default\"]")),
            &[
                "dir/spin.toml:9: ",
                "[component.c] ",
                key,
                "not supported",
                "; fix: ",
            ],
        );
    }
    assert_fault(
        &faults("[component.c.profile.debug]\nsource = \"d.wasm\""),
        &[":9: [component.c] profile"],
    );
    assert_fault(
        &faults("dependencies = { \"other:pkg/x\" = \"1\" }"),
        &[":9: [component.c.dependencies] other:pkg/x", "flowviz:"],
    );
}

#[test]
fn only_local_sources_are_taken() {
    for source in [
        "{ url = \"https://x\", digest = \"sha256:00\" }",
        "{ registry = \"r\", package = \"a:b\", version = \"1.0.0\" }",
    ] {
        let rest = around("").replace("\"c.wasm\"", source);
        let shown = parse_with(&rest, &Inputs::default())
            .unwrap_err()
            .to_string();
        assert_fault(
            &shown,
            &["dir/spin.toml:8: [component.c] source: only local files"],
        );
    }
}

#[test]
fn unknown_keys_are_faults_with_the_nearest_known_one() {
    assert_fault(
        &faults("alowed_outbound_hosts = []"),
        &[
            ":9: [component.c] alowed_outbound_hosts: unknown key; fix: did you mean `allowed_outbound_hosts`?",
        ],
    );
    assert_fault(
        &faults("colour = 1"),
        &[":9: [component.c] colour: unknown key; fix: remove it; known here: source, "],
    );
}

#[test]
fn what_is_refused_is_not_said_to_be_known() {
    let shown = faults("colour = 1");
    for refused in [
        "sqlite_databases",
        "ai_models",
        "profile",
        "allowed_http_hosts",
    ] {
        assert!(!shown.contains(refused), "{shown}");
        assert_fault(
            &faults(&format!("{refused} = [\"x\"]")),
            &["is not supported yet"],
        );
    }
    assert_fault(&faults("profil = 1"), &["remove it; known here: source, "]);
    function("sqlite_databases = []");
}

#[test]
fn there_is_one_key_value_store() {
    assert!(function("key_value_stores = [\"default\"]").key_value);
    assert!(!function("key_value_stores = []").key_value);
    assert_fault(
        &faults("key_value_stores = [\"default\", \"mine\"]"),
        &[
            "dir/spin.toml:9: ",
            "there is no store `mine`",
            "key_value_stores = [\"default\"]",
        ],
    );
}

#[test]
fn files_come_from_below_the_manifest() {
    for entry in [
        "\"../../..\"",
        "\"../**/*\"",
        "\"a/../../b\"",
        "\"/etc/passwd\"",
        "{ source = \"../../..\", destination = \"/\" }",
        "{ source = \"a/../..\", destination = \"/\" }",
        "{ source = \"/etc\", destination = \"/\" }",
    ] {
        let shown = faults(&format!("files = [\n  {entry},\n]"));
        assert_fault(&shown, &["dir/spin.toml:10: [component.c] files: "]);
        assert!(
            shown.contains("leads out of the manifest's directory")
                || shown.contains("names a directory"),
            "{shown}"
        );
    }
}

#[test]
fn ids_are_those_of_spin() {
    let with_id = |id: &str| {
        parse_with(
            &around("")
                .replace("component.c]", &format!("component.\"{id}\"]"))
                .replace("\"c\"", &format!("\"{id}\"")),
            &Inputs::default(),
        )
    };
    for id in ["a", "qc-decisions", "a1-B2"] {
        assert_eq!(with_id(id).unwrap().functions[0].id.as_ref(), id);
    }
    // Both the component and the trigger that names it need the new name.
    assert_eq!(with_id("a_b").unwrap_err().findings().len(), 2);
    for id in ["a_b", "1a", "a--b", "-a", "aB", "none", "", "ä"] {
        let shown = with_id(id).unwrap_err().to_string();
        assert!(shown.contains("is no component's id"), "{id}: {shown}");
    }
    assert!(
        with_id("qc_decisions")
            .unwrap_err()
            .to_string()
            .contains("for example to `qc-decisions`")
    );
}

#[test]
fn a_component_that_nothing_calls_is_a_warning() {
    let app = parse_with(
        &around("[component.idle]\nsource = \"i.wasm\""),
        &Inputs::default(),
    )
    .unwrap();
    let shown: Vec<String> = app.warnings.iter().map(Finding::to_string).collect();
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert!(
        shown[0].starts_with("dir/spin.toml:9: [component] idle: no trigger names this component"),
        "{shown:?}"
    );
}

#[test]
fn file_mounts_are_globs_or_placements() {
    use crate::manifest::FileMountKind::{Pattern, Placement};
    let f = function(
        "files = [\n  \"assets/**/*.css\",\n  { source = \"data\", destination = \"srv/data\" },\n]",
    );
    let expected = [
        (10, Pattern("assets/**/*.css".into())),
        (
            11,
            Placement {
                source: "dir/data".into(),
                destination: "/srv/data".into(),
            },
        ),
    ];
    assert_eq!(
        f.files
            .into_iter()
            .map(|m| (m.line, m.kind))
            .collect::<Vec<_>>(),
        expected
    );
}

#[test]
fn file_mounts_stay_where_they_belong() {
    for pattern in ["..", "assets/.", "assets/", "../other/*", "/etc/passwd"] {
        assert_fault(
            &faults(&format!("files = [\"{pattern}\"]")),
            &[":9: [component.c] files", pattern],
        );
    }
    assert_fault(
        &faults("files = [{ source = \"a\", destination = \"/../b\" }]"),
        &["`destination` has a `..`"],
    );
    assert_fault(
        &faults("files = [{ source = \"a\" }]"),
        &["`destination` is missing"],
    );
    assert_fault(&faults("files = [3]"), &["not an integer"]);
}
