//! The application's variables: declared in `[variables]`, given a value from outside or by a default, used in templates.
//!
//! A template is text with `{{ name }}` in it; there is no way to escape the braces, as in Spin.

use std::collections::BTreeMap;

use super::document::{Document, Item, Section};
use super::inputs::{Inputs, VARIABLE_PREFIX};
use super::secret::Secret;
use super::suggest::nearest;

/// `None` where the value is missing, which has been reported.
#[derive(Debug, Default)]
pub(super) struct Variables(BTreeMap<String, Option<Secret>>);

impl Variables {
    pub fn read(document: &Document<'_>, section: Option<Section<'_>>, inputs: &Inputs) -> Self {
        let mut variables = Self::default();
        for item in section.iter().flat_map(Section::items) {
            let value = read_one(&item, inputs);
            variables.0.insert(item.key.to_owned(), value);
        }
        for name in inputs
            .variables
            .keys()
            .filter(|name| !variables.0.contains_key(*name))
        {
            let what = format!("the application declares no variable `{name}`");
            let fix = variables.did_you_mean(name).unwrap_or_else(|| {
                format!("declare it under `[variables]`, or drop `--variable {name}=...`")
            });
            document.error_outside(format!("--variable {name}"), what, fix);
        }
        variables
    }

    /// `[application.tool.flowviz.variables]`: what the values must be like.
    pub fn check(&self, rules: &Section<'_>) {
        for item in rules.items() {
            let Some(mut rule) = item.table() else {
                continue;
            };
            let min_bytes = rule
                .take("min_bytes")
                .and_then(|item| Some((item.unsigned("32")?, item)));
            rule.finish();
            let Some(value) = self.lookup(&item, item.key) else {
                continue;
            };
            if let Some((min_bytes, at)) = min_bytes
                && (value.expose().len() as u64) < min_bytes
            {
                let what = format!(
                    "the value of the variable `{}` is shorter than {min_bytes} bytes",
                    item.key
                );
                at.error(
                    what,
                    format!("give it a longer value, with {}", how_to_give(item.key)),
                );
            }
        }
    }

    /// The text of a template with its variables filled in; `None` if that can't be, which has been reported.
    pub fn fill_in(&self, item: &Item<'_>, template: &str) -> Option<Secret> {
        let mut filled = String::new();
        let mut rest = template;
        let mut complete = true;
        while let Some((literal, after)) = rest.split_once("{{") {
            let Some((name, tail)) = after.split_once("}}") else {
                item.error(
                    "a `{{` is never closed",
                    "write `{{ name }}`; a literal `{{` is not possible, in Spin neither",
                );
                return None;
            };
            filled.push_str(literal);
            match self.lookup(item, name.trim()) {
                Some(value) => filled.push_str(value.expose()),
                None => complete = false,
            }
            rest = tail;
        }
        filled.push_str(rest);
        complete.then(|| filled.into())
    }

    fn lookup(&self, item: &Item<'_>, name: &str) -> Option<&Secret> {
        match self.0.get(name) {
            Some(value) => value.as_ref(),
            None => {
                let fix = self
                    .did_you_mean(name)
                    .unwrap_or_else(|| "declare it under `[variables]`".into());
                item.error(
                    format!("the application declares no variable `{name}`"),
                    fix,
                );
                None
            }
        }
    }

    fn did_you_mean(&self, name: &str) -> Option<String> {
        nearest(name, self.0.keys().map(String::as_str))
            .map(|near| format!("did you mean `{near}`?"))
    }
}

/// One line of `[variables]`: its value, if it has one.
fn read_one(item: &Item<'_>, inputs: &Inputs) -> Option<Secret> {
    let name = item.key;
    if !is_lower_snake(name) {
        item.error(
            "a variable's name is words of lower-case letters and digits, joined by single underscores, each starting with a letter",
            format!("rename it, for example to `{}`", name.to_ascii_lowercase().replace('-', "_")),
        );
    }
    let mut section = item.table()?;
    section.text("description");
    // Values are never shown here, whether they are said to be secret or not.
    section.take("secret").and_then(|item| item.boolean());
    let required = section
        .take("required")
        .and_then(|item| item.boolean())
        .unwrap_or(false);
    let default = section.take("default");
    section.finish();

    let given = inputs
        .variables
        .get(name)
        .or_else(|| inputs.variables_from_environment.get(name));
    match (required, default) {
        (true, Some(_)) => {
            item.error(
                "a variable that is required can't have a default",
                "keep one of `required = true` and `default`",
            );
            given.cloned()
        }
        (false, None) => {
            item.error(
                "a variable is either required or has a default",
                "add `required = true` or `default = \"...\"`",
            );
            given.cloned()
        }
        (false, Some(default)) => given.cloned().or_else(|| default.text().map(Secret::from)),
        (true, None) => {
            if given.is_none() {
                let what = format!("the required variable `{name}` has no value");
                item.error(what, format!("give it with {}", how_to_give(name)));
            }
            given.cloned()
        }
    }
}

fn how_to_give(name: &str) -> String {
    format!(
        "`--variable {name}=...` or the environment variable `{VARIABLE_PREFIX}{}`",
        name.to_ascii_uppercase()
    )
}

/// Spin's rule for the names of variables.
pub(super) fn is_lower_snake(name: &str) -> bool {
    name.split('_').all(|word| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    })
}
