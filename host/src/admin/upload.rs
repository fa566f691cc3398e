//! A component on its way in: written to disk and hashed as it comes.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use base64ct::{Base64, Encoding as _};
use http::HeaderMap;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use sha2::{Digest as _, Sha256};
use tokio::task::block_in_place;

use crate::deploy::{Candidate, DeployError, Deployer};
use crate::gateway::discard;
use crate::runtime::Digest;

/// Nothing came for so long: the client is gone, or as good as that.
const STALLED: Duration = Duration::from_secs(20);

/// All of it must be there after this.
const DEADLINE: Duration = Duration::from_secs(10 * 60);

/// Why there is no candidate.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error("A component may have {0} bytes here (--max-component-size).")]
    TooLarge(u64),
    #[error("The body ended too early, or nothing came for {} s, or not all of it within {} s.", STALLED.as_secs(), DEADLINE.as_secs())]
    Interrupted,
    #[error("The body is not what `Content-Digest` says.")]
    OtherDigest,
    #[error("`Content-Digest` holds no SHA-256 (RFC 9530): write `sha-256=:<Base64>:`.")]
    NoDigest,
    #[error(transparent)]
    Deploy(#[from] DeployError),
}

/// Takes it all in. What was written is gone again if it is not complete.
pub async fn receive(
    deployer: &Deployer,
    headers: &HeaderMap,
    mut body: Incoming,
    limit: u64,
) -> Result<Candidate, UploadError> {
    let begun = Instant::now();
    let expected = expected_digest(headers)?;
    let mut file = deployer.candidate()?;
    let mut hasher = Sha256::new();
    let mut received = 0_u64;
    loop {
        let left = DEADLINE.saturating_sub(begun.elapsed());
        let frame = match tokio::time::timeout(STALLED.min(left), body.frame()).await {
            Ok(None) => break,
            Ok(Some(Ok(frame))) => frame,
            Ok(Some(Err(_))) | Err(_) => return Err(UploadError::Interrupted),
        };
        let Ok(data) = frame.into_data() else {
            continue;
        };
        received += data.len() as u64;
        if received > limit {
            discard(body);
            return Err(UploadError::TooLarge(limit));
        }
        hasher.update(&data);
        block_in_place(|| file.write_all(&data)).map_err(not_saved)?;
    }
    let digest = Digest::finish(hasher);
    if expected.is_some_and(|expected| expected != digest) {
        return Err(UploadError::OtherDigest);
    }
    Ok(Candidate {
        file,
        digest,
        complete: Instant::now(),
        received_in: begun.elapsed(),
    })
}

fn not_saved(error: io::Error) -> DeployError {
    DeployError::NotSaved(error.to_string())
}

/// Of `Content-Digest`, which may name other algorithms too.
fn expected_digest(headers: &HeaderMap) -> Result<Option<Digest>, UploadError> {
    let Some(value) = headers.get("content-digest") else {
        return Ok(None);
    };
    let find = || {
        let mut entries = value.to_str().ok()?.split(',').map(str::trim);
        let entry = entries.find_map(|entry| entry.strip_prefix("sha-256="))?;
        let base64 = entry.strip_prefix(':')?.strip_suffix(':')?;
        let bytes = Base64::decode_vec(base64).ok()?;
        Some(Digest::from(<[u8; 32]>::try_from(bytes).ok()?))
    };
    find().map(Some).ok_or(UploadError::NoDigest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn a_digest_is_read_or_refused_never_skipped() {
        let read = |value: Option<&str>| {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert("content-digest", HeaderValue::from_str(value).unwrap());
            }
            expected_digest(&headers)
        };
        let of_nothing = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
        let digest = Digest::of(b"");
        assert_eq!(read(None).unwrap(), None);
        assert_eq!(read(Some(of_nothing)).unwrap(), Some(digest));
        let two = format!("sha-512=:AAAA:, {of_nothing}");
        assert_eq!(read(Some(&two)).unwrap(), Some(digest));
        for wrong in ["sha-512=:AAAA:", "sha-256=47DE", "sha-256=:AAAA:", ""] {
            assert!(read(Some(wrong)).is_err(), "{wrong}");
        }
    }
}
