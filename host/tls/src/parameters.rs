//! Takes the parameters about TLS out of a connection string, in either of its forms, since the driver's own parser knows only some of
//! them. It reads the string as that parser does; what it can't read, neither can.

use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::SslMode;

use crate::{Encryption, ParameterError, Roots, Trust};

/// What is not for the driver.
const OURS: [&str; 5] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "sslnegotiation",
];

/// A connection string without the parameters that are ours, and those.
type Split = (String, Vec<(String, String)>);

/// Reads a connection string. `roots` go before its `sslrootcert`, and whoever gives them counts on TLS: then only an explicit
/// `disable` goes without, and all else but `verify-ca` is `verify-full`.
pub fn parse(text: &str, roots: Option<Roots>) -> Result<(Config, Encryption), ParameterError> {
    let is_url = ["postgres://", "postgresql://"]
        .iter()
        .any(|scheme| text.starts_with(scheme));
    let split = if is_url {
        split_url(text)
    } else {
        split_words(text)
    };
    let (rest, ours) = split.ok_or(ParameterError::Syntax)?;
    // The last one counts, and an empty one is none.
    let value = |name: &str| {
        let found = ours.iter().rev().find(|(key, _)| key == name);
        found
            .map(|(_, value)| value.as_str())
            .filter(|value| !value.is_empty())
    };
    if value("sslcert").is_some() || value("sslkey").is_some() {
        return Err(ParameterError::ClientCertificate);
    }
    if value("sslnegotiation").is_some_and(|how| how != "postgres") {
        return Err(ParameterError::Negotiation);
    }
    let roots = roots.or_else(|| value("sslrootcert").map(Roots::named));
    let encryption = Encryption::of(value("sslmode"), roots)?;
    // The parser's own error may quote the text.
    let mut config: Config = rest.parse().map_err(|_| ParameterError::Syntax)?;
    config.ssl_mode(match encryption {
        Encryption::Never => SslMode::Disable,
        Encryption::IfPossible(_) => SslMode::Prefer,
        Encryption::Always(_) => SslMode::Require,
    });
    Ok((config, encryption))
}

/// `postgres://user:password@host/database?key=value&...`
fn split_url(text: &str) -> Option<Split> {
    let mut ours = Vec::new();
    let authority = text.find('@').unwrap_or(0);
    let Some((base, mut query)) = text
        .get(authority..)
        .and_then(|rest| rest.split_once('?'))
        .and_then(|(base, query)| Some((text.get(..authority + base.len())?, query)))
    else {
        return Some((text.to_owned(), ours));
    };
    let mut rest = base.to_owned();
    let mut separator = '?';
    while !query.is_empty() {
        let (key, after) = query.split_once('=')?;
        let (value, next) = after.split_once('&').unwrap_or((after, ""));
        let name = percent_decode_str(key).decode_utf8().ok()?;
        if OURS.contains(&&*name) {
            let value = percent_decode_str(value).decode_utf8().ok()?;
            ours.push((name.into_owned(), value.into_owned()));
        } else {
            rest.push(separator);
            rest.push_str(key);
            rest.push('=');
            rest.push_str(value);
            separator = '&';
        }
        query = next;
    }
    Some((rest, ours))
}

/// `host=... user='...' ...`
fn split_words(text: &str) -> Option<Split> {
    let mut ours = Vec::new();
    let mut rest = String::new();
    let mut left = text.trim_start();
    while !left.is_empty() {
        let end = left.find(|c: char| c.is_whitespace() || c == '=')?;
        let (key, after) = left.split_at(end);
        if key.is_empty() {
            return None;
        }
        let (value, after) = word(after.trim_start().strip_prefix('=')?.trim_start())?;
        if OURS.contains(&key) {
            ours.push((key.to_owned(), value));
        } else {
            rest.push_str(left.get(..left.len() - after.len())?);
            rest.push(' ');
        }
        left = after.trim_start();
    }
    Some((rest, ours))
}

/// A value, perhaps in quotes, and what comes after it. A backslash takes the next character as it is.
fn word(text: &str) -> Option<(String, &str)> {
    let quoted = text.strip_prefix('\'');
    let mut characters = quoted.unwrap_or(text).chars();
    let mut value = String::new();
    loop {
        let here = characters.as_str();
        match characters.next() {
            Some('\'') if quoted.is_some() => return Some((value, characters.as_str())),
            Some('\\') => value.extend(characters.next()),
            Some(c) if quoted.is_none() && c.is_whitespace() => return Some((value, here)),
            Some(c) => value.push(c),
            None if quoted.is_some() => return None,
            None => return Some((value, here)),
        }
    }
}

// === impl Encryption ===

impl Encryption {
    /// The table of libpq's documentation, with what its text adds: a file of roots is used whenever there is TLS, so that `require`
    /// with one is `verify-ca`; and `system` wants `verify-full`, which is the default with it.
    fn of(mode: Option<&str>, roots: Option<Roots>) -> Result<Self, ParameterError> {
        use Trust::{Anyone, Chain, ChainAndName};
        Ok(match (mode, roots) {
            (Some("verify-full"), Some(roots)) => Self::Always(ChainAndName(roots)),
            (None, Some(Roots::System)) => Self::Always(ChainAndName(Roots::System)),
            (Some("disable" | "prefer" | "require" | "verify-ca"), Some(Roots::System)) => {
                return Err(ParameterError::WeakWithSystem);
            }
            (Some("disable"), _) => Self::Never,
            (Some("verify-ca"), Some(roots)) => Self::Always(Chain(roots)),
            (None | Some("prefer" | "require"), Some(roots @ Roots::Given(_))) => {
                Self::Always(ChainAndName(roots))
            }
            (Some("require"), Some(roots)) => Self::Always(Chain(roots)),
            (Some("require"), None) => Self::Always(Anyone),
            (None | Some("prefer"), Some(roots)) => Self::IfPossible(Chain(roots)),
            (None | Some("prefer"), None) => Self::IfPossible(Anyone),
            (Some("verify-ca" | "verify-full"), None) => return Err(ParameterError::NoRoots),
            (Some(_), _) => return Err(ParameterError::Mode),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use Encryption::{Always, IfPossible, Never};
    use Trust::{Anyone, Chain, ChainAndName};

    fn file() -> Roots {
        Roots::File(PathBuf::from("/a b/ca.pem"))
    }

    fn of(text: &str) -> Result<Encryption, ParameterError> {
        parse(text, None).map(|(_, encryption)| encryption)
    }

    #[test]
    fn each_mode_means_what_it_means_to_libpq_in_both_forms() {
        let cases = [
            ("", "", Ok(IfPossible(Anyone))),
            ("disable", "", Ok(Never)),
            ("prefer", "", Ok(IfPossible(Anyone))),
            ("require", "", Ok(Always(Anyone))),
            ("verify-ca", "", Err(ParameterError::NoRoots)),
            ("verify-full", "", Err(ParameterError::NoRoots)),
            ("", "file", Ok(IfPossible(Chain(file())))),
            ("disable", "file", Ok(Never)),
            ("prefer", "file", Ok(IfPossible(Chain(file())))),
            ("require", "file", Ok(Always(Chain(file())))),
            ("verify-ca", "file", Ok(Always(Chain(file())))),
            ("verify-full", "file", Ok(Always(ChainAndName(file())))),
            ("", "system", Ok(Always(ChainAndName(Roots::System)))),
            ("disable", "system", Err(ParameterError::WeakWithSystem)),
            ("require", "system", Err(ParameterError::WeakWithSystem)),
            ("verify-ca", "system", Err(ParameterError::WeakWithSystem)),
            (
                "verify-full",
                "system",
                Ok(Always(ChainAndName(Roots::System))),
            ),
            ("allow", "", Err(ParameterError::Mode)),
            ("VERIFY-FULL", "file", Err(ParameterError::Mode)),
        ];
        for (mode, root, expected) in cases {
            let mut url = "postgres://u:p@h/d?application_name=a%26b".to_owned();
            let mut words = "host=h user=u password=p dbname=d application_name='a&b'".to_owned();
            if !mode.is_empty() {
                url += &format!("&sslmode={mode}");
                words += &format!(" sslmode = '{mode}'");
            }
            match root {
                "file" => {
                    url += "&sslrootcert=%2Fa%20b%2Fca.pem&connect_timeout=7";
                    words += r" sslrootcert=/a\ b/ca.pem connect_timeout=7";
                }
                "system" => {
                    url += "&sslrootcert=system";
                    words += "  sslrootcert='system' ";
                }
                _ => {}
            }
            for text in [url, words] {
                assert_eq!(of(&text), expected, "{text}");
                if let Ok((config, _)) = parse(&text, None) {
                    assert_eq!(config.get_application_name(), Some("a&b"), "{text}");
                    assert_eq!(config.get_connect_timeout().is_some(), root == "file");
                }
            }
        }
    }

    /// A mode that the driver would find and we wouldn't, or the other way round, would be a hole.
    #[test]
    fn a_string_is_read_as_the_driver_reads_it() {
        // In a password, a database's name or another parameter's value it is no parameter.
        for text in [
            "postgres://u:p?sslmode=disable@h/d",
            "postgres://u:p@h/d?options=sslmode%3Ddisable",
            "host=h user=u password='x sslmode=disable'",
            r"host=h user=u password=x\ sslmode=disable",
            r"host=h user=u password='it\'s sslmode=disable'",
        ] {
            assert_eq!(of(text), Ok(IfPossible(Anyone)), "{text}");
        }
        for text in [
            "postgres://u:p@h/d?%73slmode=disable",
            "postgres://h/d?user=u&sslmode=disable",
            "postgres://u@h?sslmode=require&sslmode=disable",
            "host=h user=u sslmode=require sslmode=disable",
            "host=h user='u'sslmode=disable",
            "\thost = h\nuser\t= u\nsslmode\n=\ndisable",
        ] {
            assert_eq!(of(text), Ok(Never), "{text}");
        }
        for text in [
            "nonsense",
            "sslmode",
            "=x",
            "host=h user='u",
            "postgres://u@h/d?sslmode",
            "postgres://u@h/d?colour=red",
            "host=h colour=red",
        ] {
            assert_eq!(of(text), Err(ParameterError::Syntax), "{text}");
        }
        let (config, _) = parse(
            "postgres://u:p%3F@h/d?sslmode=disable&options=-c%20a%3Db",
            None,
        )
        .unwrap();
        assert_eq!(config.get_password(), Some(&b"p?"[..]));
        assert_eq!(config.get_options(), Some("-c a=b"));
    }

    #[test]
    fn what_is_not_supported_is_refused() {
        let cases = [
            ("sslcert=c", ParameterError::ClientCertificate),
            ("sslkey=k", ParameterError::ClientCertificate),
            ("sslnegotiation=direct", ParameterError::Negotiation),
            ("sslcrl=x", ParameterError::Syntax),
        ];
        for (parameter, expected) in cases {
            assert_eq!(of(&format!("postgres://u@h/d?{parameter}")), Err(expected));
            assert_eq!(of(&format!("host=h user=u {parameter}")), Err(expected));
        }
        assert_eq!(
            of("postgres://u@h/d?sslnegotiation=postgres&sslrootcert="),
            Ok(IfPossible(Anyone))
        );
    }

    #[test]
    fn roots_that_are_given_demand_tls() {
        let given = Roots::Given([].into());
        let of = |parameters: &str| {
            let text = format!("postgres://u@h/d?{parameters}");
            parse(&text, Some(given.clone())).map(|(_, encryption)| encryption)
        };
        let full = Ok(Always(ChainAndName(given.clone())));
        for mode in [
            "",
            "sslmode=prefer",
            "sslmode=require",
            "sslmode=verify-full",
            "sslrootcert=system",
        ] {
            assert_eq!(of(mode), full, "{mode}");
        }
        assert_eq!(of("sslmode=verify-ca"), Ok(Always(Chain(given.clone()))));
        assert_eq!(of("sslmode=disable"), Ok(Never));
    }
}
