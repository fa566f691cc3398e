//! `[component.<id>.tool.flowviz]`: documented defaults, sane ranges, nothing ignored.

use std::time::Duration;

use http::Method;

use super::{around, assert_fault, faults, function, parse_with};
use crate::manifest::limits::InstanceReuse;
use crate::manifest::{Inputs, Limits};

fn tool(rest: &str) -> String {
    format!("[component.c.tool.flowviz]\n{rest}")
}

#[test]
fn the_defaults_are_those_of_the_table() {
    let f = function("");
    let reuse = InstanceReuse {
        max_requests: 1000,
        idle_timeout: Duration::from_secs(10),
    };
    let expected = Limits {
        memory: 128 * 1024 * 1024,
        timeout: Duration::from_secs(30),
        cpu: Duration::from_secs(5),
        max_concurrency: 128,
        queue: 2048,
        max_body: 256 * 1024,
        db_quota: None,
        db_wait: Duration::from_secs(3),
        db_buffer: 128 << 20,
        instance_reuse: reuse,
    };
    assert_eq!(f.limits, expected);
    assert_eq!(f.methods, None);
    assert_eq!(function(&tool("")).limits, expected);
}

#[test]
fn every_limit_can_be_set() {
    let f = function(&tool(
        "memory_limit = 2097152\ntimeout = \"90s\"\ncpu_limit = \"20ms\"\nmax_concurrency = 1\nqueue = 0\nmax_body_size = \"1MB\"\ndb_quota = 3\ndb_wait = \"250ms\"\ndb_buffer = \"1MiB\"\ninstance_reuse = { max_requests = 5, idle_timeout = \"1m\" }\nmethods = [\"GET\", \"DELETE\"]",
    ));
    let reuse = InstanceReuse {
        max_requests: 5,
        idle_timeout: Duration::from_secs(60),
    };
    let expected = Limits {
        memory: 2 << 20,
        timeout: Duration::from_secs(90),
        cpu: Duration::from_millis(20),
        max_concurrency: 1,
        queue: 0,
        max_body: 1_000_000,
        db_quota: Some(3),
        db_wait: Duration::from_millis(250),
        db_buffer: 1 << 20,
        instance_reuse: reuse,
    };
    assert_eq!(f.limits, expected);
    assert_eq!(f.methods, Some(vec![Method::GET, Method::DELETE]));
}

#[test]
fn the_host_calls_a_function_when_it_is_told_how_often() {
    assert_eq!(function("").every, None);
    for (text, seconds) in [("1s", 1), ("15s", 15), ("24h", 86_400)] {
        let every = function(&tool(&format!("every = \"{text}\""))).every;
        assert_eq!(every, Some(Duration::from_secs(seconds)), "{text}");
    }
    // The call is a GET.
    assert!(
        function(&tool("every = \"1m\"\nmethods = [\"GET\", \"POST\"]"))
            .every
            .is_some()
    );
    assert_fault(
        &faults(&tool("methods = [\"POST\"]\nevery = \"1m\"")),
        &[
            ":11: [component.c.tool.flowviz] every: the host calls a scheduled function with GET",
            "fix: add `\"GET\"` to `methods`",
        ],
    );
}

#[test]
fn an_instance_may_serve_a_single_request() {
    assert_eq!(
        function(&tool("instance_reuse = false"))
            .limits
            .instance_reuse,
        InstanceReuse::NEVER
    );
    let partly = function(&tool("instance_reuse = { max_requests = 8 }"))
        .limits
        .instance_reuse;
    assert_eq!(
        partly,
        InstanceReuse {
            max_requests: 8,
            ..InstanceReuse::default()
        }
    );
}

#[test]
fn absurd_values_are_refused_with_their_range() {
    for (setting, range) in [
        ("memory_limit = \"512KiB\"", "from 1MiB to 4GiB"),
        ("memory_limit = \"5GiB\"", "from 1MiB to 4GiB"),
        ("timeout = \"0s\"", "from 10ms to 1h"),
        ("timeout = \"2h\"", "from 10ms to 1h"),
        ("db_quota = 0", "from 1 to 1000"),
        ("db_wait = \"2m\"", "from 1ms to 1m"),
        ("db_buffer = \"1KiB\"", "from 64KiB to 4GiB"),
        ("every = \"999ms\"", "from 1s to 24h"),
        ("every = \"25h\"", "from 1s to 24h"),
        ("cpu_limit = \"5ms\"", "from 10ms to 1h"),
        ("max_concurrency = 0", "from 1 to 10000"),
        ("queue = 1000000", "from 0 to 100000"),
        ("max_body_size = 0", "from 1B to 1GiB"),
        (
            "instance_reuse = { max_requests = 0 }",
            "from 1 to 1000000000",
        ),
        (
            "instance_reuse = { idle_timeout = \"1ms\" }",
            "from 10ms to 1h",
        ),
    ] {
        assert_fault(
            &faults(&tool(setting)),
            &[":10: [component.c.tool.flowviz", "out of range", range],
        );
    }
}

#[test]
fn what_does_not_parse_is_refused_with_an_example() {
    for (setting, part) in [
        ("memory_limit = \"128\"", "`memory_limit = \"128MiB\"`"),
        (
            "memory_limit = \"99999999999999GiB\"",
            "not a whole number and a unit",
        ),
        ("timeout = 30", "a string belongs here, not an integer"),
        ("timeout = \"30\"", "`timeout = \"30s\"`"),
        ("instance_reuse = true", "`true` says nothing"),
        ("instance_reuse = 5", "`false` or a table belongs here"),
        (
            "instance_reuse = { max_request = 5 }",
            "did you mean `max_requests`?",
        ),
        ("methods = []", "answers nothing"),
        ("methods = [\"get\"]", "`get` is no method"),
        ("methods = [\"GET\", \"GET\"]", "twice"),
        ("memmory_limit = 1", "did you mean `memory_limit`?"),
        ("evry = \"1m\"", "did you mean `every`?"),
        ("every = 15", "`every = \"15s\"`"),
    ] {
        assert_fault(
            &faults(&tool(setting)),
            &[":10: [component.c.tool.flowviz", part],
        );
    }
}

/// What an error says to write instead.
fn suggestion(shown: &str) -> &str {
    let (_, example) = shown.split_once("write for example `").unwrap();
    example.split('`').next().unwrap()
}

#[test]
fn what_is_suggested_is_accepted() {
    for setting in [
        "memory_limit = -1",
        "memory_limit = true",
        "memory_limit = \"lots\"",
        "every = 0",
        "every = 90",
        "timeout = 5",
        "timeout = 50000",
        "timeout = -5",
        "timeout = \"5\"",
        "cpu_limit = 2",
        "max_concurrency = -1",
        "max_concurrency = \"many\"",
        "queue = -1",
        "max_body_size = -1",
        "max_body_size = \"1\"",
        "instance_reuse = 5",
    ] {
        let shown = faults(&tool(setting));
        if !shown.contains("a string belongs here, not a boolean") {
            function(&tool(suggestion(&shown)));
        }
    }
    for key in ["max_requests", "idle_timeout"] {
        let shown = faults(&tool(&format!("instance_reuse = {{ {key} = -1 }}")));
        function(&tool(&format!(
            "instance_reuse = {{ {} }}",
            suggestion(&shown)
        )));
    }
    assert_eq!(
        suggestion(&faults(&tool("timeout = 5"))),
        "timeout = \"5s\""
    );
}

#[test]
fn a_cpu_limit_that_no_request_reaches_is_a_warning() {
    let app = parse_with(
        &around(&tool("timeout = \"1s\"\ncpu_limit = \"2s\"")),
        &Inputs::default(),
    )
    .unwrap();
    assert_eq!(app.warnings.len(), 1);
    assert!(
        app.warnings[0]
            .to_string()
            .starts_with("dir/spin.toml:11: [component.c.tool.flowviz] cpu_limit: "),
        "{:?}",
        app.warnings
    );
}
