//! One keep-alive connection of a client.

use std::net::SocketAddr;

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

#[derive(Debug)]
pub struct Connection {
    address: SocketAddr,
    /// `None` after it broke: the next request makes a new one.
    sender: Option<SendRequest<Full<Bytes>>>,
}

/// A whole answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

// === impl Connection ===

impl Connection {
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // How it ends, a request finds out.
        tokio::spawn(connection);
        Ok(Self {
            address,
            sender: Some(sender),
        })
    }

    /// The status, when the whole body has come.
    pub async fn ask(&mut self, request: Request<Full<Bytes>>) -> Result<StatusCode> {
        let mut sender = self.sender().await?;
        sender.ready().await?;
        let mut response = sender.send_request(request).await?;
        while let Some(frame) = response.frame().await {
            frame?;
        }
        self.sender = Some(sender);
        Ok(response.status())
    }

    /// The answer itself.
    pub async fn answer(&mut self, request: Request<Full<Bytes>>) -> Result<Answer> {
        let mut sender = self.sender().await?;
        sender.ready().await?;
        let (parts, body) = sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes();
        self.sender = Some(sender);
        Ok(Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }

    async fn sender(&mut self) -> Result<SendRequest<Full<Bytes>>> {
        match self.sender.take() {
            Some(sender) => Ok(sender),
            None => {
                let mut new = Self::open(self.address).await?;
                new.sender
                    .take()
                    .ok_or_else(|| anyhow::anyhow!("a new connection has no sender"))
            }
        }
    }
}
