//! How far it has got: a bar on a terminal, and a line every few seconds anywhere else.

use std::fmt::Write;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

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
        let template = "{wide_bar} {human_pos}/{human_len} {unit}, {rate}, {eta} left {msg}"
            .replace("{unit}", unit);
        if let Ok(style) = ProgressStyle::with_template(&template) {
            bar.set_style(
                style.with_key("rate", |state: &ProgressState, line: &mut dyn Write| {
                    // The buffer is a String: it takes all.
                    _ = write!(line, "{:.0}/s", state.per_sec());
                }),
            );
        }
        Self {
            bar,
            lines: is_hidden.then(|| Mutex::new(Instant::now())),
        }
    }

    /// So many more.
    pub fn add(&self, count: u64) {
        self.bar.inc(count);
    }

    /// What else there is to tell.
    pub fn tell(&self, note: String) {
        let Some(last) = &self.lines else {
            self.bar.set_message(note);
            return;
        };
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() >= LINE_EVERY {
            *last = Instant::now();
            eprintln!("{} {note}", self.line());
        }
    }

    /// Something else begins, which isn't counted: it is told at once.
    pub fn begin(&self, stage: &str) {
        if self.lines.is_some() {
            eprintln!("{} {stage}", self.line());
        } else {
            self.bar.set_message(stage.to_owned());
            self.bar.tick();
        }
    }

    fn line(&self) -> String {
        let (done, total) = (self.bar.position(), self.bar.length().unwrap_or_default());
        let mut line = format!("{done} of {total}");
        let left = total.saturating_sub(done);
        if done > 0 && left > 0 {
            let rate = done as f64 / self.bar.elapsed().as_secs_f64();
            // Writing into a String doesn't fail.
            _ = write!(line, ", {rate:.0}/s, {:.0} s left", left as f64 / rate);
        }
        line
    }

    /// The end: the bar goes, for the summary to come.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
