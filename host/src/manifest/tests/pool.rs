//! `[application.tool.flowviz.pool]`: documented defaults, sane ranges, nothing ignored.

use std::time::Duration;

use super::{assert_fault, parse_with};
use crate::database::StatementMode;
use crate::manifest::{Inputs, PoolSettings};

fn read(settings: &str) -> Result<PoolSettings, String> {
    let rest = format!(
        "[application.tool.flowviz.pool]\n{settings}\n[component.c]\nsource = \"c.wasm\"\n[[trigger.http]]\nroute = \"/\"\ncomponent = \"c\""
    );
    match parse_with(&rest, &Inputs::default()) {
        Ok(app) => Ok(app.settings.pool),
        Err(errors) => Err(errors.to_string()),
    }
}

#[test]
fn the_defaults_are_those_of_the_table_and_each_can_be_set() {
    let expected = PoolSettings {
        size: 25,
        min_idle: 2,
        idle_timeout: Duration::from_secs(600),
        max_lifetime: Duration::from_secs(1800),
        connect_timeout: Duration::from_secs(3),
        statements: StatementMode::Auto,
    };
    assert_eq!(read(""), Ok(expected.clone()));
    assert_eq!(expected.default_quota(), 20);
    let set = "size = 1\nmin_idle = 1\nidle_timeout = \"1m\"\nmax_lifetime = \"1h\"\nconnect_timeout = \"500ms\"\nstatements = \"unnamed\"";
    let expected = PoolSettings {
        size: 1,
        min_idle: 1,
        idle_timeout: Duration::from_secs(60),
        max_lifetime: Duration::from_secs(3600),
        connect_timeout: Duration::from_millis(500),
        statements: StatementMode::Unnamed,
    };
    assert_eq!(expected.default_quota(), 1);
    assert_eq!(read(set), Ok(expected));
}

#[test]
fn absurd_values_are_refused_with_their_range() {
    for (setting, range) in [
        ("size = 0", "from 1 to 1000"),
        ("size = 5\nmin_idle = 6", "from 0 to 5"),
        ("idle_timeout = \"10ms\"", "from 1s to 24h"),
        ("max_lifetime = \"25h\"", "from 1s to 24h"),
        ("connect_timeout = \"2m\"", "from 10ms to 1m"),
        (
            "statements = \"cached\"",
            "write `auto`, `unnamed` or `named`",
        ),
        ("max_size = 5", "unknown key"),
    ] {
        assert_fault(&read(setting).unwrap_err(), &[range]);
    }
}
