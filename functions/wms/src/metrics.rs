//! Business metrics, declared in the manifest and served by the host.
//!
//! Recorded after the commit. A metric that can't be recorded is a line in the log, never a request that fails.

use flowviz::metrics::metrics as host;
use std::time::Instant;

#[allow(
    unsafe_code,
    missing_debug_implementations,
    clippy::all,
    reason = "generated"
)]
mod bindings {
    spin_sdk::wit_bindgen::generate!({
        path: "../../wit",
        world: "imports",
        runtime_path: "::spin_sdk::wit_bindgen::rt",
        generate_all,
    });
}

use bindings::flowviz;

/// Adds to a counter.
pub fn count(name: &str, labels: &[(&str, &str)], value: f64) {
    log(name, host::counter_add(name, &owned(labels), value));
}

/// Observes a value in a histogram. Durations are in seconds.
pub fn observe(name: &str, labels: &[(&str, &str)], value: f64) {
    log(name, host::histogram_observe(name, &owned(labels), value));
}

/// Sets a gauge.
pub fn set(name: &str, labels: &[(&str, &str)], value: f64) {
    log(name, host::gauge_set(name, &owned(labels), value));
}

/// Does `work`, and observes how long it took, in seconds.
pub async fn timed<T>(name: &str, work: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let done = work.await;
    observe(name, &[], begun.elapsed().as_secs_f64());
    done
}

fn owned(labels: &[(&str, &str)]) -> Vec<host::Label> {
    labels
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn log(name: &str, recorded: Result<(), host::Error>) {
    if let Err(error) = recorded {
        eprintln!("the metric {name} was not recorded: {error:?}");
    }
}
