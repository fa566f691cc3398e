//! The way to the server: messages over a socket, under TLS if the address asks for it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use futures::FutureExt as _;
use pg_tls::{Connector, Encryption, TlsError, TlsStream, Trust};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, ToSocketAddrs};
use tokio::task::coop::unconstrained;

use super::address::Endpoint;
use super::error::{DatabaseError, io_reason};
use super::message::Message;

/// How much is read at once, at least. A small result arrives in one read.
const READ_BYTES: usize = 16 * 1024;

/// A buffer that a large row has grown beyond this is not kept.
const KEEP_BYTES: usize = 256 * 1024;

/// A server whose machine or network doesn't even acknowledge what it was sent is given up after this, well before a statement's own
/// time is over; one that is only slow acknowledges.
const UNHEARD: Duration = Duration::from_secs(4);

#[derive(Debug)]
pub(super) struct Wire {
    socket: Socket,
    inbox: BytesMut,
    route: Arc<Route>,
}

/// Leads to the same server again.
#[derive(Debug)]
pub(super) struct Route {
    peer: SocketAddr,
    tls: Option<Tls>,
}

#[derive(Debug)]
struct Tls {
    connector: Connector,
    /// The server is who it should be, as far as the address asks for that.
    verified: bool,
}

#[derive(Debug)]
enum Socket {
    Plain(TcpStream),
    // Much larger.
    Tls(Box<TlsStream<TcpStream>>),
}

// === impl Wire ===

impl Wire {
    /// Connects, and has TLS before anything else is said.
    pub async fn open(endpoint: &Endpoint, encryption: &Encryption) -> Result<Self, DatabaseError> {
        let addresses = addresses(endpoint).await?;
        let (mut socket, peer) = dial(addresses.as_slice()).await?;
        let (trust, may_do_without) = match encryption {
            Encryption::Never => return Ok(Self::plain(socket, peer)),
            Encryption::IfPossible(trust) => (trust, true),
            Encryption::Always(trust) => (trust, false),
        };
        let opened = match pg_tls::is_offered(&mut socket).await {
            Ok(true) => Self::encrypted(socket, peer, trust, &endpoint.host).await,
            Ok(false) if may_do_without => return Ok(Self::plain(socket, peer)),
            Ok(false) => Err(TlsError::NotOffered),
            Err(error) => Err(error),
        };
        match opened {
            // Half a handshake may have gone over that connection.
            Err(_) if may_do_without => {
                let (socket, peer) = dial(peer).await?;
                Ok(Self::plain(socket, peer))
            }
            opened => opened.map_err(failed),
        }
    }

    /// Connects once more to the same server, in the same way.
    pub async fn along(route: &Arc<Route>) -> Result<Self, DatabaseError> {
        let (mut socket, peer) = dial(route.peer).await?;
        let Some(tls) = &route.tls else {
            return Ok(Self::plain(socket, peer));
        };
        if !pg_tls::is_offered(&mut socket).await.map_err(failed)? {
            return Err(failed(TlsError::NotOffered));
        }
        let stream = tls.connector.handshake(socket).await.map_err(failed)?;
        Ok(Self::new(Socket::Tls(Box::new(stream)), Arc::clone(route)))
    }

    async fn encrypted(
        socket: TcpStream,
        peer: SocketAddr,
        trust: &Trust,
        host: &str,
    ) -> Result<Self, TlsError> {
        let connector = Connector::new(trust, host).await?;
        let stream = connector.handshake(socket).await?;
        let tls = Tls {
            connector,
            verified: trust.verifies(),
        };
        let route = Route {
            peer,
            tls: Some(tls),
        };
        Ok(Self::new(Socket::Tls(Box::new(stream)), route.into()))
    }

    fn plain(socket: TcpStream, peer: SocketAddr) -> Self {
        Self::new(Socket::Plain(socket), Route { peer, tls: None }.into())
    }

    fn new(socket: Socket, route: Arc<Route>) -> Self {
        Self {
            socket,
            inbox: BytesMut::with_capacity(READ_BYTES),
            route,
        }
    }

    /// When the server's certificate ends to be valid, in seconds since 1970; `None` without TLS.
    pub fn certificate_expires(&self) -> Option<i64> {
        match &self.socket {
            Socket::Plain(_) => None,
            Socket::Tls(stream) => pg_tls::expires(stream),
        }
    }

    pub fn route(&self) -> &Arc<Route> {
        &self.route
    }

    /// Under TLS, and with somebody whose certificate was checked.
    pub fn is_verified(&self) -> bool {
        self.route.tls.as_ref().is_some_and(|tls| tls.verified)
    }

    /// What a login can be tied to: the server's certificate, in TLS' own short form.
    pub fn end_point(&self) -> Option<Vec<u8>> {
        match &self.socket {
            Socket::Plain(_) => None,
            Socket::Tls(stream) => pg_tls::server_end_point(stream),
        }
    }

    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), DatabaseError> {
        match &mut self.socket {
            Socket::Plain(socket) => socket.write_all(bytes).await?,
            Socket::Tls(stream) => {
                stream.write_all(bytes).await?;
                // What TLS made of it may be more than the socket took.
                stream.flush().await?;
            }
        }
        Ok(())
    }

    /// The next message. Dropping the future loses nothing that has arrived.
    pub async fn message(&mut self, limit: usize) -> Result<Message, DatabaseError> {
        loop {
            if let Some(message) = Message::take(&mut self.inbox, limit)? {
                return Ok(message);
            }
            if self.read().await? == 0 {
                return Err(DatabaseError::Lost("the server closed it".to_owned()));
            }
        }
    }

    /// Nothing has come that isn't read yet, the end included. TLS' own messages, such as tickets for another session, are taken and
    /// don't count.
    pub fn is_quiet(&mut self) -> bool {
        // Without a limit on how much a task may read, which would look as if nothing had come.
        self.inbox.is_empty() && unconstrained(self.read()).now_or_never().is_none()
    }

    pub fn shrink(&mut self) {
        if self.inbox.capacity() > KEEP_BYTES {
            self.inbox = BytesMut::from(&self.inbox[..]);
        }
    }

    async fn read(&mut self) -> io::Result<usize> {
        if self.inbox.capacity() - self.inbox.len() < READ_BYTES / 4 {
            self.inbox.reserve(READ_BYTES);
        }
        match &mut self.socket {
            Socket::Plain(socket) => socket.read_buf(&mut self.inbox).await,
            Socket::Tls(stream) => stream.read_buf(&mut self.inbox).await,
        }
    }
}

async fn addresses(endpoint: &Endpoint) -> Result<Vec<SocketAddr>, DatabaseError> {
    if let Some(addr) = endpoint.hostaddr {
        return Ok(vec![(addr, endpoint.port).into()]);
    }
    let found = tokio::net::lookup_host((endpoint.host.as_str(), endpoint.port)).await;
    found
        .map(Iterator::collect)
        .map_err(|_| DatabaseError::Connect("its name can't be resolved".to_owned()))
}

async fn dial(addresses: impl ToSocketAddrs) -> Result<(TcpStream, SocketAddr), DatabaseError> {
    let connect = async {
        let socket = TcpStream::connect(addresses).await?;
        // A statement is one small write that should leave at once.
        socket.set_nodelay(true)?;
        let watched = SockRef::from(&socket);
        watched.set_tcp_user_timeout(Some(UNHEARD))?;
        watched.set_tcp_keepalive(
            &TcpKeepalive::new()
                .with_time(UNHEARD)
                .with_interval(UNHEARD),
        )?;
        let peer = socket.peer_addr()?;
        Ok((socket, peer))
    };
    connect
        .await
        .map_err(|error| DatabaseError::Connect(io_reason(&error)))
}

fn failed(error: TlsError) -> DatabaseError {
    let text = error.to_string();
    match error {
        // A server that goes away breaks off a handshake, too.
        TlsError::Handshake(_) | TlsError::NoAnswer => DatabaseError::Connect(text),
        _ => DatabaseError::Insecure(text),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::net::{TcpListener, TcpSocket};
    use tokio_rustls::TlsAcceptor;
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::crypto::ring;
    use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
    use tokio_rustls::server::TlsStream;

    use super::*;

    /// What the server takes before it reads, in bytes, more or less.
    const SMALL: u32 = 4096;

    fn acceptor() -> TlsAcceptor {
        let made = rcgen::generate_simple_self_signed(["db.test".to_owned()]).unwrap();
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into())
            .unwrap();
        Arc::new(config).into()
    }

    async fn accept(listener: &TcpListener) -> TlsStream<TcpStream> {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut request = [0; 8];
        socket.read_exact(&mut request).await.unwrap();
        assert_eq!(request[4..], 80_877_103_u32.to_be_bytes());
        socket.write_all(b"S").await.unwrap();
        acceptor().accept(socket).await.unwrap()
    }

    /// Both ends of a connection under TLS, and where others are accepted.
    async fn pair() -> (Wire, TlsStream<TcpStream>, TcpListener) {
        let listener = TcpSocket::new_v4().unwrap();
        listener.set_recv_buffer_size(SMALL).unwrap();
        listener.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let listener = listener.listen(10).unwrap();
        let endpoint = Endpoint {
            host: "127.0.0.1".to_owned(),
            port: listener.local_addr().unwrap().port(),
            hostaddr: None,
        };
        let encryption = Encryption::Always(Trust::Anyone);
        let (wire, server) = tokio::join!(Wire::open(&endpoint, &encryption), accept(&listener));
        (wire.unwrap(), server, listener)
    }

    async fn until_not_quiet(wire: &mut Wire) {
        let waiting = async {
            while wire.is_quiet() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), waiting)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn tls_own_messages_make_no_connection_stale_and_its_end_does() {
        let (mut wire, mut server, _) = pair().await;
        // The tickets have come right after the handshake; a change of keys comes later.
        for _ in 0..3 {
            server.get_mut().1.refresh_traffic_keys().unwrap();
            server.flush().await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
            assert!(wire.is_quiet());
        }
        server.write_all(b"Z\0\0\0\x05I").await.unwrap();
        server.flush().await.unwrap();
        until_not_quiet(&mut wire).await;
        // What came is not lost.
        let message = wire.message(100).await.unwrap();
        assert!(matches!(message, Message::Ready(_)), "{message:?}");
        assert!(wire.is_quiet());
        server.shutdown().await.unwrap();
        until_not_quiet(&mut wire).await;
    }

    #[tokio::test]
    async fn an_end_without_goodbye_is_seen_too() {
        let (mut wire, server, _) = pair().await;
        assert!(wire.is_quiet());
        drop(server);
        until_not_quiet(&mut wire).await;
    }

    /// What is sent to cancel a statement is a secret.
    #[tokio::test]
    async fn another_connection_is_protected_as_the_first() {
        let (wire, _server, listener) = pair().await;
        let again = async {
            let mut again = Wire::along(wire.route()).await.unwrap();
            again.write(b"cancel").await.unwrap();
        };
        let heard = async {
            let mut heard = Vec::new();
            // It ends without a goodbye.
            _ = accept(&listener).await.read_to_end(&mut heard).await;
            heard
        };
        let ((), heard) = tokio::join!(again, heard);
        assert_eq!(heard, b"cancel");
    }

    /// TLS takes all of it at once, the socket doesn't.
    #[tokio::test]
    async fn what_is_written_leaves_though_the_server_reads_late() {
        let (mut wire, mut server, _) = pair().await;
        let Socket::Tls(stream) = &wire.socket else {
            panic!("no TLS");
        };
        socket2::SockRef::from(stream.get_ref().0)
            .set_send_buffer_size(SMALL as usize)
            .unwrap();
        let message = vec![7; 60_000];
        let both = async {
            let mut heard = vec![0; message.len()];
            tokio::join!(wire.write(&message), server.read_exact(&mut heard))
        };
        let (written, read) = tokio::time::timeout(Duration::from_secs(60), both)
            .await
            .unwrap();
        written.unwrap();
        read.unwrap();
    }
}
