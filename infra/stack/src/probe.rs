//! Is it up? Asks a part by its own protocol, again and again until a deadline.

use std::io;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::error::{Error, Result, chain};
use crate::process::Process;

const TRY_AGAIN: Duration = Duration::from_millis(20);
const ONE_ATTEMPT: Duration = Duration::from_secs(5);

/// Status and body of a GET. Enough HTTP for health checks on loopback: no TLS, no redirects, no chunks.
pub async fn http_get(address: &str, path: &str) -> io::Result<(u16, String)> {
    let exchange = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        io::Result::Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = tokio::time::timeout(ONE_ATTEMPT, exchange).await??;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer"))?;
    Ok((status, body.to_owned()))
}

/// A connection, good for as long as the client lives.
pub(crate) async fn connect(url: &str) -> Result<tokio_postgres::Client, String> {
    let (config, encryption) = pg_tls::parse(url, None).map_err(|error| error.to_string())?;
    tokio::time::timeout(ONE_ATTEMPT, pg_tls::connect(&config, &encryption))
        .await
        .map_err(|_| "no answer".to_owned())?
        .map_err(|error| chain(&error))
}

/// `SELECT 1`: behind a pooler, only this proves that the database is there too.
pub(crate) async fn select_one(url: &str) -> Result<(), String> {
    let client = connect(url).await?;
    tokio::time::timeout(ONE_ATTEMPT, client.simple_query("SELECT 1"))
        .await
        .map_err(|_| "no answer".to_owned())?
        .map_err(|error| chain(&error))?;
    Ok(())
}

/// Repeats `attempt` until it succeeds, `process` ends or `deadline` has passed.
pub(crate) async fn until_ready<T>(
    process: &mut Process,
    deadline: Duration,
    mut attempt: impl AsyncFnMut() -> Result<T, String>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        let last = match attempt().await {
            Ok(value) => return Ok(value),
            Err(last) => last,
        };
        process.check()?;
        if start.elapsed() > deadline {
            return Err(Error::NotReady {
                part: process.part(),
                after: deadline,
                last,
                log: process.log().to_owned(),
            });
        }
        tokio::time::sleep(TRY_AGAIN).await;
    }
}
