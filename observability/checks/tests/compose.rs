//! `infra/compose.yaml` starts with its secrets and not without, shows nothing beyond the machine, and gives nobody more than it needs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use flowviz_observability::compose::{self, Compose, SECRETS, Service};
use flowviz_observability::{read, run};

fn config(secrets: &str) -> anyhow::Result<String> {
    let secrets = format!("FLOWVIZ_SECRETS={secrets}");
    run(
        "env",
        &[&secrets, "docker-compose", "-f", compose::FILE, "config"],
    )
}

#[test]
fn compose_reads_it_with_secrets_and_refuses_without() {
    let dir = tempfile::tempdir().unwrap();
    compose::make_secrets(dir.path()).unwrap();
    config(dir.path().to_str().unwrap()).unwrap();

    let refusal = format!("{:#}", config("").unwrap_err());
    assert!(
        refusal.contains("run infra/compose/secrets.sh first"),
        "{refusal}"
    );
}

#[test]
fn every_secret_is_made_and_what_is_there_stays() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("secrets");
    let make = || compose::make_secrets(&dir);
    let text = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;

    make().unwrap();
    // Files that every container's user can read, where nobody else gets to.
    assert_eq!(mode(&dir), 0o700);
    for (name, source) in &Compose::load().unwrap().secrets {
        assert_eq!(source["file"], format!("FLOWVIZ_SECRETS/{name}"));
        let optional = ["slack_url", "smtp_password"].contains(&name.as_str());
        assert_eq!(text(name).trim().is_empty(), optional, "{name}");
        assert_eq!(mode(&dir.join(name)), 0o644, "{name}");
    }
    let (token, app) = (text("admin_token"), text("flowviz_app_password"));
    assert_eq!(app.trim().len(), 64);
    assert_ne!(token, app);

    let choose = |password| fs::write(dir.join("flowviz_app_password"), password).unwrap();
    fs::write(dir.join("slack_url"), "https://hooks.example/1").unwrap();
    choose("chosen-by-hand\n");
    make().unwrap();
    assert_eq!(text("admin_token"), token);
    assert_eq!(text("slack_url"), "https://hooks.example/1");
    for name in ["database_url", "pgbouncer_userlist"] {
        assert!(text(name).contains("chosen-by-hand"), "{name}");
        assert!(!text(name).contains(app.trim()), "{name}");
    }
    choose("p@ss/word\n");
    let refusal = format!("{:#}", make().unwrap_err());
    assert!(refusal.contains("flowviz_app_password: only"), "{refusal}");
}

#[test]
fn every_image_says_its_version() {
    for (name, service) in &Compose::load().unwrap().services {
        assert!(is_pinned(&service.image), "{name}: {}", service.image);
        let Some(dockerfile) = service.dockerfile() else {
            continue;
        };
        let text = read(&dockerfile).unwrap();
        for line in text.lines().filter(|line| line.starts_with("FROM ")) {
            let base = line.split_whitespace().nth(1).unwrap();
            assert!(is_pinned(base), "{dockerfile}: {line}");
        }
    }
    assert!(!is_pinned("debian") && !is_pinned("debian:latest") && !is_pinned("postgres:15"));
}

/// A version of two parts at least, or a date, as Debian's images have.
fn is_pinned(image: &str) -> bool {
    let (_, tag) = image.split_once(':').unwrap_or((image, ""));
    let numbers = tag.split(['.', '-']).filter(|part| {
        let digits = part.trim_start_matches('v');
        digits.parse::<u32>().is_ok()
    });
    numbers.clone().count() >= 2 || numbers.clone().any(|part| part.len() == 8)
}

#[test]
fn nothing_is_published_beyond_loopback() {
    let compose = Compose::load().unwrap();
    let mut published = 0;
    for (name, service) in &compose.services {
        assert_eq!(service.network_mode, None, "{name}");
        for port in &service.ports {
            assert!(port.starts_with("127.0.0.1:"), "{name}: {port}");
            published += 1;
        }
        for network in &service.networks {
            assert!(compose.networks.contains_key(network), "{name}: {network}");
        }
    }
    assert!(published > 0);
}

/// Its network has no way out, and only those are in it who speak to it.
#[test]
fn postgresql_is_reached_by_those_who_need_it() {
    let compose = Compose::load().unwrap();
    assert_eq!(compose.networks["database"]["internal"], true);
    assert_eq!(compose.service("postgres").networks, ["database"]);
    let in_it = |service: &Service| service.networks.iter().any(|name| name == "database");
    let services = compose.services.iter();
    let names: Vec<_> = services
        .filter(|(_, service)| in_it(service))
        .map(|(name, _)| name.as_str())
        .collect();
    let expected = [
        "migrate",
        "pgbouncer",
        "postgres",
        "postgres-exporter",
        "roles",
    ];
    assert_eq!(names, expected);
}

#[test]
fn secrets_are_files_and_nobody_is_given_more_than_they_read() {
    for (name, service) in &Compose::load().unwrap().services {
        let mounted = service.mounts().into_iter().map(|mount| mount.source);
        let mounted: String = mounted.flat_map(fs::read_to_string).collect();
        let said = service.said();
        let paths = service.secret_paths();
        for path in paths.values() {
            // A path of its own is a program's way to name a file: PgBouncer's list.
            let own = Path::new(path).file_name().unwrap().to_str().unwrap();
            let read = said.contains(path)
                || mounted.contains(path)
                || (!path.starts_with(SECRETS) && mounted.contains(own));
            assert!(read, "{name} is given {path}, and doesn't read it");
        }
        for rest in (said.clone() + &mounted).split(SECRETS).skip(1) {
            let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
            let path = format!("{SECRETS}{}", &rest[..end.unwrap_or(rest.len())]);
            let given = paths.values().any(|given| *given == path);
            assert!(given, "{name} reads {path}, and isn't given it");
        }
        for (variable, value) in &service.environment {
            let is_secret = ["PASS", "SECRET", "TOKEN", "KEY", "DATABASE_URL"]
                .iter()
                .any(|word| variable.contains(word));
            // Without a value it's the shell's.
            let Some(value) = value.as_ref().filter(|_| is_secret) else {
                continue;
            };
            let is_file = variable.ends_with("_FILE") && value.starts_with('/');
            assert!(is_file, "{name}: {variable} is a secret in the environment");
        }
        for address in said.split("://").skip(1) {
            let authority = address.split(['/', '\n']).next().unwrap();
            assert!(!authority.contains('@'), "{name}: a login in {authority}");
        }
    }
}

#[test]
fn every_service_is_confined_and_the_lasting_ones_are_watched() {
    let compose = Compose::load().unwrap();
    for (name, service) in &compose.services {
        assert!(service.read_only, "{name}");
        assert_eq!(service.cap_drop, ["ALL"], "{name}");
        assert_eq!(service.security_opt, ["no-new-privileges:true"], "{name}");
        let limits = &service.deploy["resources"]["limits"];
        let limited = limits["cpus"].is_string() && limits["memory"].is_string();
        assert!(limited, "{name} has no limits");

        let by_image = service
            .dockerfile()
            .is_some_and(|file| read(&file).unwrap().contains("\nHEALTHCHECK "));
        let watched = !service.healthcheck.test.is_empty() || by_image;
        if service.is_job() {
            assert!(!watched || service.healthcheck.disable, "{name} ends");
        } else {
            assert_eq!(service.restart, "unless-stopped", "{name}");
            assert!(watched, "{name} has no health check");
        }
        for (other, condition) in &service.depends_on {
            let expected = if compose.service(other).is_job() {
                "service_completed_successfully"
            } else {
                "service_healthy"
            };
            assert_eq!(condition["condition"], expected, "{name} waits for {other}");
        }
    }
}

/// What is meant to be so stands in infra/.compose-lint.yml, with the reason.
#[test]
fn the_linters_find_nothing() {
    let dockerfiles = ["infra/Dockerfile", "infra/pgbouncer/Dockerfile"];
    let hadolint = [&["--failure-threshold=info"], &dockerfiles[..]].concat();
    run("target/tools/compose/bin/hadolint", &hadolint).unwrap();
    let arguments = [
        "check",
        "--config=infra/.compose-lint.yml",
        "--strict-config",
        "--no-env",
        "--fail-on=low",
        compose::FILE,
    ];
    run("target/tools/compose/bin/compose-lint", &arguments).unwrap();
}
