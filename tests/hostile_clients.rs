//! Promise: a client that is silent, slow or gone holds nothing: no place of a function, no shutdown, and no more CPU than is granted.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use anyhow::Result;
use flowviz_tests::{Host, HostOptions, probes};

fn host(settings: &str) -> Result<Host> {
    Host::with_manifest(&probes(&[("probe", settings)]), HostOptions::default())
}

fn send(host: &Host, bytes: &[u8]) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(host.address)?;
    socket.write_all(bytes)?;
    Ok(socket)
}

/// The status line of what comes back.
fn status(mut socket: TcpStream) -> Result<String> {
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

#[tokio::test]
async fn who_does_not_read_loses_the_place_when_the_time_is_over() -> Result<()> {
    let host = host("timeout = '1s'\nmax_concurrency = 1\nqueue = 10")?;
    // More than the buffers of both ends take.
    let unread = send(
        &host,
        b"GET /probe/bytes?100000000 HTTP/1.1\r\nHost: x\r\n\r\n",
    )?;
    host.wait_for_metrics(|metrics| metrics.sum("http_requests_in_flight", &[]) == 1.0)
        .await?;
    // Its only place is taken; whoever comes meanwhile gets it, or is told that the host is busy.
    let metrics = host
        .wait_for_metrics(|metrics| metrics.errors("probe", "timeout") == 1.0)
        .await?;
    assert_eq!(metrics.errors("probe", "client_disconnect"), 0.0);
    assert_eq!(host.get("/probe/ok").await?.status, 200);
    drop(unread);
    Ok(())
}

#[tokio::test]
async fn a_guest_that_calls_the_host_all_the_time_meets_its_cpu_limit() -> Result<()> {
    let host = host("timeout = '1h'\ncpu_limit = '100ms'")?;
    // It asks for the time in a loop, for ten minutes.
    host.get("/probe/busy?600000")
        .await?
        .expect_problem(504, "cpu-limit")?;
    let metrics = host.metrics().await?;
    assert_eq!(metrics.errors("probe", "cpu_limit"), 1.0);
    Ok(())
}

#[tokio::test]
async fn half_a_head_and_a_mute_peer_do_not_hold_up_the_end() -> Result<()> {
    let manifest = probes(&[("probe", "")]);
    let options = HostOptions {
        args: ["--drain-timeout", "3600"].map(str::to_owned).to_vec(),
        ..HostOptions::default()
    };
    let mut host = Host::with_manifest(&manifest, options)?;
    let _half = send(&host, b"GET /probe/ok HTTP/1.1\r\nHost")?;
    let _mute = send(&host, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")?;
    let _silent = send(&host, b"")?;
    assert_eq!(host.get("/probe/ok").await?.status, 200);
    host.signal("TERM")?;
    assert_eq!(host.wait().await?.code(), Some(0));
    Ok(())
}

#[tokio::test]
async fn an_upload_that_breaks_off_is_its_clients_doing() -> Result<()> {
    let host = host("")?;
    let upload = send(
        &host,
        b"POST /probe/echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nonly so much",
    )?;
    upload.shutdown(Shutdown::Both)?;
    let metrics = host
        .wait_for_metrics(|metrics| metrics.errors("probe", "client_disconnect") == 1.0)
        .await?;
    assert_eq!(
        metrics.sum("http_requests_total", &[("status", "499")]),
        1.0
    );
    Ok(())
}

#[tokio::test]
async fn a_request_names_its_host_once() -> Result<()> {
    let host = host("")?;
    for (hosts, expected) in [
        ("Host: x\r\n", "HTTP/1.1 200 OK"),
        ("", "HTTP/1.1 400 Bad Request"),
        ("Host: x\r\nHost: y\r\n", "HTTP/1.1 400 Bad Request"),
        ("Host: not a host\r\n", "HTTP/1.1 400 Bad Request"),
    ] {
        let request = format!("GET /probe/ok HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n");
        assert_eq!(
            status(send(&host, request.as_bytes())?)?,
            expected,
            "{hosts}"
        );
    }
    Ok(())
}

/// Reads only after it has sent all, as simple clients do: the answer must still be there.
#[tokio::test]
async fn a_body_that_is_too_large_is_told_so_to_its_end() -> Result<()> {
    let host = host("max_body_size = '1KiB'")?;
    let body = vec![b'x'; 8 * 1024 * 1024];
    for head in [
        "Content-Length: 8388608\r\n",
        "Transfer-Encoding: chunked\r\n",
    ] {
        for path in ["/probe/echo", "/probe/ok"] {
            let mut socket = send(
                &host,
                format!("POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{head}\r\n")
                    .as_bytes(),
            )?;
            if head.starts_with("Transfer") {
                socket.write_all(b"800000\r\n")?;
                socket.write_all(&body)?;
                socket.write_all(b"\r\n0\r\n\r\n")?;
            } else {
                socket.write_all(&body)?;
            }
            let status = status(socket)?;
            // A function that doesn't read its body can't know how long it is.
            let expected = match (path, head.starts_with("Transfer")) {
                ("/probe/ok", true) => "HTTP/1.1 200 OK",
                _ => "HTTP/1.1 413 Payload Too Large",
            };
            assert_eq!(status, expected, "{path} {head}");
        }
    }
    Ok(())
}
