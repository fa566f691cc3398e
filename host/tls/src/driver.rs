//! The same for `tokio-postgres`.

use std::error::Error as _;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::config::SslMode;
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, Config, Error};

use crate::{Connector, Encryption, TlsError, TlsStream, Trust, server_end_point};

/// Connects as [`parse`](crate::parse) found that it should be done. The connection ends with the client; what goes wrong on it
/// reaches whoever waits for an answer.
pub async fn connect(config: &Config, encryption: &Encryption) -> Result<Client, Error> {
    let tls = MakeTls(match encryption {
        Encryption::Never => None,
        Encryption::IfPossible(trust) | Encryption::Always(trust) => Some(trust.clone()),
    });
    let connected = match (config.connect(tls.clone()).await, encryption) {
        (Err(error), Encryption::IfPossible(_))
            if error.source().is_some_and(|cause| cause.is::<TlsError>()) =>
        {
            config.clone().ssl_mode(SslMode::Disable).connect(tls).await
        }
        (connected, _) => connected,
    };
    let (client, connection) = connected?;
    tokio::spawn(connection);
    Ok(client)
}

/// `None` if TLS isn't wanted; then it isn't asked either.
#[derive(Clone)]
struct MakeTls(Option<Trust>);

struct Tls {
    trust: Option<Trust>,
    host: String,
}

/// A TLS stream as the driver wants it.
struct Stream<S>(TlsStream<S>);

// === impl MakeTls ===

impl<S> MakeTlsConnect<S> for MakeTls
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Stream<S>;
    type TlsConnect = Tls;
    type Error = TlsError;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Tls, TlsError> {
        Ok(Tls {
            trust: self.0.clone(),
            host: domain.to_owned(),
        })
    }
}

// === impl Tls ===

impl<S> TlsConnect<S> for Tls
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Stream<S>;
    type Error = TlsError;
    type Future = Pin<Box<dyn Future<Output = Result<Stream<S>, TlsError>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let trust = self.trust.ok_or(TlsError::NoAnswer)?;
            let connector = Connector::new(&trust, &self.host).await?;
            Ok(Stream(connector.handshake(stream).await?))
        })
    }
}

// === impl Stream ===

impl<S> tokio_postgres::tls::TlsStream for Stream<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    fn channel_binding(&self) -> ChannelBinding {
        server_end_point(&self.0)
            .map_or_else(ChannelBinding::none, ChannelBinding::tls_server_end_point)
    }
}

impl<S> AsyncRead for Stream<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S> AsyncWrite for Stream<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
