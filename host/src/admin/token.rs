//! Who may change what is live: whoever has the token.

use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq as _;

use crate::manifest::Secret;

/// Bytes. A shorter one could be guessed.
const SHORTEST: usize = 16;

#[derive(Clone, Debug)]
pub struct AdminToken(Secret);

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadToken {
    #[error(
        "the admin token has {0} bytes; one of fewer than {SHORTEST} could be guessed (`openssl rand -hex 32` makes one)"
    )]
    Short(usize),
    #[error("the admin token has characters that no header can carry")]
    NotSendable,
}

/// Why a request may not have what it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error(
        "The host was started without an admin token: set FLOWVIZ_ADMIN_TOKEN, or name a file with --admin-token-file."
    )]
    NoToken,
    #[error("`Authorization: Bearer <token>` with the host's admin token is needed.")]
    Wrong,
}

// === impl AdminToken ===

impl AdminToken {
    /// Without the line end that editors and shells add.
    pub fn new(text: &str) -> Result<Self, BadToken> {
        let text = text.trim_end_matches(['\r', '\n']);
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BadToken::NotSendable);
        }
        if text.len() < SHORTEST {
            return Err(BadToken::Short(text.len()));
        }
        Ok(Self(Secret::from(text)))
    }

    /// How long it takes doesn't depend on how much of it is right.
    fn is(&self, given: &str) -> bool {
        self.0.expose().as_bytes().ct_eq(given.as_bytes()).into()
    }
}

pub fn check(token: Option<&AdminToken>, headers: &HeaderMap) -> Result<(), Refused> {
    let token = token.ok_or(Refused::NoToken)?;
    let given = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, given)| given.trim());
    match given {
        Some(given) if token.is(given) => Ok(()),
        _ => Err(Refused::Wrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    const TEXT: &str = "0123456789abcdef";

    #[test]
    fn only_the_token_opens() {
        let token = AdminToken::new(&format!("{TEXT}\n")).unwrap();
        let ask = |value: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            check(Some(&token), &headers)
        };
        assert_eq!(ask(Some(&format!("Bearer {TEXT}"))), Ok(()));
        assert_eq!(ask(Some(&format!("bearer  {TEXT}"))), Ok(()));
        for wrong in [
            None,
            Some("Bearer"),
            Some("Bearer 0123456789abcde"),
            Some("Bearer 0123456789abcdef0"),
            Some("Basic 0123456789abcdef"),
        ] {
            assert_eq!(ask(wrong), Err(Refused::Wrong), "{wrong:?}");
        }
        assert_eq!(check(None, &HeaderMap::new()), Err(Refused::NoToken));
    }

    #[test]
    fn a_token_is_long_and_fits_into_a_header_and_is_never_shown() {
        assert_eq!(AdminToken::new("short").unwrap_err(), BadToken::Short(5));
        assert_eq!(AdminToken::new("").unwrap_err(), BadToken::Short(0));
        let spaced = AdminToken::new("0123456789 abcdef");
        assert_eq!(spaced.unwrap_err(), BadToken::NotSendable);
        let shown = format!("{:?}", AdminToken::new(TEXT).unwrap());
        assert!(!shown.contains(TEXT), "{shown}");
    }
}
