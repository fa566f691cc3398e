//! Triggers lead to components that exist, each path to one of them.

use super::{assert_fault, parse_with};
use crate::manifest::{App, Inputs};

fn parse(triggers: &str) -> Result<App, String> {
    let rest = format!(
        "[component.a]\nsource = \"a.wasm\"\n[component.b]\nsource = \"b.wasm\"\n{triggers}"
    );
    parse_with(&rest, &Inputs::default()).map_err(|errors| errors.to_string())
}

fn one(keys: &str) -> Result<App, String> {
    parse(&format!("[[trigger.http]]\n{keys}"))
}

#[test]
fn routes_keep_the_manifests_order_and_lines() {
    let app = parse("[[trigger.http]]\nroute = \"/z\"\ncomponent = \"b\"\nid = \"t\"\n[[trigger.http]]\nroute = \"/a/...\"\ncomponent = \"a\"\nexecutor = { type = \"spin\" }\n[[trigger.http]]\nroute = \"/b\"\ncomponent = \"b\"\nexecutor = { type = \"http\" }").unwrap();
    let routes: Vec<_> = app
        .routes
        .iter()
        .map(|r| (r.pattern.template(), r.function.as_ref(), r.line))
        .collect();
    assert_eq!(
        routes,
        [("/z", "b", 9), ("/a/...", "a", 13), ("/b", "b", 17)]
    );
}

#[test]
fn a_private_endpoint_has_no_route() {
    let app = one("route = { private = true }\ncomponent = \"a\"").unwrap();
    assert!(app.routes.is_empty());
    assert_eq!(
        app.warnings.len(),
        1,
        "only `b` is called by nothing: {:?}",
        app.warnings
    );
    assert_fault(
        &one("route = { private = false }\ncomponent = \"a\"").unwrap_err(),
        &[":9: [trigger.http.route]: `private = false`"],
    );
}

#[test]
fn a_scheduled_component_needs_no_trigger() {
    let scheduled = |every: &str| {
        format!("[component.c]\nsource = \"c.wasm\"\n[component.c.tool.flowviz]\n{every}")
    };
    let alone = scheduled("every = \"1m\"");
    for triggers in [
        "",
        "[[trigger.http]]\nroute = { private = true }\ncomponent = \"c\"",
    ] {
        let rest = format!("{alone}\n{triggers}");
        let app = parse_with(&rest, &Inputs::default()).unwrap();
        assert!(app.warnings.is_empty(), "{:?}", app.warnings);
        assert!(app.routes.is_empty());
    }
    assert_fault(
        &parse_with(&scheduled(""), &Inputs::default())
            .unwrap_err()
            .to_string(),
        &["`trigger` is missing"],
    );
}

#[test]
fn an_inline_component_is_a_component() {
    let app = parse("[[trigger.http]]\nroute = \"/x\"\ncomponent = { source = \"x.wasm\" }\n[[trigger.http]]\nid = \"named\"\nroute = \"/y\"\n[trigger.http.component]\nsource = \"y.wasm\"\n[trigger.http.component.tool.flowviz]\nqueue = 1").unwrap();
    let ids: Vec<_> = app.functions.iter().map(|f| f.id.as_ref()).collect();
    assert_eq!(ids, ["a", "b", "inline-component1", "named-component"]);
    assert_eq!(app.functions[3].limits.queue, 1);
    assert_eq!(app.routes[1].function.as_ref(), "named-component");
}

#[test]
fn an_unknown_component_is_a_fault_a_broken_one_is_not_unknown() {
    assert_fault(
        &one("route = \"/x\"\ncomponent = \"c\"").unwrap_err(),
        &["dir/spin.toml:10: [[trigger.http]] component: there is no component `c`"],
    );
    let broken =
        "[component.lots]\nsource = 1\n[[trigger.http]]\nroute = \"/x\"\ncomponent = \"lots\"";
    assert_fault(
        &parse(broken).unwrap_err(),
        &["[component.lots] source: a string belongs here"],
    );
}

#[test]
fn duplicate_routes_name_both_lines() {
    let shown = parse("[[trigger.http]]\nroute = \"/x/:a\"\ncomponent = \"a\"\n[[trigger.http]]\nroute = \"/x/:b\"\ncomponent = \"b\"").unwrap_err();
    assert_fault(
        &shown,
        &[
            "dir/spin.toml:12: [[trigger.http]] route: line 9 already routes the same paths: `/x/:a`",
        ],
    );
}

#[test]
fn other_triggers_and_keys_are_refused() {
    for (keys, parts) in [
        (
            "component = \"a\"",
            ["`route` is missing", ":8: [[trigger.http]]:"],
        ),
        (
            "route = \"/x\"",
            ["`component` is missing", ":8: [[trigger.http]]:"],
        ),
        (
            "route = \"/x\"\nstatic_response = { status = 204 }\ncomponent = \"a\"",
            [":10:", "static_response"],
        ),
        (
            "route = \"/a//b\"\ncomponent = \"a\"",
            [":9: [[trigger.http]] route: `/a//b`", "empty"],
        ),
        ("route = 5\ncomponent = \"a\"", [":9:", "not an integer"]),
        (
            "route = \"/x\"\ncomponent = \"a\"\nexecutor = { type = \"wagi\" }",
            [":11:", "Wagi is not supported"],
        ),
        (
            "route = \"/x\"\ncomponent = \"a\"\nexecutor = { type = \"x\" }",
            [":11:", "no executor `x`"],
        ),
        (
            "route = \"/x\"\ncomponent = \"a\"\nrout = \"/y\"",
            [":11: [[trigger.http]] rout:", "did you mean `route`?"],
        ),
    ] {
        assert_fault(&one(keys).unwrap_err(), &parts);
    }
    assert_fault(
        &parse("[trigger.http]\nroute = \"/\"").unwrap_err(),
        &["[[trigger.http]]"],
    );
    let redis = parse("[[trigger.redis]]\nchannel = \"c\"\ncomponent = \"a\"").unwrap_err();
    assert_fault(
        &redis,
        &[":8: [trigger] redis: triggers of type `redis` are not supported"],
    );
}
