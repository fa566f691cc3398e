//! A request's body, whole in memory, if it is JSON and no longer than it may be.

use crate::{Kind, Problem};
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use spin_sdk::http::Request;

/// The largest body of a request, where nothing else is said.
pub const MAX_BYTES: usize = 256 * 1024;

pub async fn read(request: Request, max_bytes: usize) -> Result<Bytes, Problem> {
    let too_large = || Kind::BodyTooLarge.because(format!("A body may have {max_bytes} bytes."));
    let header = |name| {
        request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok())
    };

    if header(CONTENT_LENGTH)
        .and_then(|length| length.parse::<usize>().ok())
        .is_some_and(|length| length > max_bytes)
    {
        return Err(too_large());
    }
    let is_json = header(CONTENT_TYPE).is_some_and(is_json);
    let body = Limited::new(request.into_body(), max_bytes)
        .collect()
        .await
        .map_err(|error| {
            if error.is::<LengthLimitError>() {
                too_large()
            } else {
                Problem::unparsable("The body ended early.")
            }
        })?;
    if is_json {
        Ok(body.to_bytes())
    } else {
        Err(Kind::UnsupportedMediaType.because("A body is application/json."))
    }
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type
        .split_once(';')
        .map_or(content_type, |(essence, _)| essence);
    essence.trim().eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_json_by_its_media_type() {
        assert!(is_json("application/json") && is_json("Application/JSON ; charset=utf-8"));
        assert!(!is_json("text/plain") && !is_json("application/jsonp") && !is_json(""));
    }
}
