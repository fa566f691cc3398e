//! A function connects where its manifest says, and nowhere else.

use super::{around, assert_fault, faults, function, parse_with};
use crate::manifest::{AllowedHosts, Inputs};

fn hosts(entry: &str) -> AllowedHosts {
    function(&format!("allowed_outbound_hosts = [\"{entry}\"]")).allowed_hosts
}

#[test]
fn nothing_is_allowed_by_default() {
    let hosts = function("").allowed_hosts;
    assert_eq!(hosts, AllowedHosts::default());
    assert!(!hosts.allows("https", "example.com", 443));
}

#[test]
fn entries_allow_what_they_say() {
    // entry, then what it allows, then what it doesn't
    type Target = (&'static str, &'static str, u16);
    let cases: [(&str, &[Target], &[Target]); 16] = [
        (
            "https://example.com",
            &[("https", "example.com", 443), ("HTTPS", "Example.COM", 443)],
            &[
                ("https", "example.com", 8443),
                ("http", "example.com", 443),
                ("https", "a.example.com", 443),
            ],
        ),
        (
            "https://Example.com/",
            &[("https", "example.com", 443)],
            &[],
        ),
        (
            "http://example.com",
            &[("http", "example.com", 80)],
            &[("http", "example.com", 443)],
        ),
        (
            "postgres://db",
            &[("postgres", "db", 5432)],
            &[("postgres", "db", 6432), ("mysql", "db", 5432)],
        ),
        ("redis://cache", &[("redis", "cache", 6379)], &[]),
        (
            "mysql://db:3307",
            &[("mysql", "db", 3307)],
            &[("mysql", "db", 3306)],
        ),
        (
            "https://*.example.com",
            &[
                ("https", "a.example.com", 443),
                ("https", "a.b.Example.com", 443),
            ],
            &[
                ("https", "example.com", 443),
                ("https", ".example.com", 443),
                ("https", "badexample.com", 443),
                ("https", "example.com.evil.org", 443),
            ],
        ),
        (
            "https://*",
            &[("https", "anything", 443), ("https", "10.0.0.1", 443)],
            &[("https", "anything", 444)],
        ),
        (
            "*://localhost:*",
            &[("postgres", "localhost", 1), ("https", "localhost", 65535)],
            &[("https", "127.0.0.1", 1)],
        ),
        ("*://*:*", &[("x", "y", 1), ("https", "::1", 1)], &[]),
        (
            "http://127.0.0.1:8000..8002",
            &[("http", "127.0.0.1", 8000), ("http", "127.0.0.1", 8001)],
            &[("http", "127.0.0.1", 8002), ("http", "127.0.0.1", 7999)],
        ),
        (
            "postgres://10.0.0.0/8:6432",
            &[("postgres", "10.200.3.4", 6432)],
            &[
                ("postgres", "11.0.0.1", 6432),
                ("postgres", "10.1.1.1", 5432),
                ("postgres", "ten", 6432),
                ("postgres", "::ffff:10.0.0.1", 6432),
            ],
        ),
        (
            "postgres://0.0.0.0/0",
            &[("postgres", "8.8.8.8", 5432)],
            &[("postgres", "::1", 5432)],
        ),
        (
            "http://[::1]:80",
            &[
                ("http", "::1", 80),
                ("http", "[::1]", 80),
                ("http", "0:0::1", 80),
            ],
            &[("http", "::2", 80)],
        ),
        (
            "http://[::1]",
            &[("http", "::1", 80)],
            &[("http", "::1", 81)],
        ),
        (
            "http://fd00::/8",
            &[("http", "fd12::1", 80)],
            &[("http", "fe80::1", 80)],
        ),
    ];
    for (entry, allowed, denied) in cases {
        let hosts = hosts(entry);
        for (scheme, host, port) in allowed {
            assert!(
                hosts.allows(scheme, host, *port),
                "{entry} should allow {scheme}://{host}:{port}"
            );
        }
        for (scheme, host, port) in denied {
            assert!(
                !hosts.allows(scheme, host, *port),
                "{entry} should deny {scheme}://{host}:{port}"
            );
        }
    }
}

#[test]
fn entries_that_say_nothing_are_faults() {
    for (entry, reason) in [
        ("", "no scheme"),
        ("*", "no scheme"),
        ("example.com", "no scheme"),
        ("insecure:allow-all", "no scheme"),
        ("ht-tp://x:1", "scheme is not"),
        ("://x:1", "scheme is not"),
        ("gopher://x", "names no port"),
        ("*://x", "names no port"),
        ("https://x:0", "port is not"),
        ("https://x:65536", "port is not"),
        ("https://x:9..9", "port is not"),
        ("https://x:9..8", "port is not"),
        ("https://x:{80,443}", "lists in braces"),
        ("{http,https}://x", "lists in braces"),
        ("https://{a,b}", "lists in braces"),
        ("https://x/path", "path"),
        ("https://x:80/path", "path"),
        ("https://user:pw@x:80", "user name or password"),
        ("https://a.*.com", "host is not"),
        ("https://*a.com", "host is not"),
        ("https://a..b", "host is not"),
        ("https://", "host is not"),
        ("https://10.0.0.999", "host is not"),
        ("https://ä.example", "host is not"),
        ("http://self", "not supported yet"),
        ("http://*.spin.internal", "not supported yet"),
        ("http://other.spin.internal", "not supported yet"),
    ] {
        assert_fault(
            &faults(&format!("allowed_outbound_hosts = [\"{entry}\"]")),
            &[
                ":9: [component.c] allowed_outbound_hosts: ",
                &format!("`{entry}`"),
                reason,
            ],
        );
    }
}

#[test]
fn a_template_is_filled_in_and_its_value_never_shown() {
    let rest = around(
        "allowed_outbound_hosts = [\"postgres://{{ host }}\", \"{{ other }}\"]\n[variables]\nhost = { required = true }\nother = { default = \"\" }",
    );
    let with = |value: &str| {
        let variables = [("host".to_owned(), value.into())].into();
        parse_with(
            &rest,
            &Inputs {
                variables,
                ..Inputs::default()
            },
        )
    };
    assert!(
        with("db:6432").unwrap().functions[0]
            .allowed_hosts
            .allows("postgres", "db", 6432)
    );
    let shown = with("app:hunter2@db:6432").unwrap_err().to_string();
    assert_fault(
        &shown,
        &["`postgres://{{ host }}`", "user name or password"],
    );
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn an_entry_that_comes_out_empty_allows_nothing() {
    let rest = around(
        "allowed_outbound_hosts = [\"{{ a }}\", \"https://{{ a }}\"]\n[variables]\na = { default = \"\" }",
    );
    let app = parse_with(&rest, &Inputs::default()).unwrap();
    assert_eq!(app.functions[0].allowed_hosts, AllowedHosts::default());
}
