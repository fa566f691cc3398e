//! Instances that wait for their next request. The one used last is taken first; those that nobody needed for long are dropped.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::instance::Instance;

#[derive(Debug)]
pub(super) struct IdleInstances {
    timeout: Duration,
    stack: Mutex<Stack>,
}

#[derive(Debug, Default)]
struct Stack {
    /// Each with the time since when it has nothing to do: the oldest is at the bottom.
    instances: Vec<(Instant, Instance)>,
    /// A task is there that drops those that are too old.
    reaping: bool,
    /// None is kept any more.
    closed: bool,
}

// === impl IdleInstances ===

impl IdleInstances {
    pub fn new(timeout: Duration) -> Arc<Self> {
        Arc::new(Self {
            timeout,
            stack: Mutex::default(),
        })
    }

    pub fn take(&self) -> Option<Instance> {
        Some(self.stack().instances.pop()?.1)
    }

    pub fn put(self: &Arc<Self>, instance: Instance) {
        let mut stack = self.stack();
        if stack.closed {
            drop(stack);
            drop(instance);
            return;
        }
        stack.instances.push((Instant::now(), instance));
        if !std::mem::replace(&mut stack.reaping, true) {
            drop(stack);
            self.reap();
        }
    }

    /// Drops all of them, and those that come.
    pub fn close(&self) {
        let mut stack = self.stack();
        stack.closed = true;
        let instances = std::mem::take(&mut stack.instances);
        // Not while others wait for the stack.
        drop(stack);
        drop(instances);
    }

    /// Drops the instances that are too old, until there is none at all.
    fn reap(self: &Arc<Self>) {
        let (timeout, idle) = (self.timeout, Arc::downgrade(self));
        tokio::spawn(async move {
            let mut pause = timeout;
            loop {
                tokio::time::sleep(pause).await;
                let Some(idle) = idle.upgrade() else {
                    return;
                };
                let (expired, oldest) = idle.stack().expire(timeout);
                // Not while others wait for the stack.
                drop(expired);
                match oldest {
                    Some(since) => pause = timeout.saturating_sub(since.elapsed()),
                    None => return,
                }
            }
        });
    }

    fn stack(&self) -> MutexGuard<'_, Stack> {
        self.stack.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Stack ===

impl Stack {
    /// Those that are too old, and since when the oldest of the others has nothing to do. There is none: nobody reaps any more.
    fn expire(&mut self, timeout: Duration) -> (Vec<(Instant, Instance)>, Option<Instant>) {
        let expired = self
            .instances
            .partition_point(|(since, _)| since.elapsed() >= timeout);
        let expired = self.instances.drain(..expired).collect();
        let oldest = self.instances.first().map(|(since, _)| *since);
        self.reaping = oldest.is_some();
        (expired, oldest)
    }
}
