//! A TOML document that knows its lines: cursors over tables and values that collect what is wrong with them.
//!
//! A reader `take`s the keys that it knows from a [`Section`] and calls `finish`, which reports all the others. A value of the
//! wrong type is reported by the accessor, which then answers `None`: the reader goes on and finds the next fault.

use std::cell::RefCell;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::error::{Finding, ManifestErrors};
use super::suggest::nearest;

/// The text, and all that was found so far.
#[derive(Debug)]
pub(super) struct Document<'d> {
    file: &'d Path,
    text: &'d str,
    errors: RefCell<Vec<Finding>>,
    warnings: RefCell<Vec<Finding>>,
}

/// A value, the key that holds it, and the table around it.
#[derive(Debug, Clone)]
pub(super) struct Item<'d> {
    document: &'d Document<'d>,
    /// The table as a header shows it, `[component.lots]`; empty for the document itself.
    header: String,
    /// The table's dotted path.
    path: String,
    pub key: &'d str,
    /// Where the key starts, in bytes.
    at: usize,
    value: &'d DeValue<'d>,
    in_list: bool,
}

/// A table that is being read.
#[derive(Debug)]
pub(super) struct Section<'d> {
    document: &'d Document<'d>,
    header: String,
    path: String,
    at: usize,
    entries: &'d DeTable<'d>,
    /// What may stand here.
    known: Vec<&'static str>,
    /// What Spin knows and we refuse: reported already.
    refused: Vec<&'static str>,
}

/// How much of a line an error quotes.
const QUOTED_MAX_CHARS: usize = 100;

// === impl Document ===

impl<'d> Document<'d> {
    pub fn new(text: &'d str, file: &'d Path) -> Self {
        Self {
            file,
            text,
            errors: RefCell::default(),
            warnings: RefCell::default(),
        }
    }

    /// Only a document of sound syntax is worth reading on.
    pub fn parse(&self) -> Result<DeTable<'d>, ManifestErrors> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let at = error
                .span()
                .map_or(self.text.len(), |span| span.start)
                .min(self.text.len());
            let before = self.text.get(..at).unwrap_or_default();
            let start = before.rfind('\n').map_or(0, |newline| newline + 1);
            let column = before.get(start..).unwrap_or_default().chars().count() + 1;
            let line = self
                .text
                .get(start..)
                .unwrap_or_default()
                .lines()
                .next()
                .unwrap_or_default();
            let what = format!(
                "invalid TOML at column {column} of `{}`: {}",
                quoted(line.trim_end(), column),
                error.message()
            );
            self.error(
                Some(at),
                String::new(),
                what,
                "correct the syntax there (https://toml.io)".into(),
            );
        }
        ManifestErrors::unless_clean(self.errors.take(), table.into_inner())
    }

    pub fn root(&'d self, table: &'d DeTable<'d>) -> Section<'d> {
        Section {
            document: self,
            header: String::new(),
            path: String::new(),
            at: 0,
            entries: table,
            known: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// What is wrong, though no line of the manifest is.
    pub fn error_outside(&self, key: String, what: String, fix: String) {
        self.error(None, key, what, fix);
    }

    /// The value read, if all went well, and the warnings.
    pub fn finish<T>(&self, value: T) -> Result<(T, Vec<Finding>), ManifestErrors> {
        ManifestErrors::unless_clean(self.errors.take(), (value, self.warnings.take()))
    }

    fn line(&self, at: usize) -> usize {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }

    fn error(&self, at: Option<usize>, key: String, what: String, fix: String) {
        self.errors
            .borrow_mut()
            .push(self.finding(at, key, what, fix));
    }

    fn finding(&self, at: Option<usize>, key: String, what: String, fix: String) -> Finding {
        Finding {
            file: self.file.to_owned(),
            line: at.map(|at| self.line(at)),
            key,
            what,
            fix,
        }
    }
}

// === impl Item ===

impl<'d> Item<'d> {
    pub fn error(&self, what: impl Into<String>, fix: impl Into<String>) {
        self.document
            .error(Some(self.at), self.name(), what.into(), fix.into());
    }

    pub fn warn(&self, what: impl Into<String>, fix: impl Into<String>) {
        let finding = self
            .document
            .finding(Some(self.at), self.name(), what.into(), fix.into());
        self.document.warnings.borrow_mut().push(finding);
    }

    pub fn line(&self) -> usize {
        self.document.line(self.at)
    }

    pub fn text(&self) -> Option<&'d str> {
        let text = self.value.as_str();
        if text.is_none() {
            let example = format!("{} = \"...\"", self.key);
            self.wrong_type(
                "a string",
                if self.in_list { "[\"...\"]" } else { &example },
            );
        }
        text
    }

    pub fn boolean(&self) -> Option<bool> {
        let boolean = self.value.as_bool();
        if boolean.is_none() {
            self.wrong_type("a boolean", &format!("{} = true", self.key));
        }
        boolean
    }

    /// A whole number; `example` is a value that may stand here.
    pub fn unsigned(&self, example: &str) -> Option<u64> {
        let number = self
            .value
            .as_integer()
            .and_then(|i| u64::from_str_radix(i.as_str(), i.radix()).ok());
        let example = format!("{} = {example}", self.key);
        match (number, self.value) {
            (None, DeValue::Integer(i)) => {
                self.error(
                    format!("{i} is out of range"),
                    format!("write for example `{example}`"),
                );
            }
            (None, _) => self.wrong_type("a whole number", &example),
            _ => {}
        }
        number
    }

    /// A number of either kind.
    pub fn number(&self) -> Option<f64> {
        let number = match self.value {
            DeValue::Float(f) => f.as_str().parse().ok(),
            DeValue::Integer(i) if i.radix() == 10 => i.as_str().parse().ok(),
            _ => None,
        };
        if number.is_none() {
            self.wrong_type("a number", "0.25");
        }
        number
    }

    pub fn list(&self) -> Option<Vec<Item<'d>>> {
        let Some(list) = self.value.as_array() else {
            self.wrong_type("a list", &format!("{} = [...]", self.key));
            return None;
        };
        let element = |value: &'d toml::Spanned<DeValue<'d>>| Item {
            at: value.span().start,
            value: value.get_ref(),
            in_list: true,
            ..self.clone()
        };
        Some(list.iter().map(element).collect())
    }

    /// A list of strings; those that are none are reported and left out.
    pub fn texts(&self) -> Vec<String> {
        self.list()
            .unwrap_or_default()
            .iter()
            .filter_map(Item::text)
            .map(str::to_owned)
            .collect()
    }

    pub fn table(&self) -> Option<Section<'d>> {
        let path = if self.path.is_empty() {
            self.key.to_owned()
        } else {
            format!("{}.{}", self.path, self.key)
        };
        let Some(entries) = self.value.as_table() else {
            self.wrong_type("a table", &format!("[{path}]"));
            return None;
        };
        Some(Section {
            document: self.document,
            header: format!("[{path}]"),
            path,
            at: self.at,
            entries,
            known: Vec::new(),
            refused: Vec::new(),
        })
    }

    /// `[[key]]`, as often as it is there.
    pub fn tables(&self) -> Vec<Section<'d>> {
        if self.is_table() {
            self.error(
                "this is one table, where a list of them belongs",
                format!("write `[[{}.{}]]`", self.path, self.key),
            );
            return Vec::new();
        }
        let sections: Vec<_> = self
            .list()
            .unwrap_or_default()
            .iter()
            .filter_map(Item::table)
            .collect();
        sections
            .into_iter()
            .map(|s| Section {
                header: format!("[{}]", s.header),
                ..s
            })
            .collect()
    }

    pub fn is_text(&self) -> bool {
        self.value.is_str()
    }

    pub fn is_boolean(&self) -> bool {
        self.value.is_bool()
    }

    /// As it is written, where it is a decimal one.
    pub fn integer(&self) -> Option<&'d str> {
        let integer = self.value.as_integer()?;
        (integer.radix() == 10).then(|| integer.as_str())
    }

    pub fn is_integer(&self) -> bool {
        self.value.is_integer()
    }

    pub fn is_table(&self) -> bool {
        self.value.is_table()
    }

    /// For what a key may be given as more than one type.
    pub fn wrong_type(&self, wanted: &str, example: &str) {
        let article = if matches!(self.value, DeValue::Integer(_) | DeValue::Array(_)) {
            "an"
        } else {
            "a"
        };
        let found = self.value.type_str();
        self.error(
            format!("{wanted} belongs here, not {article} {found}"),
            format!("write for example `{example}`"),
        );
    }

    fn is_empty(&self) -> bool {
        self.value.as_array().is_some_and(|list| list.is_empty())
            || self.value.as_table().is_some_and(DeTable::is_empty)
    }

    fn name(&self) -> String {
        let space = if self.header.is_empty() { "" } else { " " };
        format!("{}{space}{}", self.header, self.key)
    }
}

// === impl Section ===

impl<'d> Section<'d> {
    pub fn error(&self, what: impl Into<String>, fix: impl Into<String>) {
        self.document
            .error(Some(self.at), self.header.clone(), what.into(), fix.into());
    }

    pub fn take(&mut self, key: &'static str) -> Option<Item<'d>> {
        self.known.push(key);
        let (name, value) = self.entries.get_key_value(key)?;
        Some(self.item(name, value))
    }

    /// A key that must be there; `example` is how to write it.
    pub fn require(&mut self, key: &'static str, example: &str) -> Option<Item<'d>> {
        let item = self.take(key);
        if item.is_none() {
            self.error(format!("`{key}` is missing"), format!("add `{example}`"));
        }
        item
    }

    pub fn text(&mut self, key: &'static str) -> Option<&'d str> {
        self.take(key)?.text()
    }

    pub fn texts(&mut self, key: &'static str) -> Vec<String> {
        self.take(key).map(|item| item.texts()).unwrap_or_default()
    }

    pub fn table(&mut self, key: &'static str) -> Option<Section<'d>> {
        self.take(key)?.table()
    }

    /// A key that Spin knows and we don't support. An empty list or table asks for nothing, so it may stay.
    pub fn unsupported(&mut self, key: &'static str, fix: &str) {
        self.refused.push(key);
        let item = self.entries.get_key_value(key);
        if let Some(item) = item
            .map(|(name, value)| self.item(name, value))
            .filter(|item| !item.is_empty())
        {
            item.error("this key of Spin's is not supported yet", fix);
        }
    }

    /// Whatever keys there are, in the manifest's order.
    pub fn items(&self) -> Vec<Item<'d>> {
        let mut items: Vec<_> = self
            .entries
            .iter()
            .map(|(name, value)| self.item(name, value))
            .collect();
        items.sort_by_key(|item| item.at);
        items
    }

    /// Reports every key that wasn't taken.
    pub fn finish(self) {
        for item in self
            .items()
            .iter()
            .filter(|item| !self.known.contains(&item.key) && !self.refused.contains(&item.key))
        {
            let fix = match nearest(item.key, self.known.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None if self.known.is_empty() => "remove it".to_owned(),
                None => format!("remove it; known here: {}", self.known.join(", ")),
            };
            item.error("unknown key", fix);
        }
    }

    fn item(
        &self,
        name: &'d toml::Spanned<std::borrow::Cow<'d, str>>,
        value: &'d toml::Spanned<DeValue<'d>>,
    ) -> Item<'d> {
        Item {
            document: self.document,
            header: self.header.clone(),
            path: self.path.clone(),
            key: name.get_ref(),
            at: name.span().start,
            value: value.get_ref(),
            in_list: false,
        }
    }
}

/// The part of a line around a column; all of it where it isn't long.
fn quoted(line: &str, column: usize) -> String {
    let length = line.chars().count();
    if length <= QUOTED_MAX_CHARS {
        return line.to_owned();
    }
    let latest = length - QUOTED_MAX_CHARS;
    let start = column.saturating_sub(QUOTED_MAX_CHARS / 2).min(latest);
    let part: String = line.chars().skip(start).take(QUOTED_MAX_CHARS).collect();
    let (before, after) = (
        if start > 0 { "..." } else { "" },
        if start < latest { "..." } else { "" },
    );
    format!("{before}{part}{after}")
}
