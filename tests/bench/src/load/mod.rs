//! The load generator: many keep-alive connections of hyper's client, on threads of their own.
//!
//! `oha` and the like can't do this: they draw bodies from a file at random and send the same headers with each request, but here every
//! lot needs a code and an `Idempotency-Key` that nobody has used.

mod connection;
mod record;
mod schedule;

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Barrier, OnceLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use tokio::runtime;
use tokio::task::LocalSet;

pub use connection::{Answer, Connection};
pub use record::Record;
pub use schedule::Pace;

use schedule::Schedule;

/// From when all connections are there to the first request.
const HEAD_START: Duration = Duration::from_millis(20);

/// After the end. What isn't answered by then never was.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);

/// Makes the request with a number.
pub type Maker = dyn Fn(u64) -> Request<Full<Bytes>> + Send + Sync;

#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub address: SocketAddr,
    pub connections: usize,
    pub pace: Pace,
    pub warm_up: Duration,
    pub time: Duration,
}

/// A load under way.
#[derive(Debug)]
pub struct Running {
    schedule: Arc<Schedule>,
    completed: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Result<Record>>>,
    release: JoinHandle<Duration>,
}

/// What came of it, in the time that counts.
#[derive(Debug)]
pub struct Measured {
    pub record: Record,
    /// How late the generator itself was at most.
    pub late: Duration,
}

/// Where the threads wait for each other: first until all are connected, then until there is a schedule.
struct Start {
    barrier: Barrier,
    schedule: OnceLock<Arc<Schedule>>,
}

/// One thread's part.
struct Part {
    load: Load,
    connections: usize,
    make: Arc<Maker>,
    completed: Arc<AtomicU64>,
}

// === impl Load ===

impl Load {
    /// Returns when all connections are there.
    pub fn start(self, make: Arc<Maker>) -> Result<Running> {
        let threads = generator_threads().min(self.connections).max(1);
        let start = Arc::new(Start {
            barrier: Barrier::new(threads + 1),
            schedule: OnceLock::new(),
        });
        let completed = Arc::new(AtomicU64::new(0));
        let spawn = |thread| {
            let part = Part {
                load: self,
                connections: self.connections / threads
                    + usize::from(thread < self.connections % threads),
                make: Arc::clone(&make),
                completed: Arc::clone(&completed),
            };
            let start = Arc::clone(&start);
            thread::spawn(move || part.run(&start))
        };
        let threads: Vec<_> = (0..threads).map(spawn).collect();
        start.barrier.wait();
        let begin = Instant::now() + HEAD_START;
        let schedule = Schedule::new(self.pace, begin, self.warm_up, self.time);
        let schedule = Arc::clone(start.schedule.get_or_init(|| Arc::new(schedule)));
        start.barrier.wait();
        let release = thread::spawn({
            let schedule = Arc::clone(&schedule);
            move || schedule.run(self.connections)
        });
        Ok(Running {
            schedule,
            completed,
            threads,
            release,
        })
    }
}

/// A half of the cores; the other half is for what is measured.
fn generator_threads() -> usize {
    thread::available_parallelism()
        .map_or(1, |cores| cores.get() / 2)
        .max(1)
}

// === impl Running ===

impl Running {
    /// When what is due begins to count.
    pub fn measure_from(&self) -> Instant {
        self.schedule.measure_from
    }

    pub fn end(&self) -> Instant {
        self.schedule.end
    }

    /// Requests answered well so far, those of the warm-up included.
    pub fn completed(&self) -> u64 {
        self.completed.load(Ordering::Relaxed)
    }

    /// Waits until all is answered. Blocks.
    pub fn finish(self) -> Result<Measured> {
        let mut record = Record::new()?;
        let gone = |_| anyhow!("a thread of the load generator has panicked");
        for thread in self.threads {
            record.merge(&thread.join().map_err(gone)??)?;
        }
        let late = self.release.join().map_err(gone)?;
        Ok(Measured { record, late })
    }
}

// === impl Part ===

impl Part {
    fn run(self, start: &Start) -> Result<Record> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let connections = runtime
            .as_ref()
            .map(|runtime| runtime.block_on(self.connect()));
        // Whatever came of it: the others wait.
        start.barrier.wait();
        start.barrier.wait();
        let schedule = start.schedule.get().context("the load has no schedule")?;
        let connections = connections.map_err(|error| anyhow!("{error}"))?;
        let connections =
            connections.with_context(|| format!("connecting to {}", self.load.address))?;
        let work = self.work(connections, Arc::clone(schedule));
        LocalSet::new().block_on(&runtime?, work)
    }

    async fn connect(&self) -> Result<Vec<Connection>> {
        let mut connections = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            connections.push(Connection::open(self.load.address).await?);
        }
        Ok(connections)
    }

    async fn work(&self, connections: Vec<Connection>, schedule: Arc<Schedule>) -> Result<Record> {
        let record = Rc::new(RefCell::new(Record::new()?));
        tokio::time::sleep_until(schedule.begin.into()).await;
        let mut workers = tokio::task::JoinSet::new();
        for connection in connections {
            let worker = Worker {
                connection,
                schedule: Arc::clone(&schedule),
                make: Arc::clone(&self.make),
                completed: Arc::clone(&self.completed),
                record: Rc::clone(&record),
            };
            workers.spawn_local(worker.run());
        }
        let deadline = schedule.end + ANSWERED_WITHIN;
        let all = async { while workers.join_next().await.is_some() {} };
        let in_time = tokio::time::timeout_at(deadline.into(), all).await.is_ok();
        if !in_time {
            for _ in 0..workers.len() {
                record.borrow_mut().error("no answer".to_owned());
            }
            workers.shutdown().await;
        }
        Ok(record.replace(Record::new()?))
    }
}

/// One connection's requests.
struct Worker {
    connection: Connection,
    schedule: Arc<Schedule>,
    make: Arc<Maker>,
    completed: Arc<AtomicU64>,
    record: Rc<RefCell<Record>>,
}

impl Worker {
    async fn run(mut self) {
        while let Some(arrival) = self.schedule.next().await {
            let outcome = self.connection.ask((self.make)(arrival.number)).await;
            let now = Instant::now();
            let error = match outcome {
                Ok(status) if status.is_success() => None,
                Ok(status) => Some(status.as_str().to_owned()),
                Err(error) => Some(error.to_string()),
            };
            if error.is_none() {
                self.completed.fetch_add(1, Ordering::Relaxed);
            }
            if arrival.at < self.schedule.measure_from {
                continue;
            }
            let mut record = self.record.borrow_mut();
            match error {
                None => record.latency(now - arrival.at),
                Some(error) => record.error(error),
            }
        }
    }
}
