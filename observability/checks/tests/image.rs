//! `infra/Dockerfile` finds what it copies, builds every function that `spin.toml` names, and puts each where it is looked for.

use flowviz_observability::compose::Compose;
use flowviz_observability::{read, root};
use toml::{Table, Value};

const DOCKERFILE: &str = "infra/Dockerfile";

fn table(path: &str) -> Table {
    read(path).unwrap().parse().unwrap()
}

/// Its instructions, one a line.
fn instructions() -> Vec<String> {
    let text = read(DOCKERFILE).unwrap().replace("\\\n", " ");
    text.lines().map(str::to_owned).collect()
}

/// Whether `.dockerignore`, which lets in nothing but what it names, lets this in.
fn in_context(path: &str) -> bool {
    let text = read(".dockerignore").unwrap();
    let rules: Vec<_> = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .collect();
    assert_eq!(rules[0], "*");
    rules[1..].iter().any(|rule| {
        let allowed = rule.strip_prefix('!').expect("after the first, all let in");
        path == allowed || path.starts_with(&format!("{allowed}/"))
    })
}

#[test]
fn what_is_copied_is_there_and_let_in() {
    let mut copied = 0;
    for line in instructions() {
        let Some(arguments) = line.strip_prefix("COPY ") else {
            continue;
        };
        let words: Vec<_> = arguments.split_whitespace().collect();
        let (_, sources) = words.split_last().unwrap();
        if sources[0].starts_with("--from=") || sources == ["."] {
            continue;
        }
        for source in sources {
            assert!(root().join(source).exists(), "{line}");
            assert!(in_context(source), "{line}: .dockerignore keeps it out");
            copied += 1;
        }
    }
    assert!(copied >= 2);
    for private in ["infra/compose/secrets/jwt_secret", "infra/.env", ".git"] {
        assert!(!in_context(private), "{private}");
    }
}

#[test]
fn the_whole_workspace_is_let_in() {
    let workspace = table("Cargo.toml");
    let members = workspace["workspace"]["members"].as_array().unwrap();
    for member in members.iter().filter_map(Value::as_str) {
        assert!(in_context(&format!("{member}/Cargo.toml")), "{member}");
    }
    for file in ["Cargo.toml", "Cargo.lock", ".cargo/config.toml", "wit"] {
        assert!(in_context(file) && root().join(file).exists(), "{file}");
    }
}

#[test]
fn every_component_is_built_and_lies_where_the_manifest_looks() {
    let built: Vec<_> = table(".cargo/config.toml")["alias"]["functions"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|word| Some(format!("{}.wasm", word.as_str()?.replace('-', "_"))))
        .collect();
    let text = instructions().join("\n");
    // Beside spin.toml, as in a checkout.
    let dir = "target/wasm32-wasip2/component";
    for line in [
        format!("cp {dir}/*.wasm /out/{dir}/"),
        "\nCOPY spin.toml ./\n".to_owned(),
        "\nCOPY --from=build /out/target target\n".to_owned(),
    ] {
        assert!(text.contains(&line), "{line}");
    }
    let manifest = read("spin.toml").unwrap();
    let named: Vec<_> = manifest
        .split('"')
        .filter(|word| word.ends_with(".wasm"))
        .collect();
    assert!(named.len() > 20);
    for path in named {
        let file = path.strip_prefix(&format!("{dir}/"));
        let file = file.unwrap_or_else(|| panic!("{path}: not in {dir}"));
        assert!(built.iter().any(|built| built == file), "{path}");
    }
}

#[test]
fn versions_are_the_workspaces() {
    let version = table("Cargo.toml")["workspace"]["package"]["version"].clone();
    let version = version.as_str().unwrap();
    let text = instructions().join("\n");
    let label = format!("org.opencontainers.image.version=\"{version}\"");
    assert!(text.contains(&label), "{label}");
    for name in ["flowviz", "migrate"] {
        let compose = Compose::load().unwrap();
        assert_eq!(compose.service(name).image, format!("flowviz:{version}"));
    }
    let toolchain = table("rust-toolchain.toml");
    let channel = toolchain["toolchain"]["channel"].as_str().unwrap();
    assert!(text.contains(&format!("FROM rust:{channel}-")), "{channel}");
    let of_image = format!("RUSTUP_TOOLCHAIN={channel}");
    assert!(text.contains(&of_image), "{channel}");
}

/// Nobody special, who owns the directories that compose mounts volumes on.
#[test]
fn the_host_runs_as_nobody_special() {
    let text = instructions().join("\n");
    let last = text.rsplit_once("\nFROM ").unwrap().1;
    assert!(last.contains("\nUSER 10001:10001\n"));
    let owned = last
        .lines()
        .find(|line| line.contains("install -d -m 0700 -o 10001"))
        .unwrap();
    let compose = Compose::load().unwrap();
    let volumes = &compose.service("flowviz").volumes;
    assert!(!volumes.is_empty());
    for volume in volumes {
        let (_, target) = volume.split_once(':').unwrap();
        assert!(owned.contains(target), "{target}");
        assert!(
            last.contains(&format!("={target}")),
            "{target}: no variable"
        );
    }
}
