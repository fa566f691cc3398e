//! `cors_origins`: origins as browsers send them, or a fault that says which one is none.

use super::{assert_fault, parse_with};
use crate::manifest::{AllowedOrigins, Inputs};

fn with(origins: &str, inputs: &Inputs) -> Result<Option<AllowedOrigins>, String> {
    let rest = format!(
        "[application.tool.flowviz]\ncors_origins = {origins}\n[variables]\norigins = {{ default = \"\" }}\n[component.c]\nsource = \"c.wasm\"\n[[trigger.http]]\nroute = \"/\"\ncomponent = \"c\""
    );
    match parse_with(&rest, inputs) {
        Ok(app) => Ok(app.settings.cors_origins),
        Err(errors) => Err(errors.to_string()),
    }
}

fn read(origins: &str) -> Result<Option<AllowedOrigins>, String> {
    with(&format!("\"{origins}\""), &Inputs::default())
}

#[test]
fn an_origin_is_what_browsers_send() {
    for (text, sent) in [
        ("https://wms.example.com", "https://wms.example.com"),
        ("HTTPS://WMS.Example.com", "https://wms.example.com"),
        ("http://localhost:5173", "http://localhost:5173"),
        ("http://127.0.0.1:3000", "http://127.0.0.1:3000"),
        ("http://[0:0::1]:3000", "http://[::1]:3000"),
        ("https://[::1]", "https://[::1]"),
        ("capacitor://localhost", "capacitor://localhost"),
        ("https://a.example:80", "https://a.example:80"),
    ] {
        let origins = read(text).unwrap().unwrap();
        assert!(origins.allow(sent.as_bytes()), "{text}: {origins:?}");
        for other in [
            "https://example.com",
            "null",
            "",
            "https://wms.example.com.evil.example",
        ] {
            assert!(!origins.allow(other.as_bytes()), "{text}: {other}");
        }
    }
    let two = read("https://a.example , https://b.example:8443").unwrap();
    let expected = ["https://a.example", "https://b.example:8443"].map(str::to_owned);
    assert_eq!(two, Some(AllowedOrigins::These(expected.into())));
    assert!(read(" * ").unwrap().unwrap().allow(b"https://any.example"));
}

#[test]
fn empty_is_none() {
    for none in ["", "  ", "{{ origins }}"] {
        assert_eq!(read(none), Ok(None), "{none}");
    }
}

#[test]
fn what_is_no_origin_is_a_fault_that_says_why() {
    for (origins, reason) in [
        ("https://a.example,", "number 2 is no origin: it is empty"),
        (
            "*, https://a.example",
            "number 1 is no origin: `*` is every origin",
        ),
        ("null", "`null`"),
        ("wms.example.com", "number 1 is no origin: it has no scheme"),
        ("ht tp://a.example", "its scheme"),
        ("https://me@a.example", "a user name"),
        ("https://a.example/", "it has a path"),
        ("https://a.example/app", "it has a path"),
        ("https://*.example.com", "`*` in an origin"),
        ("https://", "its host"),
        ("https://a..example", "its host"),
        ("https://10.0.0.999", "its host"),
        ("https://[::1", "its host"),
        ("https://t\u{f6}nder.example", "its host"),
        ("https://a.example:0", "its port is not a number"),
        ("https://a.example:99999", "its port is not a number"),
        ("https://a.example:443", "its scheme's usual one"),
        ("http://a.example:80", "its scheme's usual one"),
    ] {
        assert_fault(
            &read(origins).unwrap_err(),
            &[
                "dir/spin.toml:5: [application.tool.flowviz] cors_origins: ",
                reason,
                "fix: write `scheme://host:port`",
            ],
        );
    }
    assert_fault(
        &with("[\"https://a.example\"]", &Inputs::default()).unwrap_err(),
        &["a string belongs here, not an array"],
    );
}

#[test]
fn a_variables_value_is_not_shown() {
    let given = [("origins".to_owned(), "https://a.example, hunter2".into())];
    let inputs = Inputs {
        variables: given.into(),
        ..Inputs::default()
    };
    let shown = with("\"{{ origins }}\"", &inputs).unwrap_err();
    assert_fault(
        &shown,
        &["`{{ origins }}`: number 2 is no origin: it has no scheme"],
    );
    assert!(!shown.contains("hunter2"), "{shown}");
}
