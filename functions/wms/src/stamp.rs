//! What a request is known by: its id, for the audit trail, and the key under which it may be repeated.

use crate::Faults;
use crate::faults::Step;
use hmac::{Hmac, Mac as _};
use http::HeaderMap;
use serde::Serialize;
use sha2::Sha256;
use uuid::Uuid;

pub const IDEMPOTENCY_KEY: &str = "idempotency-key";
pub const KEY_MAX_CHARS: usize = 255;

/// How long the answer to a write is kept under its key.
const KEY_LIFETIME: &str = "24 hours";

/// A request id longer than this is not kept.
const REQUEST_ID_MAX_CHARS: usize = 128;

/// As the statement reads it ($5 of write_head.sql).
#[derive(Clone, Debug, Serialize)]
pub struct Stamp {
    event_id: Uuid,
    request_id: Option<String>,
    owner: Uuid,
    route: &'static str,
    key: Option<String>,
    /// Of another request under way with the same key: wait for it, or say so.
    waits: bool,
    fingerprint: String,
    /// `None`: for ever.
    lifetime: Option<&'static str>,
}

// === impl Stamp ===

impl Stamp {
    /// Of a request by `owner`: the same key may be another user's, or another route's, without harm.
    pub fn of(headers: &HeaderMap, owner: Uuid, route: &'static str, faults: &mut Faults) -> Self {
        let key = headers.get(IDEMPOTENCY_KEY).map(|key| key.as_bytes());
        let is_key = |key: &&[u8]| {
            (1..=KEY_MAX_CHARS).contains(&key.len()) && key.iter().all(u8::is_ascii_graphic)
        };
        if key.is_some_and(|key| !is_key(&key)) {
            faults.add(
                vec![Step::Field("header"), Step::Field(IDEMPOTENCY_KEY)],
                "value_error",
                format!("must be 1 to {KEY_MAX_CHARS} visible ASCII characters"),
            );
        }
        Self {
            event_id: Uuid::now_v7(),
            request_id: request_id(headers),
            owner,
            route,
            key: key
                .filter(is_key)
                .and_then(|key| String::from_utf8(key.to_vec()).ok()),
            waits: false,
            fingerprint: String::new(),
            lifetime: Some(KEY_LIFETIME),
        }
    }

    /// Of an item that a device sent: its id is its key, whoever sends it, and is never forgotten. A device that sends it again while
    /// the first one is under way is not to hear that it was refused.
    pub fn item(headers: &HeaderMap, route: &'static str, client_id: Uuid) -> Self {
        Self {
            event_id: Uuid::now_v7(),
            request_id: request_id(headers),
            owner: Uuid::nil(),
            route,
            key: Some(client_id.to_string()),
            waits: true,
            fingerprint: String::new(),
            lifetime: None,
        }
    }

    /// With what tells this request from another one under the same key. Made with the application's secret, since a body may hold
    /// a password, which nobody who reads the database is to guess. What is signed begins with a `/`, so it is no token.
    pub fn with_content(mut self, secret: &str, path: &str, body: &[u8]) -> Self {
        if self.key.is_some()
            && let Ok(mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes())
        {
            let mac = mac.chain_update(path).chain_update([0]).chain_update(body);
            let hash = mac.finalize().into_bytes();
            self.fingerprint = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        }
        self
    }
}

/// The id that the host gave the request.
pub fn request_id(headers: &HeaderMap) -> Option<String> {
    let id = headers.get("x-request-id")?.to_str().ok()?;
    Some(id.chars().take(REQUEST_ID_MAX_CHARS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn stamp(key: &[u8]) -> (Stamp, bool) {
        let mut headers = HeaderMap::new();
        headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_bytes(key).unwrap());
        let mut faults = Faults::default();
        let stamp = Stamp::of(&headers, Uuid::nil(), "POST /", &mut faults);
        (stamp, faults.is_empty())
    }

    #[test]
    fn a_key_is_short_and_visible() {
        assert_eq!(stamp(b"a").0.key.as_deref(), Some("a"));
        assert!(stamp(&[b'!'; 255]).1);
        for key in [&b""[..], b" ", b"a b", "kulcs-ő".as_bytes(), &[b'x'; 256]] {
            let (stamp, is_sound) = stamp(key);
            assert_eq!((stamp.key, is_sound), (None, false), "{key:?}");
        }
    }

    #[test]
    fn the_path_and_the_body_tell_requests_apart() {
        let keyed = |secret, path, body: &[u8]| {
            let (stamp, _) = stamp(b"k");
            stamp.with_content(secret, path, body).fingerprint
        };
        let fingerprint = |path, body: &[u8]| keyed("secret", path, body);
        assert_eq!(fingerprint("/a", b"b"), fingerprint("/a", b"b"));
        assert_ne!(fingerprint("/a", b"b"), fingerprint("/ab", b""));
        assert_ne!(fingerprint("/a", b"b"), fingerprint("/a", b"c"));
        assert_ne!(fingerprint("/a", b"b"), keyed("another", "/a", b"b"));
        assert_eq!(fingerprint("/a", b"b").len(), 64);
    }
}
