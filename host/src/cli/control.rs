//! A runtime of its own for the admin listener, deploying and checking.
//!
//! What blocks there, on the disk for one, takes no thread from the requests. And the threads that serve stay the same ones: each thread
//! allocates from an arena of its own, and a host whose threads changed with every swap would grow with them.

use anyhow::{Context as _, Result};
use tokio::runtime::{Builder, Runtime};

/// Dropping it ends what runs there, without waiting for it.
#[derive(Debug)]
pub struct Control(Option<Runtime>);

impl Control {
    pub fn start() -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("control")
            .enable_all()
            .build()
            .context("the admin listener's thread can't be started")?;
        Ok(Self(Some(runtime)))
    }

    /// Runs until it is done, or until this is dropped.
    pub fn spawn<F>(&self, future: F)
    where
        F: Future<Output: Send> + Send + 'static,
    {
        if let Some(runtime) = &self.0 {
            runtime.spawn(future);
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // A runtime that is dropped where others run would have to wait for its threads, which isn't allowed there.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
