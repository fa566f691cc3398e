//! `[[trigger.http]]`: which component answers which route.

use super::app::{Function, FunctionId, Route};
use super::component::{Components, read_id};
use super::document::{Item, Section};
use super::routes::{RoutePattern, Router};
use super::suggest::nearest;

/// Reads all triggers. A component that a trigger holds inline is added to `functions`.
///
/// `declared` are the ids under `[component]`, even those whose component could not be read: a trigger that names one is right.
pub(super) fn read(
    section: &Section<'_>,
    declared: &[FunctionId],
    components: &mut Components<'_>,
    functions: &mut Vec<Function>,
) -> Triggers {
    let mut triggers = Triggers::default();
    for kind in section.items() {
        if kind.key != "http" {
            let what = format!("triggers of type `{}` are not supported", kind.key);
            kind.error(
                what,
                "remove them; functions are triggered by `[[trigger.http]]`",
            );
            continue;
        }
        let mut items = Vec::new();
        for trigger in kind.tables() {
            let (route, function) = read_one(trigger, declared, components, functions);
            triggers.used.extend(function.clone());
            if let (Some((pattern, item)), Some(function)) = (route, function) {
                triggers.routes.push(Route {
                    pattern,
                    function,
                    line: item.line(),
                });
                items.push(item);
            }
        }
        report_duplicates(&triggers.routes, &items);
    }
    triggers
}

#[derive(Debug, Default)]
pub(super) struct Triggers {
    pub routes: Vec<Route>,
    /// The components that a trigger names, private ones too.
    pub used: Vec<FunctionId>,
}

/// The public route with its key, and the component.
fn read_one<'d>(
    mut section: Section<'d>,
    declared: &[FunctionId],
    components: &mut Components<'_>,
    functions: &mut Vec<Function>,
) -> (Option<(RoutePattern, Item<'d>)>, Option<FunctionId>) {
    let id = section.text("id").unwrap_or_default();
    let route = section
        .require("route", "route = \"/...\"")
        .and_then(read_route);
    if let Some(item) = section.take("executor") {
        check_executor(&item);
    }
    section.unsupported("static_response", "answer from a component");
    section.unsupported("components", "name one `component`");
    section.unsupported(
        "dependencies",
        "compose the component with its dependencies when it is built",
    );
    let component = section.require("component", "component = \"id\"");
    section.finish();

    let function = component.and_then(|item| {
        if item.is_table() {
            let id = inline_id(id, declared, functions)?;
            functions.extend(components.read(id.clone(), item.table()?));
            return Some(id);
        }
        let id = read_id(&item, item.text()?)?;
        if !declared.contains(&id) {
            let fix = match nearest(id.as_ref(), declared.iter().map(AsRef::as_ref)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("declare it under `[component.{id}]`"),
            };
            item.error(format!("there is no component `{id}`"), fix);
        }
        Some(id)
    });
    (route, function)
}

/// `None` for a private endpoint, and for what is no route, which has been reported.
fn read_route(item: Item<'_>) -> Option<(RoutePattern, Item<'_>)> {
    if item.is_text() {
        let template = item.text()?;
        let fix =
            "write literal segments and `:name` segments, and `/...` at the end to take the rest";
        let pattern = RoutePattern::parse(template)
            .map_err(|reason| item.error(format!("`{template}`: {reason}"), fix))
            .ok()?;
        return Some((pattern, item));
    }
    if !item.is_table() {
        item.wrong_type("a path or `{ private = true }`", "route = \"/api/lots\"");
        return None;
    }
    let mut section = item.table()?;
    if section.require("private", "private = true")?.boolean() == Some(false) {
        section.error(
            "`private = false` names no route",
            "write `route = \"/...\"` or `route = { private = true }`",
        );
    }
    section.finish();
    None
}

/// Which of the component's exports is called is seen from the component, so there is nothing to choose.
fn check_executor(item: &Item<'_>) {
    let Some(mut section) = item.table() else {
        return;
    };
    let kind = section.require("type", "type = \"http\"");
    match kind.as_ref().and_then(Item::text) {
        Some("http" | "spin") => section.finish(),
        Some("wagi") => item.error(
            "Wagi is not supported",
            "build the component for `wasi:http`, and remove `executor`",
        ),
        Some(other) => item.error(
            format!("there is no executor `{other}`"),
            "remove `executor`",
        ),
        None => {}
    }
}

/// Spin's names for components that have none: after the trigger, or numbered.
fn inline_id(trigger: &str, declared: &[FunctionId], functions: &[Function]) -> Option<FunctionId> {
    let is_free = |id: &FunctionId| {
        !declared.contains(id) && functions.iter().all(|function| function.id != *id)
    };
    let natural = FunctionId::parse(&format!("{trigger}-component"))
        .ok()
        .filter(is_free);
    let numbered = |number: usize| {
        FunctionId::parse(&format!("inline-component{number}"))
            .ok()
            .filter(is_free)
    };
    natural.or_else(|| (1..).find_map(numbered))
}

fn report_duplicates(routes: &[Route], items: &[Item<'_>]) {
    for duplicate in Router::new(routes).err().unwrap_or_default() {
        if let (Some(first), Some(item)) =
            (routes.get(duplicate.first), items.get(duplicate.second))
        {
            let what = format!(
                "line {} already routes the same paths: `{}`",
                first.line, first.pattern
            );
            item.error(what, "remove one, or change its path");
        }
    }
}
