//! Where the statements of an SQL text begin, for error messages only: PostgreSQL itself splits what it runs.

/// The line (from 1) of the statement with this index (from 0).
pub(super) fn line_of_statement(sql: &str, index: usize) -> Option<usize> {
    let start = Scanner { rest: sql, sql }.nth(index)?;
    Some(line_at(sql, start))
}

/// The line (from 1) of the character with this number (from 1), which is how PostgreSQL counts.
pub(super) fn line_of_character(sql: &str, number: u32) -> usize {
    let before = usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
    1 + sql
        .chars()
        .take(before)
        .filter(|character| *character == '\n')
        .count()
}

fn line_at(sql: &str, offset: usize) -> usize {
    1 + sql
        .bytes()
        .take(offset)
        .filter(|byte| *byte == b'\n')
        .count()
}

/// Yields the byte offset of each statement's first word.
struct Scanner<'a> {
    sql: &'a str,
    rest: &'a str,
}

impl Iterator for Scanner<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        let mut start = None;
        while let Some(first) = self.rest.chars().next() {
            let offset = self.sql.len() - self.rest.len();
            let (length, is_code) = self.token(first);
            self.rest = self.rest.get(length..).unwrap_or("");
            if first == ';' {
                if start.is_some() {
                    return start;
                }
            } else if is_code && start.is_none() {
                start = Some(offset);
            }
        }
        start
    }
}

impl Scanner<'_> {
    /// The length in bytes of what comes next, and whether it is more than space and comments.
    fn token(&self, first: char) -> (usize, bool) {
        let rest = self.rest;
        let until = |end: &str, from: usize| {
            let body = rest.get(from..).unwrap_or("");
            body.find(end)
                .map_or(rest.len(), |at| from + at + end.len())
        };
        match first {
            _ if rest.starts_with("--") => (until("\n", 2), false),
            _ if rest.starts_with("/*") => (block_comment(rest), false),
            // A doubled quote inside closes one literal and opens the next: the same to us.
            '\'' => (until("'", 1), true),
            '"' => (until("\"", 1), true),
            'E' | 'e' if rest.get(1..2) == Some("'") => (escape_string(rest), true),
            '$' => match dollar_tag(rest) {
                Some(tag) => (until(tag, tag.len()), true),
                None => (1, true),
            },
            // As a whole, so that the `e` of `name'..'` or the `$` of `a$b$` isn't taken for a beginning.
            _ if first.is_alphanumeric() || first == '_' => {
                let end = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'));
                (end.unwrap_or(rest.len()), true)
            }
            _ => (first.len_utf8(), !first.is_whitespace()),
        }
    }
}

/// Block comments nest.
fn block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// `E'...'`, where a backslash takes the next character's meaning away.
fn escape_string(text: &str) -> usize {
    let mut characters = text.char_indices().skip(2);
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => {
                characters.next();
            }
            '\'' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// `$$` or `$tag$`, but not `$1`.
fn dollar_tag(text: &str) -> Option<&str> {
    let end = text.get(1..)?.find('$')? + 2;
    let tag = text.get(..end)?;
    let name = tag.trim_matches('$');
    let is_name = name.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    is_name.then_some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(sql: &str) -> Vec<usize> {
        (0..)
            .map_while(|index| line_of_statement(sql, index))
            .collect()
    }

    #[test]
    fn statements_begin_at_their_first_word() {
        assert_eq!(lines(""), [0; 0]);
        assert_eq!(lines("-- only a comment; with a semicolon\n;;\n"), [0; 0]);
        assert_eq!(
            lines("-- why\n\nSELECT 1;\n/* and /* nested; */ ; */\nSELECT\n 2;\nSELECT 3"),
            [3, 5, 7]
        );
    }

    #[test]
    fn semicolons_in_literals_names_and_bodies_end_nothing() {
        let sql = "SELECT 'it''s; one', \"a;b\", E'\\';', $1;\nDO $$ BEGIN; 'x; END $$;\nDO $body$ $$;\n$body$;\nSELECT name'; --';\nSELECT 'ő;é';\nSELECT 5";
        assert_eq!(lines(sql), [1, 2, 3, 5, 6, 7]);
    }

    #[test]
    fn characters_are_counted_not_bytes() {
        let sql = "SELECT 'őőő';\nSELECT wrong";
        let position = u32::try_from(sql.chars().position(|c| c == 'w').unwrap() + 1).unwrap();
        assert_eq!(line_of_character(sql, position), 2);
        assert_eq!(line_of_character(sql, 1), 1);
    }
}
