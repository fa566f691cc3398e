//! Prometheus' rules and their tests, as their files say.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::root;

pub const RULES: &str = "observability/prometheus/rules";
pub const TESTS: &str = "observability/prometheus/tests";

/// A rule records a series or raises an alert.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub record: Option<String>,
    pub alert: Option<String>,
    pub expr: String,
    #[serde(rename = "for")]
    pub wait: Option<String>,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// An alert's name, with the rule.
#[derive(Clone, Debug)]
pub struct Alert {
    pub name: String,
    pub rule: Rule,
}

/// What a test asks about one alert at one time.
#[derive(Debug, Deserialize)]
pub struct AlertTest {
    pub alertname: String,
    #[serde(default)]
    pub exp_alerts: Vec<Expected>,
}

#[derive(Debug, Deserialize)]
pub struct Expected {
    pub exp_labels: BTreeMap<String, String>,
}

/// What a test asks of one expression at one time.
#[derive(Debug, Deserialize)]
pub struct ExprTest {
    pub expr: String,
}

/// All tests together.
#[derive(Debug, Default)]
pub struct Tests {
    pub alerts: Vec<AlertTest>,
    pub exprs: Vec<ExprTest>,
}

#[derive(Deserialize)]
struct RuleFile {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
struct TestFile {
    tests: Vec<TestGroup>,
}

#[derive(Deserialize)]
struct TestGroup {
    #[serde(default)]
    alert_rule_test: Vec<AlertTest>,
    #[serde(default)]
    promql_expr_test: Vec<ExprTest>,
}

/// The YAML files of a directory, in the order of their names.
pub fn files(directory: &str) -> Result<Vec<String>> {
    let entries =
        std::fs::read_dir(root().join(directory)).with_context(|| directory.to_owned())?;
    let paths: Vec<PathBuf> = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    let mut names: Vec<String> = paths
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "yml"))
        .filter_map(|path| Some(format!("{directory}/{}", path.file_name()?.to_str()?)))
        .collect();
    names.sort();
    Ok(names)
}

/// All rules.
pub fn rules() -> Result<Vec<Rule>> {
    let files: Vec<RuleFile> = parsed(RULES)?;
    let groups = files.into_iter().flat_map(|file| file.groups);
    Ok(groups.flat_map(|group| group.rules).collect())
}

/// The rules that raise alerts.
pub fn alerts() -> Result<Vec<Alert>> {
    let named = |rule: Rule| rule.alert.clone().map(|name| Alert { name, rule });
    Ok(rules()?.into_iter().filter_map(named).collect())
}

/// The tests of all files.
pub fn tests() -> Result<Tests> {
    let files: Vec<TestFile> = parsed(TESTS)?;
    let mut tests = Tests::default();
    for group in files.into_iter().flat_map(|file| file.tests) {
        tests.alerts.extend(group.alert_rule_test);
        tests.exprs.extend(group.promql_expr_test);
    }
    Ok(tests)
}

fn parsed<T: DeserializeOwned>(directory: &str) -> Result<Vec<T>> {
    files(directory)?
        .into_iter()
        .map(|file| serde_saphyr::from_str(&crate::read(&file)?).context(file))
        .collect()
}
