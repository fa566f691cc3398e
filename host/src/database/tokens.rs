//! A statement's words, as far as they have to be told from what is quoted or commented out.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// A key word, or a name. A quoted name is one without its quotes.
    Word(&'a str),
    /// A string, in whichever quotes.
    Literal,
    Symbol(char),
}

#[derive(Clone, Debug)]
pub(super) struct Tokens<'a>(&'a str);

// === impl Token ===

impl Token<'_> {
    /// One of these words, in capitals or not.
    pub fn is(&self, words: &[&str]) -> bool {
        let Self::Word(word) = self else {
            return false;
        };
        words.iter().any(|wanted| word.eq_ignore_ascii_case(wanted))
    }
}

// === impl Tokens ===

impl<'a> Tokens<'a> {
    pub fn of(statement: &'a str) -> Self {
        Self(statement)
    }

    /// Takes `bytes` off the front; all, if there are fewer.
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.0.split_at_checked(bytes).unwrap_or((self.0, ""));
        self.0 = rest;
        taken
    }

    /// Skips to behind the next `end`.
    fn skip_to(&mut self, end: &str) {
        let at = self.0.find(end).map_or(self.0.len(), |at| at + end.len());
        self.take(at);
    }

    fn skip_blank(&mut self) {
        loop {
            self.0 = self.0.trim_start();
            if self.0.starts_with("--") {
                self.skip_to("\n");
            } else if self.0.starts_with("/*") {
                self.skip_comment();
            } else {
                return;
            }
        }
    }

    /// Comments in `/*` and `*/` nest.
    fn skip_comment(&mut self) {
        let mut depth = 0;
        loop {
            if self.0.starts_with("/*") {
                depth += 1;
                self.take(2);
            } else if self.0.starts_with("*/") {
                depth -= 1;
                self.take(2);
            } else {
                self.take(1);
                let next = self.0.find(['/', '*']).unwrap_or(self.0.len());
                self.take(next);
            }
            if depth == 0 || self.0.is_empty() {
                return;
            }
        }
    }

    /// A quote in a string is written twice, which looks like two strings. After a backslash it ends none, if `escapes`.
    fn skip_string(&mut self, escapes: bool) {
        self.take(1);
        loop {
            let at = self.0.find(['\'', '\\']).unwrap_or(self.0.len());
            self.take(at);
            let found = self.take(1);
            if found == "\\" && escapes {
                let next = self.0.chars().next().map_or(0, char::len_utf8);
                self.take(next);
            } else if found != "\\" {
                return;
            }
        }
    }

    /// The tag of a string in dollars that begins here: `$tag$`.
    fn dollar_tag(&self) -> Option<&'a str> {
        let tag = self.0.strip_prefix('$')?;
        let end = tag.find(|c: char| !is_name(c) || c == '$')?;
        let starts = !tag.starts_with(|c: char| c.is_ascii_digit());
        (starts && tag.get(end..)?.starts_with('$')).then(|| self.0.get(..end + 2))?
    }
}

fn is_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip_blank();
        let first = self.0.chars().next()?;
        if let Some(tag) = self.dollar_tag() {
            self.take(tag.len());
            self.skip_to(tag);
            return Some(Token::Literal);
        }
        Some(match first {
            '\'' => {
                self.skip_string(false);
                Token::Literal
            }
            '"' => {
                self.take(1);
                let end = self.0.find('"').unwrap_or(self.0.len());
                let name = self.take(end);
                self.take(1);
                Token::Word(name)
            }
            c if is_name(c) && c != '$' => {
                let end = self.0.find(|c| !is_name(c)).unwrap_or(self.0.len());
                let word = self.take(end);
                if word.eq_ignore_ascii_case("E") && self.0.starts_with('\'') {
                    self.skip_string(true);
                    return Some(Token::Literal);
                }
                Token::Word(word)
            }
            symbol => {
                self.take(symbol.len_utf8());
                Token::Symbol(symbol)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(statement: &str) -> Vec<&str> {
        Tokens::of(statement)
            .filter_map(|token| match token {
                Token::Word(word) => Some(word),
                Token::Literal | Token::Symbol(_) => None,
            })
            .collect()
    }

    #[test]
    fn what_is_quoted_or_commented_out_is_no_word() {
        for (statement, expected) in [
            ("a 'b' c", vec!["a", "c"]),
            ("a 'it''s' c", vec!["a", "c"]),
            (r"a E'\'b' c", vec!["a", "c"]),
            (r"a '\' c", vec!["a", "c"]),
            ("a $$ 'b $$ c", vec!["a", "c"]),
            ("a $x$ $$ b $x$ c", vec!["a", "c"]),
            ("a = $1 OR b$2", vec!["a", "1", "OR", "b$2"]),
            ("a -- b\nc", vec!["a", "c"]),
            ("a /* b /* b */ b */ c", vec!["a", "c"]),
            ("\"a b\".c(d)", vec!["a b", "c", "d"]),
            ("a 'never closed", vec!["a"]),
            ("a /* never closed", vec!["a"]),
            ("a $$ never closed", vec!["a"]),
            ("é \"", vec!["é", ""]),
        ] {
            assert_eq!(words(statement), expected, "{statement}");
        }
    }

    proptest! {
        #[test]
        fn any_text_comes_to_an_end(text in r"([a-z ]|['$/*\\\-é\x22(])*") {
            prop_assert!(Tokens::of(&text).count() <= text.len());
        }
    }
}
