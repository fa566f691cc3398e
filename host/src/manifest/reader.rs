//! The whole document: what of it goes where, and what must hold between its parts.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::app::{App, AppSettings, Build, FunctionId, Identity};
use super::component::{Components, read_build, read_id};
use super::document::{Document, Item, Section};
use super::error::ManifestErrors;
use super::inputs::Inputs;
use super::origins::AllowedOrigins;
use super::pool::PoolSettings;
use super::trigger;
use super::variables::Variables;

/// Reads a manifest's text; `file` is for the errors, and its directory is where relative paths start. Pure.
pub fn parse(text: &str, file: &Path, inputs: &Inputs) -> Result<App, ManifestErrors> {
    let document = Document::new(text, file);
    let table = document.parse()?;
    let app = read(&document, document.root(&table), file, inputs);
    let (app, warnings) = document.finish(app)?;
    Ok(App { warnings, ..app })
}

/// How to build the components, in the manifest's order. Looks at nothing else: neither the sources nor the variables' values
/// need exist yet. Pure.
pub fn build_commands(text: &str, file: &Path) -> Result<Vec<Build>, ManifestErrors> {
    let document = Document::new(text, file);
    let table = document.parse()?;
    let root_dir = root_of(file);
    let components = document.root(&table).table("component");
    let builds = component_items(components.as_ref())
        .into_iter()
        .filter_map(|(id, item)| read_build(item.table()?.table("build")?, &id, &root_dir))
        .collect();
    document.finish(builds).map(|(builds, _)| builds)
}

fn read<'d>(
    document: &'d Document<'d>,
    mut root: Section<'d>,
    file: &Path,
    inputs: &Inputs,
) -> App {
    let root_dir = root_of(file);
    let mut app = App {
        name: String::new(),
        version: String::new(),
        description: String::new(),
        file: file.to_owned(),
        root: root_dir.clone(),
        functions: Vec::new(),
        routes: Vec::new(),
        settings: AppSettings::default(),
        warnings: Vec::new(),
    };
    // The older version has other keys everywhere: reading on would only bury the reason.
    if !is_version_2(&mut root) {
        return app;
    }
    let application = root
        .require("application", "[application]")
        .and_then(|item| item.table());
    let variables = Variables::read(document, root.table("variables"), inputs);
    if let Some(application) = application {
        read_application(application, &variables, &mut app);
    }

    let knows_users = app.settings.identity.is_some();
    let mut components = Components::new(&root_dir, &variables, inputs, knows_users);
    let items = component_items(root.table("component").as_ref());
    let declared: Vec<FunctionId> = items.iter().map(|(id, _)| id.clone()).collect();
    for (id, item) in &items {
        app.functions.extend(
            item.table()
                .and_then(|section| components.read(id.clone(), section)),
        );
    }
    // A function that the host calls by itself needs no trigger.
    let mut used: HashSet<_> = app
        .functions
        .iter()
        .filter(|function| function.every.is_some())
        .map(|function| function.id.clone())
        .collect();
    let triggers = if used.is_empty() {
        root.require("trigger", "[[trigger.http]]")
    } else {
        root.take("trigger")
    };
    if let Some(triggers) = triggers.and_then(|item| item.table()) {
        let triggers = trigger::read(&triggers, &declared, &mut components, &mut app.functions);
        app.routes = triggers.routes;
        used.extend(triggers.used);
    }
    for (id, item) in items.iter().filter(|(id, _)| !used.contains(id)) {
        item.warn(
            "no trigger names this component, so nothing calls it",
            format!(
                "add a `[[trigger.http]]` with `component = \"{id}\"`, or let the host call it (`every`)"
            ),
        );
    }
    root.finish();
    app
}

fn is_version_2(root: &mut Section<'_>) -> bool {
    let Some(item) = root.require("spin_manifest_version", "spin_manifest_version = 2") else {
        return false;
    };
    let version = item.unsigned("2");
    if version.is_some_and(|version| version != 2) {
        item.error(
            "only version 2 of Spin's manifest is supported",
            "write the manifest as version 2: `spin_manifest_version = 2`",
        );
    }
    version == Some(2)
}

fn read_application(mut section: Section<'_>, variables: &Variables, app: &mut App) {
    let name = section.require("name", "name = \"my-app\"");
    if let Some((item, name)) = name.and_then(|item| item.text().map(|name| (item, name))) {
        if name.trim().is_empty() {
            item.error("the name is empty", "name the application");
        }
        app.name = name.to_owned();
    }
    app.version = section.text("version").unwrap_or_default().to_owned();
    app.description = section.text("description").unwrap_or_default().to_owned();
    section.texts("authors");
    // Which hosts the application is for: says nothing about how it runs on this one.
    section.take("targets");
    for trigger in section.table("trigger").iter().flat_map(Section::items) {
        let Some(mut settings) = trigger.table() else {
            continue;
        };
        if trigger.key == "http" {
            settings.unsupported(
                "base",
                "write whole paths in `route`: version 2 of the manifest has no `base`",
            );
            settings.finish();
        } else {
            trigger.error(
                format!("triggers of type `{}` are not supported", trigger.key),
                "remove their settings",
            );
        }
    }
    if let Some(mut settings) = section
        .table("tool")
        .and_then(|mut tool| tool.table("flowviz"))
    {
        let database = settings.take("database");
        let has_database = database.is_some();
        app.settings.database = database.and_then(|item| variables.fill_in(&item, item.text()?));
        let pgbouncer = settings.take("pgbouncer");
        app.settings.pgbouncer = pgbouncer
            .and_then(|item| variables.fill_in(&item, item.text()?))
            .filter(|address| !address.expose().is_empty());
        let audit_every = settings.take("audit_every");
        app.settings.audit_every = audit_every
            .as_ref()
            .and_then(super::settings::read_audit_every);
        if let Some(item) = &audit_every
            && !has_database
        {
            item.error(
                "there is no `database` whose audit trail could be checked",
                "add `database`, or remove `audit_every`",
            );
        }
        let origins = settings.take("cors_origins");
        app.settings.cors_origins = origins.and_then(|item| read_origins(&item, variables));
        app.settings.identity = settings
            .table("identity")
            .and_then(|section| read_identity(section, variables));
        if let Some(pool) = settings.table("pool") {
            app.settings.pool = PoolSettings::read(pool);
        }
        if let Some(rules) = settings.table("variables") {
            variables.check(&rules);
        }
        settings.finish();
    }
    section.finish();
}

fn read_identity(mut section: Section<'_>, variables: &Variables) -> Option<Identity> {
    let secret = section.require("jwt_secret", "jwt_secret = \"{{ name }}\"");
    section.finish();
    let item = secret?;
    let jwt_secret = variables.fill_in(&item, item.text()?)?;
    if jwt_secret.expose().is_empty() {
        item.error(
            "the secret is empty: anybody could sign a token",
            "give its variable a value",
        );
        return None;
    }
    Some(Identity { jwt_secret })
}

fn read_origins(item: &Item<'_>, variables: &Variables) -> Option<AllowedOrigins> {
    let template = item.text()?;
    let origins = variables.fill_in(item, template)?;
    // The template is shown, never what its variables put into it.
    let report = |bad| {
        let fix = "write `scheme://host:port`, for example `https://wms.example.com`, several of them separated by commas, or `*`";
        item.error(format!("`{template}`: {bad}"), fix);
    };
    AllowedOrigins::parse(origins.expose())
        .map_err(report)
        .ok()
        .flatten()
}

/// The components whose ids are ids, in the manifest's order; the others are reported.
fn component_items<'d>(section: Option<&Section<'d>>) -> Vec<(FunctionId, Item<'d>)> {
    let parse = |item: Item<'d>| Some((read_id(&item, item.key)?, item));
    section
        .map(Section::items)
        .unwrap_or_default()
        .into_iter()
        .filter_map(parse)
        .collect()
}

fn root_of(file: &Path) -> PathBuf {
    match file.parent() {
        Some(directory) if directory != Path::new("") => directory.to_owned(),
        _ => PathBuf::from("."),
    }
}
