//! `[component.<id>]` in, a [`Function`] out.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::app::{Build, FileMount, FileMountKind, Function, FunctionId};
use super::document::{Item, Section};
use super::hosts::{AllowedHost, AllowedHosts};
use super::inputs::Inputs;
use super::metrics::MetricDeclaration;
use super::rates::{Per, RateLimit};
use super::secret::Secret;
use super::settings::Settings;
use super::variables::{Variables, is_lower_snake};

/// What reading a component needs to know of the rest.
#[derive(Debug)]
pub(super) struct Components<'a> {
    root: &'a Path,
    variables: &'a Variables,
    inputs: &'a Inputs,
    /// The application says how users are told apart.
    knows_users: bool,
    /// By name: two functions may share a metric if they declare it alike.
    metrics: HashMap<String, (MetricDeclaration, usize)>,
}

impl<'a> Components<'a> {
    pub fn new(
        root: &'a Path,
        variables: &'a Variables,
        inputs: &'a Inputs,
        knows_users: bool,
    ) -> Self {
        Self {
            root,
            variables,
            inputs,
            knows_users,
            metrics: HashMap::new(),
        }
    }

    /// `None` where the component can't be represented, which has been reported.
    pub fn read(&mut self, id: FunctionId, mut section: Section<'_>) -> Option<Function> {
        let source = section.require("source", "source = \"path/to/component.wasm\"");
        let description = section.text("description").map(str::to_owned);
        let variables = section
            .table("variables")
            .map(|s| self.read_variables(&s))
            .unwrap_or_default();
        let environment = self.read_environment(section.table("environment"));
        let files = section
            .take("files")
            .map(|item| self.read_files(&item))
            .unwrap_or_default();
        let exclude_files = section.texts("exclude_files");
        let allowed_hosts = section
            .take("allowed_outbound_hosts")
            .map(|item| self.read_hosts(&item))
            .unwrap_or_default();
        let build = section
            .table("build")
            .and_then(|s| read_build(s, &id, self.root));
        let settings = section
            .table("tool")
            .and_then(|mut s| s.table("flowviz"))
            .map(Settings::read)
            .unwrap_or_default();
        read_dependencies(&mut section);
        // Which hosts the component is for: says nothing about how it runs on this one.
        section.take("targets");
        section.unsupported(
            "allowed_http_hosts",
            "write `allowed_outbound_hosts = [\"https://...\"]`",
        );
        section.unsupported(
            "key_value_stores",
            "remove it, and keep the data in PostgreSQL",
        );
        section.unsupported(
            "sqlite_databases",
            "remove it, and keep the data in PostgreSQL",
        );
        section.unsupported(
            "ai_models",
            "remove it, and call a model over HTTP (`allowed_outbound_hosts`)",
        );
        section.unsupported("profile", "remove it, and keep one manifest per profile");
        section.finish();

        let metrics = settings
            .metrics
            .into_iter()
            .map(|(metric, item)| self.check_shared(metric, &item))
            .collect();
        let rate_limits = settings
            .rate_limits
            .into_iter()
            .map(|(rule, item)| self.check_users(rule, &item))
            .collect();
        let source = source?;
        let path = read_source(&source)?;
        Some(Function {
            id,
            description,
            source: self.root.join(path),
            source_line: source.line(),
            variables,
            environment,
            files,
            exclude_files,
            allowed_hosts,
            limits: settings.limits,
            every: settings.every,
            methods: settings.methods,
            rate_limits,
            metrics,
            probe: settings.probe,
            build,
        })
    }

    fn read_variables(&self, section: &Section<'_>) -> BTreeMap<String, Secret> {
        let mut variables = BTreeMap::new();
        for item in section.items() {
            if !is_lower_snake(item.key) {
                let what = "a variable's name is words of lower-case letters and digits, joined by single underscores, each starting with a letter";
                item.error(
                    what,
                    format!(
                        "rename it, for example to `{}`",
                        item.key.to_ascii_lowercase().replace('-', "_")
                    ),
                );
            }
            if let Some(value) = item
                .text()
                .and_then(|text| self.variables.fill_in(&item, text))
            {
                variables.insert(item.key.to_owned(), value);
            }
        }
        variables
    }

    fn read_environment(&self, section: Option<Section<'_>>) -> Vec<(String, Secret)> {
        let mut environment: Vec<(String, Secret)> = Vec::new();
        for item in section.iter().flat_map(Section::items) {
            if item.key.is_empty() || item.key.contains(['=', '\0']) {
                item.error(
                    "an environment variable's name is not empty and has no `=` in it",
                    "rename it",
                );
            }
            if let Some(value) = item.text() {
                environment.push((item.key.to_owned(), value.into()));
            }
        }
        for (name, value) in &self.inputs.extra_env {
            environment.retain(|(other, _)| other != name);
            environment.push((name.clone(), value.clone()));
        }
        environment
    }

    fn read_files(&self, item: &Item<'_>) -> Vec<FileMount> {
        let mut files = Vec::new();
        for item in item.list().unwrap_or_default() {
            let kind = if item.is_text() {
                item.text().and_then(|pattern| read_pattern(&item, pattern))
            } else if item.is_table() {
                item.table()
                    .and_then(|section| self.read_placement(&item, section))
            } else {
                item.wrong_type(
                    "a glob or a table",
                    "{ source = \"assets\", destination = \"/\" }",
                );
                None
            };
            files.extend(kind.map(|kind| FileMount {
                kind,
                line: item.line(),
            }));
        }
        files
    }

    fn read_placement(&self, item: &Item<'_>, mut section: Section<'_>) -> Option<FileMountKind> {
        let source = section.require("source", "source = \"assets\"");
        let destination = section.require("destination", "destination = \"/\"");
        section.finish();
        let (source, destination) = (source?.text()?, destination?.text()?);
        if destination.split('/').any(|segment| segment == "..") {
            item.error(
                "`destination` has a `..` in it",
                "write the path that the component shall see, from `/`",
            );
            return None;
        }
        if leads_out(source) {
            let what = format!("`{source}` leads out of the manifest's directory");
            item.error(what, COPY_IT_IN);
            return None;
        }
        let destination = format!("/{}", destination.trim_start_matches('/'));
        Some(FileMountKind::Placement {
            source: self.root.join(source),
            destination,
        })
    }

    fn read_hosts(&self, item: &Item<'_>) -> AllowedHosts {
        let entries = item.list().unwrap_or_default();
        entries
            .iter()
            .filter_map(|item| self.read_host(item, item.text()?))
            .collect()
    }

    fn read_host(&self, item: &Item<'_>, template: &str) -> Option<AllowedHost> {
        let entry = self.variables.fill_in(item, template)?;
        if template.contains("{{") && matches!(entry.expose(), "" | "http://" | "https://") {
            return None;
        }
        // The template is shown, never what its variables put into it.
        let report = |reason| {
            let what = format!("`{template}` doesn't say where to connect to: {reason}");
            item.error(what, "write `scheme://host:port`, for example `https://api.example.com`; `*` is a wildcard");
        };
        AllowedHost::parse(entry.expose()).map_err(report).ok()
    }

    fn check_users(&self, rule: RateLimit, item: &Item<'_>) -> RateLimit {
        if rule.per == Per::User && !self.knows_users {
            item.warn(
                "no user is known, so each address is counted",
                "add `identity = { jwt_secret = \"{{ name }}\" }` to `[application.tool.flowviz]`, or write `per = \"address\"`",
            );
        }
        rule
    }

    fn check_shared(&mut self, metric: MetricDeclaration, item: &Item<'_>) -> MetricDeclaration {
        let (first, line) = self
            .metrics
            .entry(metric.name.clone())
            .or_insert_with(|| (metric.clone(), item.line()));
        if *first != metric {
            item.error(
                format!("line {line} declares this metric otherwise"),
                "make the declarations equal, or rename one",
            );
        }
        metric
    }
}

/// An id, wherever the manifest has one.
pub(super) fn read_id(item: &Item<'_>, text: &str) -> Option<FunctionId> {
    let report = |reason| {
        let near = text.to_ascii_lowercase().replace('_', "-");
        let fix = if FunctionId::parse(&near).is_ok() {
            format!("rename it, for example to `{near}`")
        } else {
            "rename it".into()
        };
        item.error(format!("`{text}` is no component's id: {reason}"), fix);
    };
    FunctionId::parse(text).map_err(report).ok()
}

/// `[component.<id>.build]`. Needs no variables: what is built may not exist yet, and neither may their values.
pub(super) fn read_build(
    mut section: Section<'_>,
    function: &FunctionId,
    root: &Path,
) -> Option<Build> {
    let command = section.require("command", "command = \"cargo build\"");
    let workdir = section.text("workdir");
    let watch = section.texts("watch");
    section.finish();
    let command = command?;
    let commands = if command.is_text() {
        vec![command.text()?.to_owned()]
    } else {
        command.texts()
    };
    if commands.iter().all(|command| command.trim().is_empty()) {
        command.error(
            "there is nothing to run",
            "write the command that makes `source`",
        );
    }
    let workdir = workdir.map_or_else(|| root.to_owned(), |workdir| root.join(workdir));
    Some(Build {
        function: function.clone(),
        commands,
        workdir,
        watch,
    })
}

/// Relative to the manifest.
fn read_source<'d>(item: &Item<'d>) -> Option<&'d str> {
    if item.is_table() {
        let what = "only local files are supported, not a URL or a registry";
        item.error(
            what,
            "download the component and write `source = \"path/to/component.wasm\"`",
        );
        return None;
    }
    let path = item.text()?;
    if path.is_empty() {
        item.error(
            "the path is empty",
            "write `source = \"path/to/component.wasm\"`",
        );
    }
    Some(path)
}

const COPY_IT_IN: &str =
    "put the files below the manifest's directory, and write their path from there";

/// By its text; links are followed when the files are read.
fn leads_out(path: &str) -> bool {
    Path::new(path).is_absolute() || path.split('/').any(|segment| segment == "..")
}

fn read_pattern(item: &Item<'_>, pattern: &str) -> Option<FileMountKind> {
    let last = pattern.rsplit('/').next().unwrap_or_default();
    if matches!(last, "" | "." | "..") {
        let what = format!("`{pattern}` names a directory, not files");
        item.error(what, "write a glob such as `assets/**/*`, or `{ source = \"assets\", destination = \"/assets\" }`");
        return None;
    }
    if leads_out(pattern) {
        let what = format!("`{pattern}` leads out of the manifest's directory");
        item.error(what, COPY_IT_IN);
        return None;
    }
    Some(FileMountKind::Pattern(pattern.to_owned()))
}

/// The host links our own packages itself; the manifest names them only so that stock Spin finds them too.
fn read_dependencies(section: &mut Section<'_>) {
    for item in section
        .table("dependencies")
        .iter()
        .flat_map(Section::items)
    {
        if !item.key.starts_with("flowviz:") {
            let what =
                "only dependencies on `flowviz:` packages are supported, which the host provides";
            item.error(
                what,
                "compose the component with its dependencies when it is built",
            );
        }
    }
    section
        .take("dependencies_inherit_configuration")
        .and_then(|item| item.boolean());
}
