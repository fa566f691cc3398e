//! How far it has got: a bar on a terminal, and a line every few seconds anywhere else.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

const LINE_EVERY: Duration = Duration::from_secs(5);

/// Counts up to a total, on standard error.
#[derive(Debug)]
pub struct Progress {
    bar: ProgressBar,
    /// When the last line was written, where there is no terminal.
    lines: Option<Mutex<Instant>>,
}

// === impl Progress ===

impl Progress {
    /// `unit`: what is counted.
    pub fn of(total: u64, unit: &'static str) -> Self {
        let target = ProgressDrawTarget::stderr();
        let is_hidden = target.is_hidden();
        let bar = ProgressBar::with_draw_target(Some(total), target);
        let template = "{wide_bar} {human_pos}/{human_len} {unit}, {per_sec}, {eta} left {msg}"
            .replace("{unit}", unit);
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(style);
        }
        Self {
            bar,
            lines: is_hidden.then(|| Mutex::new(Instant::now())),
        }
    }

    /// So many more; `note` says what else there is to tell.
    pub fn add(&self, count: u64, note: impl FnOnce() -> String) {
        self.bar.inc(count);
        let Some(last) = &self.lines else {
            self.bar.set_message(note());
            return;
        };
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() < LINE_EVERY {
            return;
        }
        *last = Instant::now();
        let (done, total) = (self.bar.position(), self.bar.length().unwrap_or_default());
        let elapsed = self.bar.elapsed().as_secs_f64();
        let rate = done as f64 / elapsed;
        let left = total.saturating_sub(done) as f64 / rate;
        eprintln!(
            "{done} of {total}, {rate:.0}/s, {left:.0} s left {}",
            note()
        );
    }

    /// The end: the bar goes, for the summary to come.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
