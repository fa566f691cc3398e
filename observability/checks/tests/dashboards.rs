//! The dashboards are what their code says, what Grafana's own types say, and what an operator can use: every panel says what it shows and in
//! which unit, every link leads somewhere, every variable is there. That each query finds something is shown by `tests/dashboards.rs`.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result, ensure};
use flowviz_observability::{read, root, rules, run};
use serde_json::{Value, json};

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

/// The colour of a panel's only threshold where no value is good or bad by itself (`NEUTRAL` in the code). Grafana's own, and that of a
/// panel whose code says nothing, is green.
const NEUTRAL: &str = "text";

/// Whether the panel's code has said from when on a value is bad, or that none is.
fn thresholds(panel: &Value) -> Result<()> {
    let steps: Vec<_> = list(&panel["fieldConfig"]["defaults"]["thresholds"]["steps"]).collect();
    let [base, limits @ ..] = &*steps else {
        anyhow::bail!("no thresholds");
    };
    ensure!(base["value"].is_null(), "the thresholds have no base");
    let values: Vec<_> = limits.iter().map(|it| it["value"].as_f64()).collect();
    ensure!(
        values.iter().all(Option::is_some) && values.is_sorted(),
        "the thresholds are {values:?}"
    );
    if limits.is_empty() {
        ensure!(base["color"] == NEUTRAL, "neither thresholds nor NEUTRAL");
    } else {
        ensure!(base["color"] != NEUTRAL, "thresholds, and NEUTRAL");
    }
    let drawn = &panel["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"]["mode"];
    ensure!(
        panel["type"] != "timeseries" || (drawn == "off") == limits.is_empty(),
        "its thresholds are drawn: {drawn}"
    );
    Ok(())
}

#[test]
fn a_panel_that_says_nothing_of_good_and_bad_is_found() -> Result<()> {
    let planted = |color: &str, limits: &[f64], drawn: &str| {
        let base = json!({ "color": color, "value": null });
        let limits = limits
            .iter()
            .map(|value| json!({ "color": "red", "value": value }));
        let steps: Vec<_> = std::iter::once(base).chain(limits).collect();
        let custom = json!({ "thresholdsStyle": { "mode": drawn } });
        let defaults = json!({ "thresholds": { "steps": steps }, "custom": custom });
        thresholds(&json!({ "type": "timeseries", "fieldConfig": { "defaults": defaults } }))
    };
    planted("green", &[1.0, 2.0], "dashed")?;
    planted(NEUTRAL, &[], "off")?;
    for (color, limits, drawn, told) in [
        ("green", &[][..], "off", "neither"),
        (NEUTRAL, &[1.0], "dashed", "and NEUTRAL"),
        ("green", &[2.0, 1.0], "dashed", "the thresholds are"),
        ("green", &[1.0], "off", "drawn"),
    ] {
        let fault = planted(color, limits, drawn).err().context(told)?;
        ensure!(fault.to_string().contains(told), "{told}: {fault}");
    }
    ensure!(thresholds(&json!({ "type": "stat" })).is_err());
    Ok(())
}

/// Where panels turn colour as an alert fires: the page, the panel, from which value on, the alert, and the number in its rule.
const AS_ALERTS: &[(&str, &str, f64, &str, &str)] = &[
    (
        "application",
        "Error ratio",
        0.05,
        "HighErrorRate",
        "> 0.05",
    ),
    ("application", "p99", 0.5, "HighLatency", "> 0.5"),
    ("application", "p99", 1.0, "HighLatency", "> 1 "),
    (
        "application",
        "How fast the error budget burns",
        14.4,
        "AvailabilityBudgetBurning",
        "> 14.4 *",
    ),
    (
        "application",
        "How fast the latency budget burns",
        14.4,
        "LatencyBudgetBurning",
        "> 14.4 *",
    ),
    (
        "application",
        "Failing endpoints",
        5.0,
        "HighErrorRate",
        "* 300 >= 5",
    ),
    ("application", "Top errors", 6.0, "FunctionThrottled", "> 5"),
    (
        "application",
        "Shed and limited",
        5.0 / 300.0,
        "FunctionThrottled",
        "> 5",
    ),
    (
        "function",
        "Errors by reason",
        2.5 / 600.0,
        "FunctionTrapping",
        "[10m])) > 2.5",
    ),
    (
        "function",
        "Errors by reason",
        5.0 / 300.0,
        "FunctionThrottled",
        "> 5",
    ),
    (
        "business",
        "QC failures, last hour",
        0.1,
        "HighQCFailureRate",
        "> 0.1",
    ),
    (
        "business",
        "Failure ratio by gate",
        0.1,
        "HighQCFailureRate",
        "> 0.1",
    ),
    (
        "business",
        "Offline items",
        51.0,
        "OfflineQueueGrowing",
        "> 50",
    ),
    (
        "business",
        "Since the chain was last checked",
        3600.0,
        "AuditChainUnchecked",
        "> 3600",
    ),
    (
        "database",
        "Waiting in PgBouncer",
        11.0,
        "PgBouncerPoolExhausted",
        "> 10",
    ),
    (
        "database",
        "Clients",
        11.0,
        "PgBouncerPoolExhausted",
        "> 10",
    ),
    (
        "database",
        "Wait for a connection",
        0.1,
        "PoolWaitHigh",
        "> 0.1",
    ),
    (
        "database",
        "PostgreSQL's connections",
        0.8,
        "ServerConnectionsNearLimit",
        "> 0.8",
    ),
    (
        "database",
        "Certificate",
        14.0 * 86400.0,
        "CertificateExpiring",
        "< 14 * 86400",
    ),
    (
        "database",
        "Certificate",
        3.0 * 86400.0,
        "CertificateExpiring",
        "< 3 * 86400",
    ),
    (
        "infrastructure",
        "Disk space in use",
        0.75,
        "DiskFilling",
        "< 0.25",
    ),
    (
        "infrastructure",
        "Disk space in use",
        0.95,
        "DiskFilling",
        "< 0.05",
    ),
];

/// A panel that is green while an alert fires, or red while none does, is believed by nobody.
#[test]
fn panels_turn_colour_where_alerts_fire() -> Result<()> {
    let (dashboards, alerts) = (dashboards()?, rules::alerts()?);
    for (page, title, from, alert, number) in AS_ALERTS {
        ensure!(
            alerts
                .iter()
                .any(|it| it.name == *alert && format!("{} ", it.rule.expr).contains(number)),
            "{title} turns as {alert} fires at {number}, which no rule of it says"
        );
        let page = dashboards
            .iter()
            .find(|it| it["uid"] == format!("flowviz-{page}"));
        let of_title: Vec<_> = panels(page.context(*title)?)
            .into_iter()
            .filter(|panel| panel["title"] == **title)
            .collect();
        ensure!(!of_title.is_empty(), "there is no panel {title}");
        for panel in of_title {
            let steps = &panel["fieldConfig"]["defaults"]["thresholds"]["steps"];
            ensure!(
                list(steps).any(|it| it["value"].as_f64() == Some(*from)),
                "{title} doesn't turn at {from}, where {alert} fires: {steps}"
            );
        }
    }
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
            ensure!(!unit.is_empty(), "{name}: no unit");
            thresholds(panel).with_context(|| name.clone())?;
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
