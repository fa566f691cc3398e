//! The dashboards are what their code says, what Grafana's own types say, and what an operator can use: every panel says what it shows and in
//! which unit, every link leads somewhere, every variable is there. That each query finds something is shown by `tests/dashboards.rs`.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use flowviz_observability::{read, root, run};
use serde_json::Value;

const FOLDER: &str = "observability/grafana/dashboards";

fn dashboards() -> Result<Vec<Value>> {
    let mut names: Vec<_> = std::fs::read_dir(root().join(FOLDER))?
        .map(|entry| Ok(entry?.file_name()))
        .collect::<Result<_>>()?;
    names.sort();
    names
        .iter()
        .map(|name| {
            let text = read(&format!("{FOLDER}/{}", name.display()))?;
            let dashboard: Value = serde_json::from_str(&text)?;
            let uid = dashboard["uid"].as_str().context("a uid")?;
            ensure!(
                *name == *format!("{uid}.json"),
                "{} is {uid}",
                name.display()
            );
            Ok(dashboard)
        })
        .collect()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// All panels, those in folded rows too.
fn panels(parent: &Value) -> Vec<&Value> {
    list(&parent["panels"])
        .flat_map(|panel| std::iter::once(panel).chain(panels(panel)))
        .collect()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[test]
fn what_is_committed_is_what_the_code_makes() -> Result<()> {
    let made = tempfile::tempdir()?;
    let folder = made.path().display().to_string();
    run(
        "python3",
        &["-B", "observability/grafana/generate", &folder],
    )?;
    let mut count = 0;
    for entry in std::fs::read_dir(made.path())? {
        let entry = entry?;
        let committed = read(&format!("{FOLDER}/{}", entry.file_name().display()))?;
        ensure!(
            committed == std::fs::read_to_string(entry.path())?,
            "{} differs: `make dashboards` writes it anew",
            entry.file_name().display()
        );
        count += 1;
    }
    ensure!(count == dashboards()?.len());
    Ok(())
}

fn held_against_types(folder: &str) -> Result<String> {
    run(
        "node",
        &[
            "observability/grafana/schema/check.mjs",
            "target/tools/dashboards/node_modules",
            folder,
        ],
    )
}

#[test]
fn grafanas_own_types_agree() -> Result<()> {
    let said = held_against_types(FOLDER)?;
    ensure!(said.contains("5 dashboards"), "{said}");
    Ok(())
}

/// Most fields may be left out, so that a misspelt one is found only as one that isn't known.
#[test]
fn grafanas_own_types_find_what_is_wrong() -> Result<()> {
    let page = read(&format!("{FOLDER}/flowviz-application.json"))?;
    let faults = [
        ("cellGap", "cellGapp"),
        ("cellOptions", "cellOption"),
        ("drawStyle\": \"line", "drawStyle\": \"lines"),
        ("cellHeight\": \"sm", "cellHeight\": \"tiny"),
        ("unit", "units"),
        ("keepTime", "keeptime"),
    ];
    let wrong = faults.iter().fold(page, |page, (right, wrong)| {
        page.replacen(&format!("\"{right}\""), &format!("\"{wrong}\""), 1)
    });
    let folder = tempfile::tempdir()?;
    std::fs::write(folder.path().join("wrong.json"), wrong)?;
    let told = held_against_types(&folder.path().display().to_string());
    let told = told.err().context("nothing is found")?.to_string();
    for (_, wrong) in faults {
        // A field or a value by itself, as the compiler names it.
        let wrong = wrong.rsplit('"').next().unwrap_or(wrong);
        ensure!(
            told.contains(&format!("\"{wrong}\"")),
            "{wrong} isn't found: {told}"
        );
    }
    Ok(())
}

#[test]
fn the_types_are_of_the_grafana_that_runs() -> Result<()> {
    let package: Value = serde_json::from_str(&read("observability/grafana/schema/package.json")?)?;
    let version = text(&package["dependencies"]["@grafana/schema"]);
    ensure!(
        read("infra/compose.yaml")?.contains(&format!("image: grafana/grafana:{version}\n")),
        "compose starts another Grafana than {version}"
    );
    Ok(())
}

/// A number of what has ended would be shown as if it still were: the last value of a range is up to the page's time old.
#[test]
fn every_number_is_of_now() -> Result<()> {
    for dashboard in dashboards()? {
        for panel in panels(&dashboard) {
            let name = format!("{}: {}", text(&dashboard["uid"]), text(&panel["title"]));
            for target in list(&panel["targets"]).filter(|_| panel["type"] == "stat") {
                ensure!(
                    target["instant"] == true && target["range"] == false,
                    "{name} asks for a range"
                );
                ensure!(
                    panel["fieldConfig"]["defaults"]["noValue"] == "no data",
                    "{name}: what does it show when there is nothing?"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn every_panel_says_what_it_shows() -> Result<()> {
    for dashboard in dashboards()? {
        let mut ids = BTreeSet::new();
        for panel in panels(&dashboard) {
            let name = format!("{}: {}", text(&dashboard["uid"]), text(&panel["title"]));
            ensure!(!text(&panel["title"]).is_empty(), "{name}: {panel}");
            ensure!(
                ids.insert(panel["id"].as_u64().context(name.clone())?),
                "{name}: its id is taken"
            );
            if panel["type"] == "row" {
                continue;
            }
            ensure!(
                text(&panel["description"]).len() >= 20,
                "{name}: no description"
            );
            ensure!(
                panel["datasource"]["uid"] == "${datasource}",
                "{name}: its datasource"
            );
            let unit = text(&panel["fieldConfig"]["defaults"]["unit"]);
            let of_columns = list(&panel["fieldConfig"]["overrides"]).next().is_some();
            ensure!(!unit.is_empty() || of_columns, "{name}: no unit");
            ensure!(list(&panel["targets"]).next().is_some(), "{name}: no query");
            for target in list(&panel["targets"]) {
                let expr = text(&target["expr"]);
                let plain = expr
                    .replace("$__rate_interval", "1m")
                    .replace("$__range_s", "3600")
                    .replace("$__range", "1h")
                    .replace("$function", "x")
                    .replace("$instance", "x")
                    // A group of label_replace.
                    .replace("${1}", "x");
                ensure!(
                    !plain.contains('$'),
                    "{name}: an unknown variable in {expr}"
                );
                promql_parser::parser::parse(&plain)
                    .map_err(|error| anyhow::anyhow!("{name}: {expr}: {error}"))?;
            }
        }
    }
    Ok(())
}

#[test]
fn no_panel_covers_another() -> Result<()> {
    for dashboard in dashboards()? {
        let mut taken = BTreeSet::new();
        for panel in panels(&dashboard) {
            let at = |field: &str| panel["gridPos"][field].as_u64();
            let name = text(&panel["title"]);
            let (Some(x), Some(y), Some(w), Some(h)) = (at("x"), at("y"), at("w"), at("h")) else {
                anyhow::bail!("{name}: where?");
            };
            ensure!(x + w <= 24, "{name} is too wide");
            for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
                ensure!(
                    taken.insert(cell),
                    "{}: {name} covers another",
                    text(&dashboard["uid"])
                );
            }
        }
    }
    Ok(())
}

#[test]
fn every_link_leads_somewhere_and_every_variable_is_there() -> Result<()> {
    let dashboards = dashboards()?;
    let uids: BTreeSet<_> = dashboards.iter().map(|d| text(&d["uid"])).collect();
    for dashboard in &dashboards {
        let whole = dashboard.to_string();
        let mut links = 0;
        for link in whole.split("/d/").skip(1) {
            let uid = link.split(['?', '"', '/', '\\']).next().unwrap_or_default();
            ensure!(uids.contains(uid), "{}: /d/{uid}", text(&dashboard["uid"]));
            links += 1;
        }
        ensure!(links > 0, "{} leads nowhere", text(&dashboard["uid"]));
        let variables: BTreeSet<_> = list(&dashboard["templating"]["list"])
            .map(|variable| text(&variable["name"]))
            .collect();
        for name in ["datasource", "function", "instance"] {
            let used = whole.contains(&format!("${{{name}")) || whole.contains(&format!("${name}"));
            ensure!(
                used == variables.contains(name),
                "{}: ${name} is used: {used}; the variables are {variables:?}",
                text(&dashboard["uid"])
            );
        }
        ensure!(dashboard["id"].is_null() && dashboard["editable"] == false);
    }
    Ok(())
}

#[test]
fn grafana_finds_the_dashboards_and_their_datasource() -> Result<()> {
    let provisioning = "observability/grafana/provisioning";
    let of = |file: &str| -> Result<Value> {
        Ok(serde_saphyr::from_str(&read(&format!(
            "{provisioning}/{file}"
        ))?)?)
    };
    let datasource = &of("datasources/prometheus.yml")?["datasources"][0];
    ensure!(datasource["uid"] == "prometheus" && datasource["type"] == "prometheus");
    ensure!(datasource["isDefault"] == true && datasource["editable"] == false);
    let provider = &of("dashboards/flowviz.yml")?["providers"][0];
    ensure!(provider["allowUiUpdates"] == false && provider["type"] == "file");
    let compose = read("infra/compose.yaml")?;
    let path = text(&provider["options"]["path"]);
    ensure!(
        compose.contains(&format!("../{FOLDER}:{path}:ro")),
        "{path}"
    );
    for dashboard in dashboards()? {
        let chosen = list(&dashboard["templating"]["list"])
            .find(|variable| variable["name"] == "datasource")
            .context("a datasource")?;
        ensure!(chosen["current"]["value"] == datasource["uid"], "{chosen}");
    }
    Ok(())
}
