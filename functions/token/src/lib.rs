//! Login tokens: JWT, HS256, 30 minutes.
//!
//! The claim `role` is for the client's eyes: a function asks the database on every call.

use std::borrow::Cow;

use base64ct::{Base64UrlUnpadded as Base64, Encoding as _};
use hmac::{Hmac, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use uuid::Uuid;

/// How long a token is good for, in seconds.
pub const LIFETIME_SECONDS: u64 = 30 * 60;

/// How far the clocks of two hosts may be apart, in seconds.
const CLOCK_SKEW_SECONDS: u64 = 60;

/// Ours is about 300 bytes; anything much longer is not ours, and not worth a hash.
const TOKEN_MAX_BYTES: usize = 4096;

const SIGNATURE_BYTES: usize = 32;

#[derive(Serialize, Deserialize)]
struct Header<'a> {
    #[serde(borrow)]
    alg: Cow<'a, str>,
    #[serde(borrow, default)]
    typ: Option<Cow<'a, str>>,
}

/// Checks tokens of one secret. The secret is made a key once, and no token makes it allocate.
#[derive(Clone, Debug)]
pub struct Verifier(Hmac<Sha256>);

/// What a token says. Times are seconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    pub sub: Uuid,
    pub role: String,
    pub iat: u64,
    pub exp: u64,
    pub jti: Uuid,
}

/// What must be there of a token for it to be checked: other issuers of the same secret may leave out the rest.
#[derive(Deserialize)]
struct Presented {
    sub: Uuid,
    exp: u64,
    #[serde(default)]
    iat: u64,
    #[serde(default)]
    nbf: u64,
}

// === impl Claims ===

impl Claims {
    /// Claims for a user who logs in at `now`.
    pub fn new(sub: Uuid, role: &str, now: u64) -> Self {
        Self {
            sub,
            role: role.to_owned(),
            iat: now,
            exp: now + LIFETIME_SECONDS,
            jti: Uuid::new_v4(),
        }
    }

    /// The signed token. `None` only if the secret can't be a key, which no secret of HMAC is.
    pub fn sign(&self, secret: &str) -> Option<String> {
        let header = Header {
            alg: "HS256".into(),
            typ: Some("JWT".into()),
        };
        let signed = format!("{}.{}", encode(&header)?, encode(self)?);
        let mut mac = keyed(secret)?;
        mac.update(signed.as_bytes());
        let signature = Base64::encode_string(&mac.finalize().into_bytes());
        Some(format!("{signed}.{signature}"))
    }
}

// === impl Verifier ===

impl Verifier {
    /// `None` only if the secret can't be a key, which no secret of HMAC is.
    pub fn new(secret: &str) -> Option<Self> {
        keyed(secret).map(Self)
    }

    /// The user whom a token stands for at `now`, if it is ours and in time. Compares in constant time.
    pub fn verify(&self, token: &str, now: u64) -> Option<Uuid> {
        if token.len() > TOKEN_MAX_BYTES {
            return None;
        }
        let (signed, signature) = token.rsplit_once('.')?;
        let (header, claims) = signed.split_once('.')?;
        let mut mac = self.0.clone();
        mac.update(signed.as_bytes());
        let mut bytes = [0; SIGNATURE_BYTES];
        mac.verify_slice(Base64::decode(signature, &mut bytes).ok()?)
            .ok()?;

        let mut bytes = [0; TOKEN_MAX_BYTES];
        let header: Header<'_> = decode(header, &mut bytes)?;
        if header.alg != "HS256" {
            return None;
        }
        let claims: Presented = decode(claims, &mut bytes)?;
        let begun = now + CLOCK_SKEW_SECONDS;
        (now < claims.exp && claims.iat <= begun && claims.nbf <= begun).then_some(claims.sub)
    }
}

/// [`Verifier::verify`], for who verifies once.
pub fn verify(token: &str, secret: &str, now: u64) -> Option<Uuid> {
    Verifier::new(secret)?.verify(token, now)
}

fn keyed(secret: &str) -> Option<Hmac<Sha256>> {
    Hmac::new_from_slice(secret.as_bytes()).ok()
}

fn encode(part: &impl Serialize) -> Option<String> {
    Some(Base64::encode_string(&serde_json::to_vec(part).ok()?))
}

fn decode<'a, T: Deserialize<'a>>(part: &str, bytes: &'a mut [u8]) -> Option<T> {
    serde_json::from_slice(Base64::decode(part, bytes).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "0123456789abcdef0123456789abcdef";
    const NOW: u64 = 1_800_000_000;

    fn signed(header: &str, claims: &str) -> String {
        let signed = format!(
            "{}.{}",
            Base64::encode_string(header.as_bytes()),
            Base64::encode_string(claims.as_bytes())
        );
        let mut mac = keyed(SECRET).unwrap();
        mac.update(signed.as_bytes());
        format!(
            "{signed}.{}",
            Base64::encode_string(&mac.finalize().into_bytes())
        )
    }

    #[test]
    fn a_token_is_good_until_it_expires() {
        let user = Uuid::new_v4();
        let token = Claims::new(user, "ADMIN", NOW).sign(SECRET).unwrap();
        assert_eq!(verify(&token, SECRET, NOW), Some(user));
        assert_eq!(
            verify(&token, SECRET, NOW + LIFETIME_SECONDS - 1),
            Some(user)
        );
        assert_eq!(verify(&token, SECRET, NOW + LIFETIME_SECONDS), None);
    }

    #[test]
    fn refuses_another_secret_or_a_changed_byte() {
        let token = Claims::new(Uuid::new_v4(), "VIEWER", NOW)
            .sign(SECRET)
            .unwrap();
        assert_eq!(
            verify(&token, "another secret of at least 32 bytes", NOW),
            None
        );
        for place in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
            if bytes != token.as_bytes() {
                assert_eq!(
                    verify(std::str::from_utf8(&bytes).unwrap(), SECRET, NOW),
                    None,
                    "byte {place}"
                );
            }
        }
    }

    #[test]
    fn refuses_other_algorithms_and_shapes() {
        let claims = format!(r#"{{"sub":"{}","exp":{}}}"#, Uuid::nil(), NOW + 1);
        assert_eq!(
            verify(&signed(r#"{"alg":"HS256"}"#, &claims), SECRET, NOW),
            Some(Uuid::nil())
        );
        assert_eq!(
            verify(&signed(r#"{"alg":"none"}"#, &claims), SECRET, NOW),
            None
        );
        assert_eq!(
            verify(&signed(r#"{"alg":"HS512"}"#, &claims), SECRET, NOW),
            None
        );
        assert_eq!(
            verify(
                &signed(r#"{"alg":"HS256"}"#, r#"{"sub":"joe","exp":9999999999}"#),
                SECRET,
                NOW
            ),
            None
        );
        assert_eq!(
            verify(
                &signed(r#"{"alg":"HS256"}"#, &claims.replace("exp", "exq")),
                SECRET,
                NOW
            ),
            None
        );
        for token in ["", ".", "..", "a.b.c", "a.b", &"x".repeat(5000)] {
            assert_eq!(verify(token, SECRET, NOW), None);
        }
    }

    #[test]
    fn refuses_a_token_from_the_future() {
        let token = Claims::new(Uuid::new_v4(), "ADMIN", NOW + CLOCK_SKEW_SECONDS + 1)
            .sign(SECRET)
            .unwrap();
        assert_eq!(verify(&token, SECRET, NOW), None);
    }
}
