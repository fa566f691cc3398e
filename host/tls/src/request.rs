//! PostgreSQL's own question before TLS: does the server speak it?

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::TlsError;

/// The length, and a number that is no version of the protocol.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Asks on a new connection. True: the handshake comes next. False: the connection is good for going on without.
pub async fn is_offered<S>(socket: &mut S) -> Result<bool, TlsError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    socket.write_all(&SSL_REQUEST).await?;
    socket.flush().await?;
    // The server has nothing to say after its answer, before we go on. Whatever comes with it was put there by somebody else, in the
    // hope that it passes for what was sent under TLS.
    let mut answer = [0; 2];
    let length = socket.read(&mut answer).await?;
    match answer.get(..length) {
        Some(b"S") => Ok(true),
        Some(b"N") => Ok(false),
        Some([b'S' | b'N', _]) => Err(TlsError::EarlyData),
        // An error instead of an answer can't be trusted, and isn't shown.
        _ => Err(TlsError::NoAnswer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn answered(answer: &'static [u8]) -> Result<bool, TlsError> {
        let (mut client, mut server) = tokio::io::duplex(64);
        let answering = tokio::spawn(async move {
            let mut request = [0; 8];
            server.read_exact(&mut request).await.unwrap();
            assert_eq!(request, SSL_REQUEST);
            server.write_all(answer).await.unwrap();
        });
        let offered = is_offered(&mut client).await;
        answering.await.unwrap();
        offered
    }

    #[tokio::test]
    async fn one_letter_is_an_answer_and_nothing_else_is() {
        assert_eq!(answered(b"S").await, Ok(true));
        assert_eq!(answered(b"N").await, Ok(false));
        assert_eq!(answered(b"SR").await, Err(TlsError::EarlyData));
        assert_eq!(answered(b"NR").await, Err(TlsError::EarlyData));
        assert_eq!(answered(b"E").await, Err(TlsError::NoAnswer));
        assert_eq!(answered(b"").await, Err(TlsError::NoAnswer));
    }
}
