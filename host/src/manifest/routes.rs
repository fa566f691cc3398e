//! Which function answers a path. The rules are Spin's:
//! - a pattern is literal segments, `:name` segments that take any one segment, and at its end possibly `/...` (or `/*`), which
//!   takes the rest, even none;
//! - slashes at either end of a path or a pattern don't matter;
//! - where several patterns match, they are compared segment by segment: literal beats `:name` beats `/...`.
//!
//! Two patterns that match exactly the same paths are an error here (Spin lets the last one win).
//! A lookup visits each node of the tree of segments at most once and allocates only if the route has `:name` segments.

use std::fmt;
use std::sync::Arc;

use super::app::{FunctionId, Route};

/// A route as the manifest has it, and taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoutePattern {
    template: Arc<str>,
    segments: Vec<Segment>,
    /// Ends in `/...`
    takes_rest: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Segment {
    Literal(Box<str>),
    Param(Box<str>),
}

/// All routes of an application.
#[derive(Debug, Clone, Default)]
pub struct Router {
    routes: Vec<Route>,
    /// The first one is the root; a child's index is always greater than its parent's.
    nodes: Vec<Node>,
}

#[derive(Debug, Clone, Default)]
struct Node {
    /// Sorted by text.
    literals: Vec<(Box<str>, usize)>,
    param: Option<usize>,
    /// The route that ends here.
    exact: Option<usize>,
    /// The route that takes whatever follows.
    rest: Option<usize>,
}

/// The route that answers a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteMatch<'a> {
    /// The route's index in the slice that `Router::new` got.
    pub index: usize,
    /// The route as the manifest has it, for example `/api/lots/:id`: bounded, so fit for a label.
    pub template: &'a str,
    pub function: &'a FunctionId,
    /// What a trailing `/...` took, with its slashes, undecoded; empty without one.
    pub path_info: &'a str,
    names: &'a [Segment],
    values: Vec<&'a str>,
}

/// Why a string is no route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadRoute {
    #[error("a segment is empty")]
    EmptySegment,
    #[error(
        "a parameter's name is letters, digits, `_` and `-`: it becomes part of a header's name"
    )]
    ParamName,
    #[error("a parameter shares its segment with other text, which is not supported")]
    PartialParam,
    #[error("two parameters have the same name")]
    RepeatedParam,
    #[error("`...` and `*` may only be the last segment, alone")]
    WildcardInside,
    #[error(
        "`?`, `#`, spaces and what is not ASCII are never part of a path unless percent-encoded"
    )]
    NotAPath,
    #[error("`/.well-known/spin/` is reserved: stock Spin refuses it")]
    Reserved,
}

/// Two routes that match the same paths: their indices in the slice that `Router::new` got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("routes number {} and {} match the same paths", first + 1, second + 1)]
pub struct DuplicateRoute {
    pub first: usize,
    pub second: usize,
}

// === impl RoutePattern ===

impl RoutePattern {
    pub fn parse(template: &str) -> Result<Self, BadRoute> {
        if !template
            .bytes()
            .all(|b| b.is_ascii_graphic() && b != b'?' && b != b'#')
        {
            return Err(BadRoute::NotAPath);
        }
        let path = template.trim_matches('/');
        if format!("{path}/").starts_with(".well-known/spin/")
            && path.len() > ".well-known/spin".len()
        {
            return Err(BadRoute::Reserved);
        }
        let mut rest: Vec<&str> = if path.is_empty() {
            Vec::new()
        } else {
            path.split('/').collect()
        };
        let takes_rest = rest.pop_if(|last| matches!(*last, "..." | "*")).is_some();
        let segments = rest
            .into_iter()
            .map(Segment::parse)
            .collect::<Result<Vec<_>, _>>()?;
        let mut names: Vec<&str> = segments.iter().filter_map(Segment::name).collect();
        names.sort_unstable();
        if names
            .windows(2)
            .any(|pair| matches!(pair, [a, b] if a == b))
        {
            return Err(BadRoute::RepeatedParam);
        }
        let template = if template.starts_with('/') {
            template.into()
        } else {
            format!("/{template}").into()
        };
        Ok(Self {
            template,
            segments,
            takes_rest,
        })
    }

    /// The route as the manifest has it; a missing leading slash is added.
    pub fn template(&self) -> &str {
        &self.template
    }
}

impl fmt::Display for RoutePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.template)
    }
}

// === impl Segment ===

impl Segment {
    fn parse(text: &str) -> Result<Self, BadRoute> {
        match text.strip_prefix(':') {
            _ if text.is_empty() => Err(BadRoute::EmptySegment),
            _ if text == "..." || text.starts_with('*') => Err(BadRoute::WildcardInside),

            // Spin ends a parameter at a dot, so `:name.json` has a meaning there that we don't give it.
            Some(name) if name.contains('.') => Err(BadRoute::PartialParam),
            Some(name) if name.is_empty() || !name.bytes().all(is_name_byte) => {
                Err(BadRoute::ParamName)
            }
            Some(name) => Ok(Self::Param(name.into())),
            None if text.contains(".:") => Err(BadRoute::PartialParam),
            None => Ok(Self::Literal(text.into())),
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Param(name) => Some(name),
            Self::Literal(_) => None,
        }
    }
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

// === impl Router ===

impl Router {
    /// The routes keep their places: `RouteMatch::index` counts in this slice.
    pub fn new(routes: &[Route]) -> Result<Self, Vec<DuplicateRoute>> {
        let mut router = Self {
            routes: routes.to_vec(),
            nodes: vec![Node::default()],
        };
        let duplicates: Vec<_> = routes
            .iter()
            .enumerate()
            .filter_map(|(second, route)| {
                let first = router.insert(second, &route.pattern)?;
                Some(DuplicateRoute { first, second })
            })
            .collect();
        if duplicates.is_empty() {
            Ok(router)
        } else {
            Err(duplicates)
        }
    }

    /// The route that already has the place, if one has.
    fn insert(&mut self, index: usize, pattern: &RoutePattern) -> Option<usize> {
        let mut at = 0;
        for segment in &pattern.segments {
            let next = self.nodes.len();
            let node = self.nodes.get_mut(at)?;
            at = match segment {
                Segment::Param(_) => *node.param.get_or_insert(next),
                Segment::Literal(text) => match node.child(text) {
                    Ok(child) => child,
                    Err(place) => {
                        node.literals.insert(place, (text.clone(), next));
                        next
                    }
                },
            };
            if at == next {
                self.nodes.push(Node::default());
            }
        }
        let node = self.nodes.get_mut(at)?;
        let place = if pattern.takes_rest {
            &mut node.rest
        } else {
            &mut node.exact
        };
        let taken = *place;
        place.get_or_insert(index);
        taken
    }

    /// `path` is the request's path, percent-encoded as it came, without its query.
    pub fn find<'a>(&'a self, path: &'a str) -> Option<RouteMatch<'a>> {
        let inner = path.trim_matches('/');
        let mut values = Vec::new();
        let (index, rest) = self.search(0, (!inner.is_empty()).then_some(inner), &mut values)?;
        let route = self.routes.get(index)?;
        let path_info = if route.pattern.takes_rest {
            path_info(path, rest)
        } else {
            ""
        };
        Some(RouteMatch {
            index,
            template: route.pattern.template(),
            function: &route.function,
            path_info,
            names: &route.pattern.segments,
            values,
        })
    }

    /// Depth first, the most specific child first, so what is found first is the best. `rest` is what of the path is left.
    fn search<'a>(
        &self,
        at: usize,
        rest: Option<&'a str>,
        values: &mut Vec<&'a str>,
    ) -> Option<(usize, Option<&'a str>)> {
        let node = self.nodes.get(at)?;
        let Some(path) = rest else {
            return node.exact.or(node.rest).map(|index| (index, None));
        };
        let (segment, tail) = match path.split_once('/') {
            Some((segment, tail)) => (segment, Some(tail)),
            None => (path, None),
        };
        if let Ok(child) = node.child(segment)
            && let Some(found) = self.search(child, tail, values)
        {
            return Some(found);
        }
        if let Some(child) = node.param {
            values.push(segment);
            if let Some(found) = self.search(child, tail, values) {
                return Some(found);
            }
            values.pop();
        }
        node.rest.map(|index| (index, rest))
    }
}

/// What `/...` took, as a piece of `path`: with the slash before it, and one slash of those at the end.
fn path_info<'a>(path: &'a str, rest: Option<&'a str>) -> &'a str {
    let end = path.trim_end_matches('/').len();
    let with_slash = (end + 1).min(path.len());
    let start = match rest {
        // `rest` is the end of the trimmed path, and a slash precedes it, unless the path has none at its start.
        Some(rest) => end.saturating_sub(rest.len()).saturating_sub(1),
        None => end,
    };
    path.get(start..with_slash).unwrap_or("")
}

// === impl Node ===

impl Node {
    /// The child of this text, or the place where it belongs.
    fn child(&self, text: &str) -> Result<usize, usize> {
        let place = self
            .literals
            .binary_search_by(|(literal, _)| literal.as_ref().cmp(text))?;
        self.literals
            .get(place)
            .map(|(_, child)| *child)
            .ok_or(place)
    }
}

// === impl RouteMatch ===

impl<'a> RouteMatch<'a> {
    /// The `:name` segments and what they took, in the route's order, undecoded.
    pub fn params(&self) -> impl Iterator<Item = (&'a str, &'a str)> + '_ {
        self.names
            .iter()
            .filter_map(Segment::name)
            .zip(self.values.iter().copied())
    }
}
