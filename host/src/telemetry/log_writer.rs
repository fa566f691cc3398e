//! The log's lines on their way to standard error, written by a thread of its own, many at once.
//!
//! Whoever logs never waits for whoever reads: a line is appended to a buffer. While there are lines the thread looks by itself every
//! moment; only the first line after a quiet one wakes it, since a wake-up costs far more than a line. When the buffer is full, lines
//! are lost, and counted.

use std::io;
use std::mem::{swap, take};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Bytes that may wait. Seconds' worth at the highest rates.
const MOST: usize = 16 * 1024 * 1024;

/// How long a line may wait for others.
const GATHER: Duration = Duration::from_millis(50);

/// Bytes that are kept for the next lines, so that no memory is asked for at usual rates.
const KEPT: usize = 1024 * 1024;

/// How long the end of the process waits for a reader that doesn't read.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Cheap to clone.
#[derive(Clone, Debug)]
pub struct LogWriter(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    waiting: Vec<u8>,
    /// The thread doesn't look by itself.
    asleep: bool,
    /// The thread has taken lines and isn't done with them.
    writing: bool,
    /// Somebody waits for it: there is nothing to gather.
    hurry: bool,
}

// === impl LogWriter ===

impl LogWriter {
    /// Starts the thread, which lives as long as the process.
    pub fn start(to: impl io::Write + Send + 'static) -> io::Result<Self> {
        let shared = Arc::<Shared>::default();
        let writer = Self(Arc::clone(&shared));
        std::thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || shared.write_all(to))?;
        Ok(writer)
    }

    /// Takes whole lines.
    pub fn push(&self, lines: &[u8]) {
        let mut state = self.0.state();
        if state.waiting.len().saturating_add(lines.len()) > MOST {
            self.0.dropped.fetch_add(1, Relaxed);
            return;
        }
        state.waiting.extend_from_slice(lines);
        let wake = take(&mut state.asleep);
        drop(state);
        if wake {
            self.0.changed.notify_all();
        }
    }

    /// Until all that was logged is written, or somebody doesn't read it.
    pub fn flush(&self) {
        let mut state = self.0.state();
        state.hurry = true;
        self.0.changed.notify_all();
        // Whatever comes of it, the process goes on to its end.
        _ = self
            .0
            .changed
            .wait_timeout_while(state, LAST_WORDS, |state| {
                state.writing || !state.waiting.is_empty()
            });
    }

    /// Lines that were lost.
    pub fn dropped(&self) -> u64 {
        self.0.dropped.load(Relaxed)
    }
}

impl io::Write for LogWriter {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.push(lines);
        Ok(lines.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for LogWriter {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

// === impl Shared ===

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all(&self, mut to: impl io::Write) {
        let mut lines = Vec::new();
        let mut state = self.state();
        loop {
            state.asleep = state.waiting.is_empty();
            state = self
                .changed
                .wait_while(state, |state| state.asleep)
                .unwrap_or_else(PoisonError::into_inner);
            loop {
                state = self
                    .changed
                    .wait_timeout_while(state, GATHER, |state| !state.hurry)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0;
                if state.waiting.is_empty() {
                    break;
                }
                swap(&mut state.waiting, &mut lines);
                state.writing = true;
                drop(state);
                // There is nobody to tell.
                _ = to.write_all(&lines).and_then(|()| to.flush());
                lines.clear();
                lines.shrink_to(KEPT);
                state = self.state();
                state.writing = false;
                self.changed.notify_all();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// Writes only when it is told to.
    struct Slow {
        go: mpsc::Receiver<()>,
        written: mpsc::Sender<Vec<u8>>,
    }

    impl io::Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.go.recv().map_err(io::Error::other)?;
            self.written
                .send(bytes.to_vec())
                .map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_written_in_order_and_many_at_once() {
        let ((go, wait), (written, read)) = (mpsc::channel(), mpsc::channel());
        let log = LogWriter::start(Slow { go: wait, written }).unwrap();
        log.push(b"one\n");
        // Nobody reads; whoever logs goes on.
        for _ in 0..100 {
            log.push(b"more\n");
        }
        go.send(()).unwrap();
        let mut all = read.recv().unwrap();
        assert!(all.starts_with(b"one\n"));
        if all.len() < 4 + 500 {
            go.send(()).unwrap();
            all.extend(read.recv().unwrap());
        }
        assert_eq!(all.len(), 4 + 500);
        log.flush();
        assert_eq!(log.dropped(), 0);
    }

    #[test]
    fn what_has_no_room_is_lost_and_counted() {
        let ((go, wait), (written, read)) = (mpsc::channel(), mpsc::channel());
        let log = LogWriter::start(Slow { go: wait, written }).unwrap();
        let large = vec![b'x'; MOST / 4 + 1];
        for _ in 0..12 {
            log.push(&large);
        }
        // Three fit while nobody reads, and three more if the thread took those before.
        assert!((6..=9).contains(&log.dropped()), "{}", log.dropped());
        go.send(()).unwrap();
        assert!(!read.recv().unwrap().is_empty());
    }
}
