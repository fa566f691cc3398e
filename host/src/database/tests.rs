//! Sessions against a server that answers exactly as far as a test lets it, so that statements are given up at every point.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::pool::Pool;
use super::{Address, Budget, DatabaseError, Pools, Session, Share};
use crate::manifest::PoolSettings;
use crate::telemetry::DatabaseMetrics;
use crate::telemetry::database::{PoolLoad, PoolSize};

const LONG: Duration = Duration::from_secs(60);
const ALL: Budget = Budget {
    rows: usize::MAX,
    bytes: usize::MAX,
};
const FEW: Budget = Budget {
    rows: 3,
    bytes: 999,
};

/// What the server answers `ROWS`: the columns, ten rows, the end. In halves, so that messages arrive in pieces too.
const ROWS: usize = 10;
const PIECES: usize = 2 * (2 + 1 + ROWS + 2);

/// Answers `BEGIN`, `COMMIT`, `ROLLBACK`, `FAIL`, and `ROWS` as far as there are permits.
#[derive(Debug)]
struct Server {
    address: SocketAddr,
    connected: AtomicUsize,
    cancelled: AtomicUsize,
    permits: Semaphore,
    /// Statements `ROWS`, and pieces of their answers.
    asked: AtomicUsize,
    sent: AtomicUsize,
}

/// Enough for every test.
fn share() -> Arc<Share> {
    Arc::new(Share::new(10, LONG, usize::MAX))
}

fn frame(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap() + 4;
    [&[tag], &length.to_be_bytes()[..], body].concat()
}

// === impl Server ===

impl Server {
    async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = Arc::new(Self {
            address: listener.local_addr().unwrap(),
            connected: AtomicUsize::new(0),
            cancelled: AtomicUsize::new(0),
            permits: Semaphore::new(0),
            asked: AtomicUsize::new(0),
            sent: AtomicUsize::new(0),
        });
        let accepting = Arc::clone(&server);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let server = Arc::clone(&accepting);
                tokio::spawn(async move { server.serve(socket).await });
            }
        });
        server
    }

    fn pool(&self) -> Arc<Pool> {
        let metrics = DatabaseMetrics::register(&prometheus::Registry::new()).unwrap();
        let address = format!(
            "host=127.0.0.1 port={} user=u dbname=d sslmode=disable",
            self.address.port()
        );
        // None is made that nobody asks for.
        let settings = PoolSettings {
            min_idle: 0,
            ..PoolSettings::default()
        };
        Pools::new(settings, metrics)
            .pool(Address::parse(&address).unwrap())
            .unwrap()
    }

    async fn serve(&self, mut socket: TcpStream) {
        let length = socket.read_u32().await.unwrap();
        let mut start = vec![0; length as usize - 4];
        socket.read_exact(&mut start).await.unwrap();
        if start.starts_with(&80_877_102_u32.to_be_bytes()) {
            self.cancelled.fetch_add(1, Ordering::SeqCst);
            return;
        }
        self.connected.fetch_add(1, Ordering::SeqCst);
        let ready = |status| frame(b'Z', &[status]);
        let welcome = [frame(b'R', &[0; 4]), frame(b'K', &[1; 8]), ready(b'I')].concat();
        socket.write_all(&welcome).await.unwrap();
        let mut status = b'I';
        while let Some(text) = next_statement(&mut socket).await {
            let begun = [frame(b'1', &[]), frame(b'2', &[])];
            let answer = match text.as_str() {
                "BEGIN" | "COMMIT" | "ROLLBACK" => {
                    status = if text == "BEGIN" { b'T' } else { b'I' };
                    vec![frame(b'n', &[]), frame(b'C', b"DONE\0")]
                }
                "FAIL" => {
                    status = if status == b'I' { b'I' } else { b'E' };
                    vec![frame(b'E', b"VERROR\0C22012\0Mno\0\0")]
                }
                _ => {
                    self.asked.fetch_add(1, Ordering::SeqCst);
                    let int4 = b"\0\x01n\0\0\0\0\0\0\0\0\0\0\x17\0\x04\xff\xff\xff\xff\0\x01";
                    let mut answer = vec![frame(b'T', int4)];
                    answer.extend((0..ROWS).map(|_| frame(b'D', b"\0\x01\0\0\0\x04\0\0\0\x07")));
                    answer.push(frame(b'C', b"SELECT 10\0"));
                    answer
                }
            };
            for message in begun.into_iter().chain(answer).chain([ready(status)]) {
                let (first, second) = message.split_at(message.len() / 2);
                for piece in [first, second] {
                    if text == "ROWS" {
                        self.permits.acquire().await.unwrap().forget();
                    }
                    if socket.write_all(piece).await.is_err() {
                        break;
                    }
                    self.sent
                        .fetch_add(usize::from(text == "ROWS"), Ordering::SeqCst);
                }
            }
        }
    }

    /// Lets `pieces` of the answer out, and waits until they are on their way.
    async fn send(&self, pieces: usize) {
        let wanted = self.sent.load(Ordering::SeqCst) + pieces;
        self.permits.add_permits(pieces);
        until(|| self.sent.load(Ordering::SeqCst) == wanted).await;
    }

    fn counts(&self) -> (usize, usize) {
        let count = |counter: &AtomicUsize| counter.load(Ordering::SeqCst);
        (count(&self.connected), count(&self.cancelled))
    }
}

/// The text of the statement that comes next, when all of it is there.
async fn next_statement(socket: &mut TcpStream) -> Option<String> {
    let mut text = String::new();
    loop {
        let tag = socket.read_u8().await.ok()?;
        let mut body = vec![0; socket.read_u32().await.ok()? as usize - 4];
        socket.read_exact(&mut body).await.ok()?;
        match tag {
            // Of no name, and then the text.
            b'P' => {
                text = body
                    .iter()
                    .skip(1)
                    .take_while(|byte| **byte != 0)
                    .map(|byte| char::from(*byte))
                    .collect()
            }
            b'S' => return Some(text),
            _ => {}
        }
    }
}

async fn until(mut reached: impl FnMut() -> bool) {
    let waiting = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(LONG, waiting).await.unwrap();
}

/// What a pool of the usual size has.
fn load(busy: usize, idle: usize) -> PoolSize {
    PoolSize {
        busy,
        idle,
        limit: PoolSettings::default().size,
        waiting: 0,
    }
}

/// Starts `ROWS` in a task, lets so many pieces of its answer out, and gives up.
async fn give_up_after(server: &Server, session: &Session, pieces: usize) {
    let before = server.asked.load(Ordering::SeqCst);
    let asking = session.clone();
    let asked = tokio::spawn(async move { asking.query("ROWS", &[], ALL).await });
    until(|| server.asked.load(Ordering::SeqCst) > before).await;
    server.send(pieces).await;
    // Whether it has read that by now doesn't matter.
    tokio::task::yield_now().await;
    asked.abort();
    let _ = asked.await;
}

#[tokio::test]
async fn a_statement_given_up_anywhere_leaves_a_clean_connection() {
    let server = Server::start().await;
    let pool = server.pool();
    let session = Session::new(Arc::clone(&pool), share(), LONG);
    session.execute("FAIL", &[]).await.unwrap_err();
    for pieces in 0..PIECES {
        give_up_after(&server, &session, pieces).await;
        assert_eq!(pool.size(), load(1, 0), "after {pieces}");
        server.send(PIECES - pieces).await;
        until(|| pool.size() == load(0, 1)).await;
    }
    session.execute("COMMIT", &[]).await.unwrap();
    assert_eq!(server.counts(), (1, 0));
}

#[tokio::test]
async fn a_statement_that_goes_on_is_cancelled_after_a_while() {
    let server = Server::start().await;
    let pool = server.pool();
    give_up_after(&server, &Session::new(Arc::clone(&pool), share(), LONG), 5).await;
    until(|| pool.size() == load(0, 0)).await;
    assert_eq!(server.counts(), (1, 1));
}

#[tokio::test]
async fn a_statement_given_up_in_a_transaction_ends_it_at_once() {
    for pieces in 0..PIECES {
        let server = Server::start().await;
        let pool = server.pool();
        let session = Session::new(Arc::clone(&pool), share(), LONG);
        session.execute("BEGIN", &[]).await.unwrap();
        give_up_after(&server, &session, pieces).await;
        // Its answer would come now, but nobody waits for that.
        server.permits.add_permits(PIECES - pieces);
        assert_eq!(
            session.execute("COMMIT", &[]).await,
            Err(DatabaseError::TransactionLost)
        );
        until(|| pool.size() == load(0, 0)).await;
        assert_eq!(server.counts(), (1, 1));
    }
}

#[tokio::test]
async fn a_transaction_given_up_between_statements_is_rolled_back_and_its_connection_kept() {
    let server = Server::start().await;
    let pool = server.pool();
    for last in ["BEGIN", "FAIL"] {
        let session = Session::new(Arc::clone(&pool), share(), LONG);
        session.execute("BEGIN", &[]).await.unwrap();
        _ = session.execute(last, &[]).await;
        drop(session);
        until(|| pool.size() == load(0, 1)).await;
    }
    assert_eq!(server.counts(), (1, 0));
}

#[tokio::test]
async fn an_error_of_the_statements_own_keeps_the_transaction() {
    let server = Server::start().await;
    let session = Session::new(server.pool(), share(), LONG);
    session.execute("BEGIN", &[]).await.unwrap();
    for _ in 0..2 {
        let failed = session.query("FAIL", &[], ALL).await.unwrap_err();
        assert!(matches!(failed, DatabaseError::Server(_)), "{failed}");
        let unsendable = session.execute("\0", &[]).await.unwrap_err();
        assert_eq!(unsendable, DatabaseError::Unsendable);
        session.execute("SET x = 1", &[]).await.unwrap_err();
    }
    assert_eq!(session.pool().size(), load(1, 0));
    session.execute("COMMIT", &[]).await.unwrap();
    assert_eq!(session.pool().size(), load(0, 1));
    assert_eq!(server.counts(), (1, 0));
}

#[tokio::test]
async fn nobody_waits_for_a_stream_and_a_dropped_one_blocks_nobody() {
    let server = Server::start().await;
    let session = Session::new(server.pool(), share(), LONG);
    session.execute("BEGIN", &[]).await.unwrap();
    let asking = session.clone();
    let streaming = tokio::spawn(async move { asking.query("ROWS", &[], FEW).await });
    until(|| server.asked.load(Ordering::SeqCst) == 1).await;
    let asking = session.clone();
    let waiting = tokio::spawn(async move { asking.execute("COMMIT", &[]).await });
    tokio::task::yield_now().await;
    // Enough for the first rows: it is a stream from here on, and the other would wait for ever.
    server.send(PIECES - 4).await;
    let answer = streaming.await.unwrap().unwrap();
    assert!(answer.rest.is_some());
    assert_eq!(waiting.await.unwrap(), Err(DatabaseError::Busy));
    assert_eq!(
        session.execute("COMMIT", &[]).await,
        Err(DatabaseError::Busy)
    );
    drop(answer);
    server.send(4).await;
    session.execute("COMMIT", &[]).await.unwrap();
    assert_eq!(session.pool().size(), load(0, 1));
    assert_eq!(server.counts(), (1, 0));
}

#[tokio::test]
async fn a_statements_time_has_an_end() {
    let server = Server::start().await;
    let limit = Duration::from_millis(100);
    let session = Session::new(server.pool(), share(), limit);
    let late = Some(DatabaseError::Deadline(limit));
    assert_eq!(session.execute("ROWS", &[]).await.err(), late);
    until(|| session.pool().size() == load(0, 0)).await;
    assert_eq!(server.counts(), (1, 1));

    // Rows that came in time are not lost to those that didn't.
    let server = Server::start().await;
    let session = Session::new(server.pool(), share(), Duration::from_secs(1));
    server.permits.add_permits(PIECES - 4);
    let answer = session.query("ROWS", &[], FEW).await.unwrap();
    let mut rest = answer.rest.unwrap();
    let (rows, _held) = rest.next(ALL).await.unwrap();
    assert_eq!(answer.rows.len() + rows.len(), ROWS);
    assert!(!rest.has_ended());
    let late = rest.next(ALL).await.unwrap_err();
    assert_eq!(late, DatabaseError::Deadline(Duration::from_secs(1)));
    assert!(rest.has_ended());
    until(|| session.pool().size() == load(0, 0)).await;
}

/// In whichever order they go.
#[test]
fn a_runtime_that_ends_takes_its_statements_with_it() {
    for runtime_first in [true, false] {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .unwrap();
        let (server, pool) = runtime.block_on(async {
            let server = Server::start().await;
            let pool = server.pool();
            (server, pool)
        });
        let session = Session::new(Arc::clone(&pool), share(), LONG);
        let mut asked = Box::pin(async move { session.query("ROWS", &[], ALL).await });
        runtime.block_on(async {
            let begun = tokio::time::timeout(Duration::from_millis(100), &mut asked);
            assert!(begun.await.is_err());
        });
        assert_eq!(pool.size(), load(1, 0));
        if runtime_first {
            drop(runtime);
            drop(asked);
        } else {
            let entered = runtime.enter();
            drop(asked);
            drop(entered);
            drop(runtime);
        }
        assert_eq!(pool.size(), load(0, 0));
        assert_eq!(server.counts(), (1, 0));
    }
}
