//! The beginning of a response's body, which may be all of it.
//!
//! A response that is there at once is handed on whole, with its length: its instance is free again, and if the guest fails on the way,
//! the client still gets a problem. Most functions' are, and most don't say how long they are.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body::Frame;
use http_body_util::BodyExt as _;
use wasmtime_wasi_http::{Error, WasiBody};

/// Bytes. A response that has no more is taken from its instance whole before it is handed on.
pub(super) const WHOLE: u64 = 64 * 1024;

/// How long to wait for the end of a response that doesn't say where that is. One that takes longer may be meant to be seen as it
/// comes.
const SOON: Duration = Duration::from_millis(1);

/// Frames that have come.
#[derive(Debug, Default)]
pub(super) struct Beginning {
    pub frames: VecDeque<Frame<Bytes>>,
    bytes: u64,
}

#[derive(Debug)]
pub(super) enum Read {
    Whole(Bytes),
    /// The body goes on behind the frames.
    More,
}

// === impl Beginning ===

impl Beginning {
    /// Reads a body that promises `length` bytes to its end; one that promises nothing, if it ends soon.
    pub async fn read(&mut self, body: &mut WasiBody, length: Option<u64>) -> Result<Read, Error> {
        if length.is_some() {
            return self.read_on(body, length).await;
        }
        match tokio::time::timeout(SOON, self.read_on(body, None)).await {
            Ok(read) => read,
            Err(_) => Ok(Read::More),
        }
    }

    async fn read_on(&mut self, body: &mut WasiBody, length: Option<u64>) -> Result<Read, Error> {
        // Beyond the promised bytes there is nothing to wait for.
        while length.is_none_or(|length| self.bytes < length) {
            if self.bytes > WHOLE {
                return Ok(Read::More);
            }
            match body.frame().await {
                Some(Ok(frame)) => {
                    self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
                    self.frames.push_back(frame);
                }
                Some(Err(error)) => return Err(error),
                None if length.is_some() => return Err(Error::HttpResponseIncomplete),
                None => break,
            }
        }
        Ok(self.whole())
    }

    /// All of it in one piece. Trailers, which a whole body has no place for, stay behind it.
    fn whole(&mut self) -> Read {
        if !self.frames.iter().all(Frame::is_data) {
            return Read::More;
        }
        let mut data = self
            .frames
            .drain(..)
            .filter_map(|frame| frame.into_data().ok());
        let (first, second) = (data.next(), data.next());
        let (Some(first), Some(second)) = (first.clone(), second) else {
            return Read::Whole(first.unwrap_or_default());
        };
        let mut whole = BytesMut::from(first);
        for piece in std::iter::once(second).chain(data) {
            whole.extend_from_slice(&piece);
        }
        Read::Whole(whole.freeze())
    }
}
