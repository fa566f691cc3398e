//! A function's standard output and error: each line becomes a log line with the function's name, its version, and the request's id.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};

use tokio::io::AsyncWrite;
use tracing::info;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};

use crate::manifest::FunctionId;
use crate::runtime::InstanceShared;
use crate::telemetry::logs::FUNCTION_TARGET;
use crate::telemetry::versions::VersionSeries;

/// Bytes. A longer line is logged in pieces, so that a guest can't grow the host's memory by never ending one.
const MAX_LINE: usize = 16 * 1024;

/// One stream of one instance.
#[derive(Clone, Debug)]
pub struct LogStream {
    function: FunctionId,
    version: Arc<VersionSeries>,
    stream: &'static str,
    // The instance has the store, which holds this.
    instance: Weak<InstanceShared>,
}

#[derive(Debug)]
struct Lines {
    to: LogStream,
    partial: Vec<u8>,
}

// === impl LogStream ===

impl LogStream {
    pub fn new(instance: &Arc<InstanceShared>, stream: &'static str) -> Self {
        Self {
            function: instance.config.id.clone(),
            version: Arc::clone(&instance.version),
            stream,
            instance: Arc::downgrade(instance),
        }
    }

    fn log(&self, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_end_matches('\r');
        let request_id = self
            .instance
            .upgrade()
            .and_then(|instance| instance.request_id());
        info!(
            target: FUNCTION_TARGET,
            function = %self.function,
            version = self.version.version(),
            stream = self.stream,
            request_id = request_id.as_deref(),
            "{line}"
        );
    }
}

impl IsTerminal for LogStream {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for LogStream {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(Lines {
            to: self.clone(),
            partial: Vec::new(),
        })
    }
}

// === impl Lines ===

impl Lines {
    fn write(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if self.partial.last() == Some(&b'\n') {
                self.partial.pop();
                self.end_line();
            } else if self.partial.len() >= MAX_LINE {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        self.to.log(&self.partial);
        self.partial.clear();
    }
}

impl AsyncWrite for Lines {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.write(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if !self.partial.is_empty() {
            self.end_line();
        }
    }
}
