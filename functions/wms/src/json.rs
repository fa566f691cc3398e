//! What a JSON text must not hold, found before it is parsed: a nesting that is too deep, or a NUL, which no text column takes.

/// How deep arrays and objects may be nested.
const DEPTH_MAX: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    TooDeep,
    Nul,
}

/// Looks at the brackets and the escapes only; whether the text is JSON at all, its parser tells.
pub fn check(text: &[u8]) -> Result<(), Unfit> {
    let mut depth = 0_usize;
    let mut in_string = false;
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                let escaped = rest.next();
                if escaped == Some(&b'u') && rest.as_slice().starts_with(b"0000") {
                    return Err(Unfit::Nul);
                }
            }
            b'[' | b'{' if !in_string => {
                depth += 1;
                if depth > DEPTH_MAX {
                    return Err(Unfit::TooDeep);
                }
            }
            b']' | b'}' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> String {
        format!("{}{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn counts_levels_outside_of_texts() {
        assert_eq!(check(nested(64).as_bytes()), Ok(()));
        assert_eq!(check(nested(65).as_bytes()), Err(Unfit::TooDeep));
        assert_eq!(
            check(format!("[{}{}]", nested(63), nested(63)).as_bytes()),
            Ok(())
        );
        assert_eq!(
            check(format!(r#"["\"{}"]"#, "[".repeat(99)).as_bytes()),
            Ok(())
        );
    }

    #[test]
    fn finds_a_nul_but_not_a_backslash_before_u0000() {
        assert_eq!(check(br#"{"a":"\u0000"}"#), Err(Unfit::Nul));
        assert_eq!(check(br#"{"a":"\\u0000"}"#), Ok(()));
        assert_eq!(check(br#"{"a":"\u00e9"}"#), Ok(()));
    }
}
