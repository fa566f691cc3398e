//! Closed sets of names, as they are written in JSON, in query strings and in the database.

/// A name out of a closed, case-sensitive set.
pub trait Name: Copy + 'static {
    /// All the names, in the order in which a client is told of them.
    const ALL: &'static [Self];

    /// The name as it is written.
    fn as_str(self) -> &'static str;

    /// The name that is written so.
    fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|name| name.as_str() == text)
    }

    /// The names as texts.
    fn texts() -> Vec<&'static str> {
        Self::ALL.iter().map(|name| name.as_str()).collect()
    }

    /// The names as one list, each in the order of `names`.
    fn join(names: &[Self], separator: &str) -> String {
        names
            .iter()
            .map(|name| name.as_str())
            .collect::<Vec<_>>()
            .join(separator)
    }
}

/// An enum whose variants are written as the given texts.
#[macro_export]
macro_rules! names {
    ($(#[$meta:meta])* $vis:vis enum $type:ident { $($variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, $crate::serde::Serialize, $crate::serde::Deserialize, $crate::schemars::JsonSchema)]
        #[serde(crate = "::wms::serde")]
        #[schemars(crate = "::wms::schemars")]
        $vis enum $type { $(#[serde(rename = $text)] $variant),+ }

        impl $crate::Name for $type {
            const ALL: &'static [Self] = &[$(Self::$variant),+];

            fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
    };
}
