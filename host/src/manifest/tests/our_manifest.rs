//! The repository's own `spin.toml` reads as we mean it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::manifest::{App, Inputs, MetricKind, Router, Secret, load, load_builds};

fn path() -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../spin.toml")).to_owned()
}

fn inputs() -> Inputs {
    let variables = [
        (
            "database_url",
            "postgres://flowviz_app:hunter2@127.0.0.1:6432/flowviz",
        ),
        ("jwt_secret", "0123456789abcdef0123456789abcdef"),
    ];
    Inputs {
        variables: variables
            .map(|(name, value)| (name.into(), value.into()))
            .into(),
        ..Inputs::default()
    }
}

fn app() -> App {
    load(&path(), &inputs()).unwrap_or_else(|errors| panic!("{errors}"))
}

/// Whoever runs it without a pooler of ours leaves the variable out.
#[test]
fn the_poolers_console_is_asked_only_if_it_is_named() {
    assert_eq!(app().settings.pgbouncer, None);
    let console = "postgres://flowviz_stats:hunter2@127.0.0.1:6432/pgbouncer";
    let mut inputs = inputs();
    inputs
        .variables
        .insert("pgbouncer_stats_url".into(), console.into());
    let app = load(&path(), &inputs).unwrap_or_else(|errors| panic!("{errors}"));
    assert_eq!(app.settings.pgbouncer, Some(Secret::from(console)));
}

#[test]
fn its_functions_have_their_limits() {
    let app = app();
    assert_eq!(app.name, "flowviz");
    assert!(app.warnings.is_empty(), "{:?}", app.warnings);
    let login = app
        .functions
        .iter()
        .find(|f| f.id.as_ref() == "login")
        .unwrap();
    assert_eq!(login.limits.timeout, Duration::from_secs(10));
    assert_eq!(login.limits.cpu, Duration::from_secs(3));
    assert_eq!(login.limits.max_concurrency, 8);
    assert_eq!(login.limits.memory, 128 << 20);
    assert_eq!(login.methods, Some(vec![http::Method::POST]));
    assert_eq!(login.variables["jwt_secret"].expose().len(), 32);
    assert!(
        login
            .source
            .ends_with("target/wasm32-wasip2/component/login.wasm")
    );
}

#[test]
fn its_functions_reach_the_pooler_and_nothing_else() {
    for function in app().functions {
        // Some need no database at all.
        assert_eq!(
            function.allowed_hosts.allows("postgres", "127.0.0.1", 6432),
            function.variables.contains_key("database_url"),
            "{}",
            function.id
        );
        assert!(
            !function.allowed_hosts.allows("postgres", "127.0.0.1", 5432),
            "{}",
            function.id
        );
        assert!(
            !function.allowed_hosts.allows("https", "example.com", 443),
            "{}",
            function.id
        );
    }
}

#[test]
fn its_metrics_are_declared() {
    let app = app();
    let all: Vec<_> = app.functions.iter().flat_map(|f| &f.metrics).collect();
    assert!(
        all.iter()
            .any(|m| m.name == "flowviz_qc_decisions_total" && m.labels.len() == 2)
    );
    let kind = all
        .iter()
        .find(|m| m.name == "flowviz_traceability_query_duration_seconds")
        .map(|m| &m.kind);
    assert_eq!(
        kind,
        Some(&MetricKind::Histogram {
            buckets: vec![0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]
        })
    );
}

#[test]
fn its_routes_lead_to_its_functions() {
    let app = app();
    let router = Router::new(&app.routes).unwrap();
    for (path, function, template) in [
        ("/api/health", "health", "/api/health"),
        ("/api/lots", "lots", "/api/lots"),
        ("/api/lots/L-1", "lot", "/api/lots/:id"),
        (
            "/api/traceability/L-1",
            "traceability",
            "/api/traceability/:lot_code",
        ),
    ] {
        let found = router.find(path).unwrap();
        assert_eq!(
            (found.function.as_ref(), found.template),
            (function, template)
        );
    }
    assert_eq!(router.find("/api/nothing"), None);
}

#[test]
fn its_secrets_are_shown_nowhere() {
    let app = app();
    assert_eq!(
        app.settings.database.as_ref().map(Secret::expose),
        Some("postgres://flowviz_app:hunter2@127.0.0.1:6432/flowviz")
    );
    let shown = format!("{app:?}");
    assert!(
        !shown.contains("hunter2") && !shown.contains("0123456789abcdef"),
        "{shown}"
    );
}

#[test]
fn it_builds_before_anything_has_a_value() {
    let path = path();
    let builds = load_builds(&path).unwrap();
    assert_eq!(builds.len(), app().functions.len());
    assert!(
        builds
            .iter()
            .all(|build| build.commands.len() == 1 && build.workdir == path.parent().unwrap())
    );
}

#[test]
fn without_values_it_names_both_ways_to_give_each() {
    let errors = load(&path(), &Inputs::default()).unwrap_err();
    let shown = errors.to_string();
    assert_eq!(errors.findings().len(), 2, "{shown}");
    for way in [
        "--variable database_url=",
        "SPIN_VARIABLE_DATABASE_URL",
        "--variable jwt_secret=",
        "SPIN_VARIABLE_JWT_SECRET",
    ] {
        assert!(shown.contains(way), "{way}: {shown}");
    }
}
