//! What `infra/compose.yaml` says is what the files say that it mounts: paths, names of services, ports, users.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use flowviz_observability::compose::{self, Compose};
use flowviz_observability::read;
use serde_json::Value;

fn yaml(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{path:?}: {error}"))
}

/// The values under keys of this name, however deep.
fn under<'a>(value: &'a Value, wanted: &dyn Fn(&str) -> bool, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                if wanted(key) {
                    found.push(value);
                }
                under(value, wanted, found);
            }
        }
        Value::Array(list) => list.iter().for_each(|value| under(value, wanted, found)),
        _ => {}
    }
}

fn texts(value: &Value, wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    under(value, &wanted, &mut found);
    let each = |value: &Value| match value {
        Value::Array(list) => list.clone(),
        one => vec![one.clone()],
    };
    let flat = found.into_iter().flat_map(each);
    flat.filter_map(|value| value.as_str().map(str::to_owned))
        .collect()
}

/// A line `key = value` of an ini file.
fn setting(text: &str, wanted: &str) -> String {
    let mut lines = text.lines().filter_map(|line| line.split_once('='));
    let (_, value) = lines
        .find(|(key, _)| key.trim() == wanted)
        .unwrap_or_else(|| panic!("no {wanted}"));
    value.trim().to_owned()
}

/// `host:port` and the user of `postgres://user:password@host:port/database`, and the database.
fn parts(url: &str) -> (String, String, String) {
    let rest = url.trim().strip_prefix("postgres://").unwrap();
    let (login, rest) = rest.split_once('@').unwrap();
    let (address, database) = rest.split_once('/').unwrap();
    let user = login.split(':').next().unwrap();
    (address.to_owned(), user.to_owned(), database.to_owned())
}

#[test]
fn every_file_that_is_mounted_is_there() {
    for (name, service) in &Compose::load().unwrap().services {
        for mount in service.mounts() {
            let there = mount.source.exists();
            assert!(there, "{name} mounts {:?}", mount.source);
        }
    }
}

#[test]
fn prometheus_finds_its_targets_and_rules() {
    let compose = Compose::load().unwrap();
    let prometheus = compose.service("prometheus");
    let dir = Path::new("/etc/prometheus");
    let started_with = "--config.file=/etc/prometheus/prometheus.yml";
    assert!(prometheus.command.iter().any(|word| word == started_with));
    let file = prometheus.behind(dir.join("prometheus.yml")).unwrap();
    let configuration = yaml(&file);

    let mut read_by_it = BTreeSet::new();
    for files in texts(&configuration, |key| key == "files") {
        let path = prometheus
            .behind(dir.join(&files))
            .unwrap_or_else(|| panic!("{files} is not mounted"));
        for group in yaml(&path).as_array().unwrap() {
            for target in group["targets"].as_array().unwrap() {
                compose.assert_reaches("prometheus", target.as_str().unwrap());
            }
        }
        read_by_it.insert(path.file_name().unwrap().to_owned());
    }
    let written = prometheus.behind(dir.join("targets")).unwrap();
    let written = written.read_dir().unwrap();
    let written: BTreeSet<_> = written.map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(written, read_by_it, "target files and who reads them");

    let rules = texts(&configuration, |key| key == "rule_files");
    assert!(!rules.is_empty());
    for pattern in rules {
        let behind = prometheus.behind(dir.join(&pattern).parent().unwrap());
        let found = behind.unwrap_or_else(|| panic!("{pattern} is not mounted"));
        assert!(found.read_dir().unwrap().count() > 0, "{pattern}");
    }
}

#[test]
fn alertmanager_finds_its_templates_and_secrets() {
    let compose = Compose::load().unwrap();
    let alertmanager = compose.service("alertmanager");
    let dir = Path::new("/etc/alertmanager");
    let file = alertmanager.behind(dir.join("alertmanager.yml")).unwrap();
    let configuration = yaml(&file);
    for pattern in texts(&configuration, |key| key == "templates") {
        let behind = alertmanager.behind(dir.join(&pattern).parent().unwrap());
        assert!(behind.is_some_and(|dir| dir.exists()), "{pattern}");
    }
    let given: Vec<PathBuf> = alertmanager
        .secret_paths()
        .into_values()
        .map(PathBuf::from)
        .collect();
    for path in texts(&configuration, |key| key.ends_with("_file")) {
        assert!(given.contains(&dir.join(&path)), "{path} is not mounted");
    }
}

#[test]
fn grafana_finds_its_dashboards_and_prometheus() {
    let compose = Compose::load().unwrap();
    let grafana = compose.service("grafana");
    let provisioning = grafana.behind("/etc/grafana/provisioning").unwrap();
    let in_dir = |name: &str| {
        let dir = provisioning.join(name);
        let entries = dir
            .read_dir()
            .unwrap_or_else(|error| panic!("{dir:?}: {error}"));
        entries
            .map(|entry| yaml(&entry.unwrap().path()))
            .collect::<Vec<_>>()
    };
    for provider in in_dir("dashboards") {
        for path in texts(&provider, |key| key == "path") {
            let dir = grafana
                .behind(&path)
                .unwrap_or_else(|| panic!("{path} is not mounted"));
            assert!(dir.read_dir().unwrap().count() > 0, "{path}");
        }
    }
    for datasource in in_dir("datasources") {
        for url in texts(&datasource, |key| key == "url") {
            let url = match url.strip_prefix('$') {
                Some(variable) => grafana.environment[variable].clone().unwrap(),
                None => url,
            };
            compose.assert_reaches("grafana", url.strip_prefix("http://").unwrap());
        }
    }
}

#[test]
fn pgbouncer_finds_its_files_and_postgresql() {
    let compose = Compose::load().unwrap();
    let pgbouncer = compose.service("pgbouncer");
    // Relative paths are seen from where it's started.
    let dockerfile = read("infra/pgbouncer/Dockerfile").unwrap();
    let dir = dockerfile.rsplit_once("\nWORKDIR ").unwrap().1;
    let dir = Path::new(dir.lines().next().unwrap());

    let ini = pgbouncer.behind(dir.join("pgbouncer.ini")).unwrap();
    let ini = std::fs::read_to_string(ini).unwrap();
    let included = ini.lines().find_map(|line| line.strip_prefix("%include "));
    let addresses = pgbouncer.behind(dir.join(included.unwrap())).unwrap();
    let addresses = std::fs::read_to_string(addresses).unwrap();
    let users = dir.join(setting(&ini, "auth_file"));
    let given = &pgbouncer.secret_paths()["pgbouncer_userlist"];
    assert_eq!(Path::new(given), users);

    let port = setting(&addresses, "listen_port");
    assert_eq!(pgbouncer.container_ports().collect::<Vec<_>>(), [&*port]);
    let database = setting(&addresses, "flowviz");
    let word = |name: &str| {
        let mut words = database.split(' ').filter_map(|word| word.split_once('='));
        words.find(|(key, _)| *key == name).unwrap().1.to_owned()
    };
    assert_eq!(word("dbname"), "flowviz");
    compose.assert_reaches("pgbouncer", &format!("{}:{}", word("host"), word("port")));

    let number = |name| setting(&ini, name).parse::<u32>().unwrap();
    // Two pools: the functions' and the console's.
    let needed = number("max_client_conn")
        + 2 * (number("default_pool_size") + number("reserve_pool_size"))
        + 100;
    let nofile = pgbouncer.ulimits["nofile"];
    assert!(nofile >= needed, "{nofile} descriptors of {needed}");
}

#[test]
fn addresses_lead_to_the_pooler_and_migrations_past_it() {
    let compose = Compose::load().unwrap();
    let dir = tempfile::tempdir().unwrap();
    compose::make_secrets(dir.path()).unwrap();
    let url = |name: &str| parts(&std::fs::read_to_string(dir.path().join(name)).unwrap());
    let flowviz = compose.service("flowviz");
    let allowed = flowviz.environment["SPIN_VARIABLE_DATABASE_HOST"].clone();
    let roles = read("infra/compose/roles.sql").unwrap();
    let ini = read("infra/pgbouncer/pgbouncer.ini").unwrap();

    let (address, user, database) = url("database_url");
    assert_eq!(allowed, Some(address.clone()));
    assert!(address.starts_with("pgbouncer:"), "{address}");
    compose.assert_reaches("flowviz", &address);
    assert_eq!((&*user, &*database), ("flowviz_app", "flowviz"));

    let (console, user, database) = url("pgbouncer_stats_url");
    assert_eq!((console, &*database), (address, "pgbouncer"));
    assert_eq!(setting(&ini, "stats_users"), user);

    let (direct, owner, _) = url("migrate_url");
    compose.assert_reaches("migrate", &direct);
    assert!(direct.starts_with("postgres:"), "{direct}");
    assert!(roles.contains(&format!("DATABASE flowviz OWNER {owner}")));

    let exporter = compose.service("postgres-exporter");
    let said = |name: &str| exporter.environment[name].clone().unwrap();
    let uri = said("DATA_SOURCE_URI");
    compose.assert_reaches("postgres-exporter", uri.split('/').next().unwrap());
    let monitor = said("DATA_SOURCE_USER");
    assert!(roles.contains(&format!("GRANT pg_monitor TO {monitor};")));
}

/// What `spin.toml` asks for is given, and nothing that it doesn't know.
#[test]
fn the_hosts_variables_are_the_manifests() {
    let manifest: toml::Table = read("spin.toml").unwrap().parse().unwrap();
    let declared = manifest["variables"].as_table().unwrap();
    let compose = Compose::load().unwrap();
    let flowviz = compose.service("flowviz");
    let named = flowviz
        .command
        .iter()
        .filter_map(|word| Some(word.split_once("=@")?.0.to_owned()));
    let environment = flowviz
        .environment
        .keys()
        .filter_map(|name| Some(name.strip_prefix("SPIN_VARIABLE_")?.to_lowercase()));
    let given: BTreeSet<_> = named.chain(environment).collect();
    let declared: BTreeSet<_> = declared.keys().cloned().collect();
    assert_eq!(given, declared);
}
