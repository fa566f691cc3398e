//! Where notifications arrive: a mail server and a web server on loopback that keep what they get.

use std::io::{self, BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::Response;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use mailin::response::OK;
use mailin::{Action, Handler, SessionBuilder};
use serde_json::Value;

/// Mails, whole, as they came.
#[derive(Clone, Debug)]
pub struct MailSink {
    pub address: String,
    mails: Arc<Mutex<Vec<String>>>,
}

/// Bodies of POSTs, each with its path.
#[derive(Clone, Debug)]
pub struct WebSink {
    pub url: String,
    messages: Arc<Mutex<Vec<(String, Value)>>>,
}

/// One connection's mail.
#[derive(Clone)]
struct Mail {
    text: Vec<u8>,
    sink: Arc<Mutex<Vec<String>>>,
}

// === impl MailSink ===

impl MailSink {
    /// Runs until the process ends.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?.to_string();
        let mails = Arc::<Mutex<Vec<String>>>::default();
        let sink = Arc::clone(&mails);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(io::Result::ok) {
                let sink = Arc::clone(&sink);
                // Whoever breaks off has sent no mail.
                std::thread::spawn(move || take_mail(&stream, sink));
            }
        });
        Ok(Self { address, mails })
    }

    pub fn mails(&self) -> Vec<String> {
        self.mails
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl Handler for Mail {
    fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.text.extend_from_slice(bytes);
        Ok(())
    }

    fn data_end(&mut self) -> mailin::Response {
        let mail = String::from_utf8_lossy(&self.text).into_owned();
        self.text.clear();
        self.sink
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(mail);
        OK
    }
}

fn take_mail(stream: &TcpStream, sink: Arc<Mutex<Vec<String>>>) -> io::Result<()> {
    let handler = Mail {
        text: Vec::new(),
        sink,
    };
    let mut session = SessionBuilder::new("mail.test").build(stream.peer_addr()?.ip(), handler);
    let mut out = stream;
    session.greeting().write_to(&mut out)?;
    let mut lines = BufReader::new(stream);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line)? > 0 {
        let response = session.process(&line);
        line.clear();
        match response.action {
            Action::NoReply => continue,
            Action::Close => return response.write_to(&mut out),
            _ => response.write_to(&mut out)?,
        }
    }
    Ok(())
}

// === impl WebSink ===

impl WebSink {
    pub async fn start() -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let messages = Arc::<Mutex<Vec<(String, Value)>>>::default();
        let kept = Arc::clone(&messages);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kept = Arc::clone(&kept);
                let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                    let kept = Arc::clone(&kept);
                    async move {
                        let path = request.uri().path().to_owned();
                        let body = request.into_body().collect().await?.to_bytes();
                        let body = serde_json::from_slice(&body).context("a JSON body")?;
                        kept.lock()
                            .unwrap_or_else(PoisonError::into_inner)
                            .push((path, body));
                        anyhow::Ok(Response::new(Empty::<Bytes>::new()))
                    }
                });
                let connection = hyper::server::conn::http1::Builder::new()
                    .serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        Ok(Self { url, messages })
    }

    /// What came to a path.
    pub fn messages(&self, path: &str) -> Vec<Value> {
        self.messages
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .filter(|(to, _)| to == path)
            .map(|(_, body)| body.clone())
            .collect()
    }
}
