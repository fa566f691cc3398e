//! Making connections: few at a time, and ever less often while none can be made.
//!
//! - **A short outage is waited out.** A statement that hasn't been sent can be sent later: whoever wants a connection tries again until
//!   their patience ends, so that a restart of the pooler costs a delay and no error.
//! - **A long one is told at once.** Once it has lasted for as long as a statement may wait, everybody is told its cause without
//!   waiting, except for the one who tries again when it is time.
//! - **No storm of logins.** A few log in at the same time, and attempts have a growing pause with some chance in it between them, so
//!   that many hosts don't come back as one.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::address::Address;
use super::error::DatabaseError;
use super::server::Server;
use super::statements::StatementMode;
use crate::manifest::PoolSettings;

/// Logins under way at the same time. One takes a few milliseconds, most of them SCRAM's on both sides.
const LOGINS_AT_ONCE: usize = 4;

/// The pauses between attempts, before chance takes up to half away.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

/// An outage that has lasted longer is told at once.
const PATIENCE: Duration = Duration::from_secs(3);

#[derive(Debug)]
pub(super) struct Connector {
    address: Arc<Address>,
    connect_timeout: Duration,
    max_lifetime: Duration,
    statements: StatementMode,
    logins: Semaphore,
    outage: Mutex<Option<Outage>>,
}

/// No connection can be made.
#[derive(Debug)]
struct Outage {
    since: Instant,
    why: DatabaseError,
    pause: Duration,
    /// Nobody tries before this.
    next_attempt: Instant,
}

/// What to do next about a connection.
enum Step {
    Try,
    Wait(Duration),
    GiveUp(DatabaseError),
}

// === impl Connector ===

impl Connector {
    pub fn new(address: Arc<Address>, settings: &PoolSettings) -> Self {
        Self {
            address,
            connect_timeout: settings.connect_timeout,
            max_lifetime: settings.max_lifetime,
            statements: settings.statements,
            logins: Semaphore::new(LOGINS_AT_ONCE),
            outage: Mutex::default(),
        }
    }

    /// Connects, sooner or later. It is the caller who knows when that is too late.
    pub async fn connect(&self) -> Result<Server, DatabaseError> {
        loop {
            match self.next_step(Instant::now()) {
                Step::GiveUp(why) => return Err(why),
                Step::Wait(pause) => tokio::time::sleep(pause).await,
                Step::Try => {
                    let started = Instant::now();
                    match self.attempt().await {
                        Ok(server) => {
                            *self.outage() = None;
                            return Ok(server);
                        }
                        Err(why) if why.is_passing() => self.failed(started, why),
                        Err(why) => return Err(why),
                    }
                }
            }
        }
    }

    /// What somebody is told whose patience has ended before there was a connection.
    pub fn why_not(&self) -> DatabaseError {
        match &*self.outage() {
            Some(outage) => outage.why.clone(),
            None => DatabaseError::Connect("connecting timed out".to_owned()),
        }
    }

    async fn attempt(&self) -> Result<Server, DatabaseError> {
        // Never closed.
        let _login = self.logins.acquire().await;
        let lifetime = jittered(self.max_lifetime);
        let server = Server::connect(&self.address, lifetime, self.statements);
        tokio::time::timeout(self.connect_timeout, server)
            .await
            .unwrap_or_else(|_| Err(DatabaseError::Connect("connecting timed out".to_owned())))
    }

    fn next_step(&self, now: Instant) -> Step {
        let mut outage = self.outage();
        let Some(outage) = &mut *outage else {
            return Step::Try;
        };
        if now >= outage.next_attempt {
            // Others wait for this attempt, which may take its time.
            outage.next_attempt = now + outage.pause.max(self.connect_timeout.mul_f64(0.5));
            return Step::Try;
        }
        if now.duration_since(outage.since) > PATIENCE {
            return Step::GiveUp(outage.why.clone());
        }
        // Looked at again before long: an attempt of somebody else's may have succeeded meanwhile.
        Step::Wait((outage.next_attempt - now).min(FIRST_PAUSE))
    }

    /// An attempt that began at `started` failed.
    fn failed(&self, started: Instant, why: DatabaseError) {
        let now = Instant::now();
        let mut outage = self.outage();
        let (since, pause) = match &*outage {
            // One of several that began before it was known.
            Some(before) if started < before.since => return,
            Some(before) => (before.since, (before.pause * 2).min(LONGEST_PAUSE)),
            None => (now, FIRST_PAUSE),
        };
        *outage = Some(Outage {
            since,
            why,
            pause,
            next_attempt: now + pause.mul_f64(0.5 + 0.5 * chance()),
        });
    }

    fn outage(&self) -> MutexGuard<'_, Option<Outage>> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Within a fifth of `lifetime`, either way, so that not all connections end at once.
fn jittered(lifetime: Duration) -> Duration {
    lifetime.mul_f64(0.8 + 0.4 * chance())
}

/// From 0 to 1.
fn chance() -> f64 {
    // Each `RandomState` has other keys, which is all the randomness that this needs.
    (RandomState::new().hash_one(()) % 1000) as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connector(port: u16) -> Connector {
        let address = Address::parse(&format!("host=127.0.0.1 port={port} user=u")).unwrap();
        Connector::new(Arc::new(address), &PoolSettings::default())
    }

    #[test]
    fn lifetimes_are_spread_but_bounded() {
        let hour = Duration::from_secs(3600);
        let seen: std::collections::HashSet<_> = (0..50)
            .map(|_| jittered(hour))
            .inspect(|life| assert!((hour.mul_f64(0.8)..=hour.mul_f64(1.2)).contains(life)))
            .collect();
        assert!(seen.len() > 10);
    }

    #[test]
    fn pauses_grow_up_to_a_bound_and_one_at_a_time_tries_again() {
        let connector = connector(1);
        let why = DatabaseError::Connect("no".to_owned());
        let before = Instant::now();
        for _ in 0..20 {
            connector.failed(before, why.clone());
        }
        assert_eq!(connector.outage().as_ref().unwrap().pause, FIRST_PAUSE);
        for _ in 0..20 {
            connector.failed(Instant::now(), why.clone());
        }
        let (now, next) = {
            let outage = connector.outage();
            let outage = outage.as_ref().unwrap();
            assert_eq!(outage.pause, LONGEST_PAUSE);
            (Instant::now(), outage.next_attempt)
        };
        assert!(matches!(connector.next_step(now), Step::Wait(_)));
        assert!(matches!(connector.next_step(next), Step::Try));
        assert!(matches!(connector.next_step(next), Step::Wait(_)));
    }

    #[test]
    fn an_outage_that_lasts_is_told_at_once() {
        let connector = connector(1);
        let why = DatabaseError::Connect("no".to_owned());
        connector.failed(Instant::now(), why.clone());
        let since = connector.outage().as_ref().unwrap().since;
        let late = since + PATIENCE + Duration::from_millis(1);
        connector.outage().as_mut().unwrap().next_attempt = late + Duration::from_secs(1);
        assert!(matches!(connector.next_step(late), Step::GiveUp(told) if told == why));
    }

    #[tokio::test]
    async fn a_server_that_comes_back_is_found() {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        let connector = Arc::new(connector(port));
        let connecting = tokio::spawn({
            let connector = Arc::clone(&connector);
            async move { connector.connect().await }
        });
        while connector.outage().is_none() {
            tokio::task::yield_now().await;
        }
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", port))
            .await
            .unwrap();
        tokio::spawn(async move {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut start = [0; 512];
            _ = socket.read(&mut start).await.unwrap();
            let welcome = [&b"R\0\0\0\x08\0\0\0\0"[..], &b"Z\0\0\0\x05I"[..]].concat();
            socket.write_all(&welcome).await.unwrap();
            _ = socket.read(&mut start).await.unwrap();
        });
        connecting.await.unwrap().unwrap();
        assert!(connector.outage().is_none());
    }
}
