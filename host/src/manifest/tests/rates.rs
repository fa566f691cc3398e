//! `rate_limits` and `identity`: rules that can be kept, and a secret that nothing shows.

use std::num::NonZeroU32;
use std::time::Duration;

use http::Method;

use super::{around, assert_fault, faults, function, parse_with};
use crate::manifest::{Inputs, Per, RateLimit};

fn rules(rules: &str) -> String {
    format!("[component.c.tool.flowviz]\nmethods = [\"GET\", \"POST\"]\nrate_limits = [{rules}]")
}

fn with_identity(identity: &str, secret: &str) -> Result<crate::manifest::App, String> {
    let rest = format!(
        "[application.tool.flowviz]\n{identity}\n[variables]\nsecret = {{ required = true, secret = true }}\n{}",
        around(&rules("{ requests = 1, window = \"1s\" }"))
    );
    let inputs = Inputs {
        variables: [("secret".into(), secret.into())].into(),
        ..Inputs::default()
    };
    parse_with(&rest, &inputs).map_err(|errors| errors.to_string())
}

#[test]
fn a_rule_says_what_it_is_for_and_who_counts_together() {
    let rule = |per, methods, requests, seconds| RateLimit {
        methods,
        per,
        requests: NonZeroU32::new(requests).unwrap(),
        window: Duration::from_secs(seconds),
    };
    let read = function(&rules(
        "{ methods = [\"GET\"], requests = 200, window = \"1m\" }, { requests = 1, window = \"24h\", per = \"address\" }, { methods = [\"POST\"], requests = 10, window = \"1s\", per = \"body.e-mail_2\" }",
    ));
    assert_eq!(
        read.rate_limits,
        [
            rule(Per::User, Some(vec![Method::GET]), 200, 60),
            rule(Per::Address, None, 1, 24 * 3600),
            rule(
                Per::Field("e-mail_2".into()),
                Some(vec![Method::POST]),
                10,
                1
            ),
        ]
    );
    assert!(function("").rate_limits.is_empty());
}

#[test]
fn a_rule_that_can_not_be_kept_is_refused_with_what_can() {
    for (rule, part) in [
        ("{ window = \"1m\" }", "`requests` is missing"),
        ("{ requests = 1 }", "add `window = \"1m\"`"),
        ("{ requests = 0, window = \"1m\" }", "from 1 to 1000000"),
        ("{ requests = 1, window = \"500ms\" }", "from 1s to 24h"),
        ("{ requests = 1, window = \"25h\" }", "from 1s to 24h"),
        ("{ requests = 1, window = \"1500ms\" }", "whole seconds"),
        ("{ requests = 1, window = 60 }", "`window = \"60s\"`"),
        (
            "{ requests = 1, window = \"1m\", per = \"users\" }",
            "did you mean `user`?",
        ),
        (
            "{ requests = 1, window = \"1m\", per = \"body.\" }",
            "`body.<field>`",
        ),
        (
            "{ requests = 1, window = \"1m\", per = \"body.a.b\" }",
            "nothing to count by",
        ),
        (
            "{ requests = 1, window = \"1m\", methods = [] }",
            "a rule for no method limits nothing",
        ),
        (
            "{ requests = 1, window = \"1m\", methods = [\"get\"] }",
            "`get` is no method",
        ),
        (
            "{ request = 1, requests = 1, window = \"1m\" }",
            "did you mean `requests`?",
        ),
        ("5", "a table belongs here"),
        (&"{ requests = 1, window = \"1m\" },".repeat(9), "at most 8"),
    ] {
        assert_fault(
            &faults(&rules(rule)),
            &[":11: [component.c.tool.flowviz", part],
        );
    }
}

#[test]
fn rules_that_do_nothing_are_warned_of() {
    let app = parse_with(
        &around(&rules(
            "{ methods = [\"HEAD\", \"PUT\"], requests = 1, window = \"1m\", per = \"address\" }, { requests = 1, window = \"1m\" }",
        )),
        &Inputs::default(),
    )
    .unwrap();
    let warnings: Vec<_> = app.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    assert!(warnings[0].contains("doesn't take `PUT`"), "{warnings:?}");
    assert!(
        warnings[1].starts_with(
            "dir/spin.toml:11: [component.c.tool.flowviz] rate_limits: no user is known"
        ),
        "{warnings:?}"
    );
}

#[test]
fn the_identitys_secret_is_filled_in_and_shown_nowhere() {
    let app = with_identity("identity = { jwt_secret = \"{{ secret }}\" }", "hunter2").unwrap();
    assert!(app.warnings.is_empty(), "{:?}", app.warnings);
    let identity = app.settings.identity.as_ref().unwrap();
    assert_eq!(identity.jwt_secret.expose(), "hunter2");
    assert!(!format!("{app:?}").contains("hunter2"));

    for (identity, secret, part) in [
        ("identity = {}", "x", "add `jwt_secret = "),
        (
            "identity = { jwt_secret = \"{{ secret }}\" }",
            "",
            "anybody could sign",
        ),
        (
            "identity = { jwt_secret = \"{{ secrets }}\" }",
            "x",
            "did you mean `secret`?",
        ),
        (
            "identity = { jwt_secret = \"{{ secret }}\", jwks = \"x\" }",
            "x",
            "unknown key",
        ),
    ] {
        let shown = with_identity(identity, secret).unwrap_err();
        assert_fault(&shown, &[":5: [application.tool.flowviz", "identity", part]);
    }
}
