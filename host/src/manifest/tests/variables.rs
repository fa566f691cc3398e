//! Variables get their values, templates theirs, and no error shows one.

use std::collections::BTreeMap;

use super::{around, assert_fault, parse_with};
use crate::manifest::{App, Inputs, Secret};

fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, Secret> {
    pairs
        .iter()
        .map(|(name, value)| (name.to_string(), Secret::from(*value)))
        .collect()
}

fn parse(declared: &str, used: &str, inputs: &Inputs) -> Result<App, String> {
    parse_with(
        &around(&format!(
            "[variables]\n{declared}\n[component.c.variables]\n{used}"
        )),
        inputs,
    )
    .map_err(|errors| errors.to_string())
}

fn fails(declared: &str, used: &str) -> String {
    parse(declared, used, &Inputs::default()).unwrap_err()
}

#[test]
fn a_flag_beats_the_environment_beats_the_default() {
    let declared = "a = { default = \"default\" }\nb = { default = \"default\" }\nc = { default = \"default\" }";
    let inputs = Inputs {
        variables: values(&[("a", "flag")]),
        variables_from_environment: values(&[("a", "env"), ("b", "env"), ("of_another_app", "x")]),
        ..Inputs::default()
    };
    let app = parse(
        declared,
        "v = \"{{ a }}-{{b}}-{{  c  }}\"\nw = \"plain }} {\"",
        &inputs,
    )
    .unwrap();
    assert_eq!(app.functions[0].variables["v"].expose(), "flag-env-default");
    assert_eq!(app.functions[0].variables["w"].expose(), "plain }} {");
}

#[test]
fn values_are_not_templates_themselves() {
    let inputs = Inputs {
        variables: values(&[("a", "{{ b }}")]),
        ..Inputs::default()
    };
    let app = parse("a = { required = true }", "v = \"{{ a }}\"", &inputs).unwrap();
    assert_eq!(app.functions[0].variables["v"].expose(), "{{ b }}");
}

#[test]
fn the_environment_is_searched_for_spins_names() {
    let environment = [
        ("SPIN_VARIABLE_DATABASE_URL", "x"),
        ("PATH", "/bin"),
        ("SPIN_X", "y"),
    ];
    let found =
        Inputs::variables_in(environment.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(found, values(&[("database_url", "x")]));
}

#[test]
fn a_missing_value_is_said_once_with_both_ways_to_give_it() {
    let shown = fails(
        "api_key = { required = true }",
        "v = \"{{ api_key }}\"\nw = \"{{ api_key }}\"",
    );
    assert_fault(
        &shown,
        &[
            "dir/spin.toml:10: [variables] api_key: ",
            "`--variable api_key=...`",
            "`SPIN_VARIABLE_API_KEY`",
        ],
    );
}

#[test]
fn undeclared_names_are_faults() {
    assert_fault(
        &fails(
            "database_url = { default = \"x\" }",
            "v = \"{{ databse_url }}\"",
        ),
        &[
            "dir/spin.toml:12: [component.c.variables] v: ",
            "`databse_url`",
            "did you mean `database_url`?",
        ],
    );
    let inputs = Inputs {
        variables: values(&[("jwt_secrt", "hunter2")]),
        ..Inputs::default()
    };
    let shown = parse("jwt_secret = { default = \"x\" }", "", &inputs).unwrap_err();
    assert_fault(
        &shown,
        &[
            "dir/spin.toml: --variable jwt_secrt: ",
            "did you mean `jwt_secret`?",
        ],
    );
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn templates_are_closed() {
    assert_fault(&fails("", "v = \"a {{ b\""), &["never closed"]);
}

#[test]
fn a_declaration_is_required_or_has_a_default() {
    assert_fault(
        &fails("a = {}", ""),
        &[":10: [variables] a: a variable is either required or has a default"],
    );
    assert_fault(
        &fails("a = { required = true, default = \"x\" }", ""),
        &["can't have a default"],
    );
    assert_fault(
        &fails("a = { default = 5 }", ""),
        &["[variables.a] default: a string belongs here"],
    );
    assert_fault(
        &fails("a = { default = \"x\", secrt = true }", ""),
        &["did you mean `secret`?"],
    );
    assert_fault(
        &fails("a = \"x\"", ""),
        &["[variables] a: a table belongs here"],
    );
}

#[test]
fn names_are_those_of_spin() {
    for name in ["A", "a__b", "a-b", "_a", "a_", "1a", "a_1"] {
        assert_fault(
            &fails(&format!("{name} = {{ default = \"x\" }}"), ""),
            &["a variable's name is"],
        );
        assert_fault(
            &fails("", &format!("{name} = \"x\"")),
            &["a variable's name is"],
        );
    }
}

#[test]
fn the_rules_of_the_application_hold() {
    let with = |rules: &str, secret: &str| {
        let rest = around(&format!(
            "[variables]\nsecret = {{ required = true }}\n[application.tool.flowviz]\ndatabase = \"postgres://{{{{ secret }}}}@db\"\n{rules}"
        ));
        parse_with(
            &rest,
            &Inputs {
                variables: values(&[("secret", secret)]),
                ..Inputs::default()
            },
        )
        .map_err(|errors| errors.to_string())
    };
    let app = with("variables.secret = { min_bytes = 4 }", "1234").unwrap();
    assert_eq!(
        app.settings.database.unwrap().expose(),
        "postgres://1234@db"
    );
    let shown = with("variables.secret = { min_bytes = 4 }", "xyz").unwrap_err();
    assert_fault(
        &shown,
        &[
            "dir/spin.toml:13: [application.tool.flowviz.variables.secret] min_bytes: ",
            "shorter than 4 bytes",
            "SPIN_VARIABLE_SECRET",
        ],
    );
    assert!(!shown.contains("xyz"), "{shown}");
    assert_fault(
        &with("variables.secrt = { min_bytes = 4 }", "1234").unwrap_err(),
        &["did you mean `secret`?"],
    );
    assert_fault(
        &with("variables.secret = { min_byte = 4 }", "1234").unwrap_err(),
        &["did you mean `min_bytes`?"],
    );
}
