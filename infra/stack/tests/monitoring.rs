//! Everything is watched: Prometheus reaches all of its targets, its rules are sound, the database's end is seen, and what fires arrives at
//! Alertmanager.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use flowviz_stack::{Error, MonitoringOptions, Options, Part, Stack, http_get};
use serde_json::Value;

async fn ask(url: &str, path: &str) -> Value {
    let address = url.strip_prefix("http://").unwrap();
    let (status, body) = http_get(address, path).await.unwrap();
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// A query's samples: the label `job` of each, and its value.
async fn query(stack: &Stack, promql: &str) -> Vec<(String, String)> {
    let prometheus = stack.prometheus_url().unwrap();
    let answer = ask(&prometheus, &format!("/api/v1/query?query={promql}")).await;
    let samples = answer["data"]["result"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut samples: Vec<_> = samples
        .map(|sample| (text(&sample["metric"]["job"]), text(&sample["value"][1])))
        .collect();
    samples.sort();
    samples
}

async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < Duration::from_secs(60), "never: {what}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[tokio::test]
async fn everything_is_watched() {
    let options = MonitoringOptions {
        shortened: Some(20),
        ..MonitoringOptions::default()
    };
    let mut stack = Stack::start(Options::temporary().with_monitoring(options))
        .await
        .unwrap();
    // Prometheus itself stands in for the host, which would tell of PgBouncer too: that job has no targets.
    let prometheus = stack.prometheus_url().unwrap();
    let address = prometheus.strip_prefix("http://").unwrap();
    stack.scrape_host(address.parse().unwrap()).unwrap();
    let jobs = [
        "alertmanager",
        "functions",
        "node",
        "postgres",
        "prometheus",
    ];
    let expected = jobs.map(|job| (job.to_owned(), "1".to_owned()));
    eventually("all targets are up", async || {
        query(&stack, "up").await == expected
    })
    .await;
    eventually("PostgreSQL is up", async || {
        query(&stack, "pg_up").await == [("postgres".to_owned(), "1".to_owned())]
    })
    .await;
    for metric in [
        "pg_stat_activity_count",
        "pg_settings_max_connections",
        "pg_stat_database_xact_commit",
        "pg_locks_count",
        "pg_database_size_bytes",
        "node_filesystem_avail_bytes",
        "node_memory_MemAvailable_bytes",
    ] {
        eventually(metric, async || !query(&stack, metric).await.is_empty()).await;
    }

    let (prometheus, alertmanager) = (
        stack.prometheus_url().unwrap(),
        stack.alertmanager_url().unwrap(),
    );
    // A rule has a health when it has been evaluated.
    eventually("all rules are evaluated", async || {
        let rules = ask(&prometheus, "/api/v1/rules").await;
        let groups = rules["data"]["groups"].as_array().unwrap();
        let rules: Vec<_> = groups
            .iter()
            .flat_map(|group| group["rules"].as_array().unwrap())
            .collect();
        assert!(rules.len() > 50, "{}", rules.len());
        for rule in &rules {
            assert_ne!(rule["health"], "err", "{rule}");
        }
        rules.iter().all(|rule| rule["health"] == "ok")
    })
    .await;

    let known = ask(&prometheus, "/api/v1/alertmanagers").await;
    let known = &known["data"]["activeAlertmanagers"][0]["url"];
    assert_eq!(*known, format!("{alertmanager}/api/v2/alerts"));
    let alerts = async || {
        let alerts = ask(&alertmanager, "/api/v2/alerts").await;
        alerts
            .as_array()
            .unwrap()
            .iter()
            .map(|alert| alert["labels"]["alertname"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    eventually("the Watchdog barks", async || {
        alerts().await.contains(&"Watchdog".to_owned())
    })
    .await;

    stack.kill(Part::Postgres);
    eventually("PostgreSQL's end is seen", async || {
        query(&stack, "pg_up").await == [("postgres".to_owned(), "0".to_owned())]
    })
    .await;
    eventually("and told", async || {
        alerts().await.contains(&"DatabaseDown".to_owned())
    })
    .await;
    stack.start_postgres().await.unwrap();
    eventually("PostgreSQL is back", async || {
        query(&stack, "pg_up").await == [("postgres".to_owned(), "1".to_owned())]
    })
    .await;
    stack.stop().await;
}

#[tokio::test]
async fn each_part_goes_and_comes_back_on_its_address() {
    let mut stack =
        Stack::start(Options::temporary().with_monitoring(MonitoringOptions::default()))
            .await
            .unwrap();
    let before = format!("{stack:?}");
    for part in [
        Part::PostgresExporter,
        Part::NodeExporter,
        Part::Alertmanager,
        Part::Prometheus,
        Part::PgBouncer,
        Part::Postgres,
    ] {
        let pid = stack.pid(part).unwrap();
        stack.stop_part(part).await;
        assert_eq!(stack.pid(part), None);
        // Returns when it answers where it answered before.
        stack.start_part(part).await.unwrap();
        assert_ne!(stack.pid(part), Some(pid));
        stack.check().unwrap();
    }

    // Who runs as what is seen by everybody on the machine.
    let password = std::fs::read_to_string(stack.dir().join("secrets/flowviz_monitor")).unwrap();
    let exporter = stack.pid(Part::PostgresExporter).unwrap();
    let arguments = std::fs::read_to_string(format!("/proc/{exporter}/cmdline")).unwrap();
    assert!(arguments.contains("--web.listen-address=127.0.0.1:"));
    assert!(!arguments.contains(password.trim()) && !before.contains(password.trim()));

    let error = stack.start_part(Part::Host).await.unwrap_err();
    assert!(
        matches!(error, Error::NotRunning { part: Part::Host }),
        "{error}"
    );
}

#[tokio::test]
async fn a_rule_of_an_older_version_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    // The children are somebody else.
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let rules = dir.path().join("prometheus/rules");
    std::fs::create_dir_all(&rules).unwrap();
    std::fs::write(rules.join("older.yml"), "groups: [{ name: older }]").unwrap();
    let options = Options {
        dir: Some(dir.path().to_owned()),
        ..Options::temporary().with_prometheus()
    };
    let stack = Stack::start(options).await.unwrap();
    let rules = ask(&stack.prometheus_url().unwrap(), "/api/v1/rules").await;
    let groups = rules["data"]["groups"].as_array().unwrap();
    let names: Vec<_> = groups.iter().map(|group| &group["name"]).collect();
    assert!(!names.is_empty());
    assert!(names.iter().all(|name| **name != "older"), "{names:?}");
}
