//! Whose request it is, as a rule counts it: a user, an address, or a text of the body. Short, and of a fixed size: a hash.

use std::fmt;
use std::hash::{BuildHasher, Hash as _, Hasher as _, RandomState};
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;
use token::Verifier;
use uuid::Uuid;

/// Keyed with a secret of the process, so that nobody can choose two subjects that count as one.
#[derive(Clone, Debug, Default)]
pub struct Subjects(RandomState);

/// Subjects of different kinds never have the same key.
#[derive(Hash)]
enum Kind {
    User,
    Address,
    Field,
}

// === impl Subjects ===

impl Subjects {
    pub fn user(&self, user: Uuid) -> u64 {
        self.0.hash_one((Kind::User, user))
    }

    /// All of an IPv6 network of 64 bits is one: that is what one subscriber has.
    pub fn address(&self, address: IpAddr) -> u64 {
        match address.to_canonical() {
            IpAddr::V4(v4) => self.0.hash_one((Kind::Address, v4)),
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                self.0.hash_one((Kind::Address, [a, b, c, d]))
            }
        }
    }

    /// The text of `field` at the top of a JSON body, trimmed and in lower case. `None` where there is none.
    pub fn field(&self, field: &str, body: &[u8]) -> Option<u64> {
        let mut found = None;
        let mut json = serde_json::Deserializer::from_slice(body);
        // What is no object has no field. What goes wrong after the field takes nothing back.
        _ = json.deserialize_map(Object {
            field,
            found: &mut found,
        });
        let text: String = found?;
        let mut hasher = self.0.build_hasher();
        Kind::Field.hash(&mut hasher);
        for c in text.trim().chars().flat_map(char::to_lowercase) {
            c.hash(&mut hasher);
        }
        Some(hasher.finish())
    }
}

/// The user of the bearer token, if it is a valid one.
pub fn user(headers: &HeaderMap, verifier: &Verifier) -> Option<Uuid> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    verifier.verify(token.trim(), now.as_secs())
}

/// Looks for one field of an object, and keeps nothing else. Of several of the same name the last one counts, as for most readers
/// of JSON.
struct Object<'a> {
    field: &'a str,
    found: &'a mut Option<String>,
}

struct Name<'a>(&'a str);

// === impl Object ===

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(is_it) = map.next_key_seed(Name(self.field))? {
            if is_it {
                let value: &RawValue = map.next_value()?;
                *self.found = serde_json::from_str(value.get()).ok();
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

// === impl Name ===

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(name == self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use token::Claims;

    #[test]
    fn an_address_counts_with_its_network() {
        let subjects = Subjects::default();
        let key = |address: &str| subjects.address(address.parse().unwrap());
        assert_eq!(key("2001:db8:1:2::1"), key("2001:db8:1:2:ffff::2"));
        assert_ne!(key("2001:db8:1:2::1"), key("2001:db8:1:3::1"));
        assert_ne!(key("192.0.2.1"), key("192.0.2.2"));
        // As a listener on `[::]` sees it.
        assert_eq!(key("192.0.2.1"), key("::ffff:192.0.2.1"));
    }

    #[test]
    fn a_text_counts_whatever_its_case_and_the_blanks_around_it() {
        let subjects = Subjects::default();
        let key = |body: &str| subjects.field("email", body.as_bytes());
        let joe = key(r#"{"email":"joe@example.com"}"#);
        assert!(joe.is_some());
        for body in [
            r#"{"email":" Joe@Example.COM\n"}"#,
            r#"{"password":{"email":"other"},"email":"joe@example.com","x":[1,{"a":null}]}"#,
            r#"{"\u0065mail":"jo\u0065@example.com"}"#,
            r#"{"email":"other","email":"joe@example.com"}"#,
            r#"{"email":["other"],"email":"joe@example.com"}"#,
            r#"{"email":"joe@example.com"} and more"#,
            r#"{"email":"joe@example.com",,"#,
        ] {
            assert_eq!(key(body), joe, "{body}");
        }
        let deep = format!(
            r#"{{"x":{}{},"email":"joe@example.com"}}"#,
            "[".repeat(5000),
            "]".repeat(5000)
        );
        assert_eq!(key(&deep), joe);
        assert_ne!(key(r#"{"email":"jane@example.com"}"#), joe);
        for body in [
            "",
            "null",
            "[]",
            r#""email""#,
            "{}",
            r#"{"email":null}"#,
            r#"{"email":7}"#,
            r#"{"e-mail":"joe@example.com"}"#,
            r#"{"email":"joe"#,
            "\u{feff}{}",
        ] {
            assert_eq!(key(body), None, "{body}");
        }
    }

    #[test]
    fn a_user_is_one_with_a_valid_token() {
        const SECRET: &str = "0123456789abcdef0123456789abcdef";
        let verifier = Verifier::new(SECRET).unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let joe = Uuid::new_v4();
        let token = Claims::new(joe, "ANY", now.as_secs()).sign(SECRET).unwrap();
        let with = |value: &str| {
            let value = HeaderValue::from_str(value).unwrap();
            user(&HeaderMap::from_iter([(AUTHORIZATION, value)]), &verifier)
        };
        assert_eq!(with(&format!("Bearer {token}")), Some(joe));
        assert_eq!(with(&format!("bearer  {token}")), Some(joe));
        assert_eq!(with(&format!("Basic {token}")), None);
        assert_eq!(with(&format!("Bearer {token}x")), None);
        assert_eq!(with(&token), None);
        assert_eq!(user(&HeaderMap::new(), &verifier), None);

        let subjects = Subjects::default();
        assert_ne!(subjects.user(joe), subjects.user(Uuid::new_v4()));
    }
}
