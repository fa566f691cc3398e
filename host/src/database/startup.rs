//! Logging in: the start-up message, and authentication by password, MD5 or SCRAM-SHA-256.
//!
//! - Under TLS, SCRAM is tied to the server's certificate where the server offers it (`SCRAM-SHA-256-PLUS`): who is in between, with a
//!   certificate of their own, can't pass the login on.
//! - A password in clear text is sent to nobody whose certificate wasn't checked.

use bytes::BytesMut;
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{
    self, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256,
};
use postgres_protocol::message::frontend;

use super::MAX_MESSAGE_BYTES;
use super::address::{Address, ChannelBinding};
use super::error::DatabaseError;
use super::message::{Message, TransactionStatus};
use super::reader::Reader;
use super::server::CancelKey;
use super::wire::Wire;

// The codes of the server's requests for authentication.
const DONE: u32 = 0;
const PASSWORD: u32 = 3;
const MD5: u32 = 5;
const SASL: u32 = 10;
const SASL_CONTINUE: u32 = 11;
const SASL_FINAL: u32 = 12;

/// PgBouncer tells this from 1.26 on: how many named statements it keeps track of.
const TRACKED: &str = "pgbouncer.max_prepared_statements";

/// What a server says of itself when it lets us in.
#[derive(Debug, Default)]
pub(super) struct Welcome {
    /// With it a statement can be cancelled.
    pub cancel_key: Option<CancelKey>,
    /// It is a pooler that knows named statements.
    pub tracks_statements: bool,
}

/// Logs in over a new connection.
pub(super) async fn log_in(wire: &mut Wire, address: &Address) -> Result<Welcome, DatabaseError> {
    let mut parameters = vec![
        ("client_encoding", "UTF8"),
        ("user", address.user.as_str()),
        ("database", address.database.as_str()),
        ("application_name", address.application_name.as_str()),
    ];
    parameters.extend(
        address
            .options
            .as_deref()
            .map(|options| ("options", options)),
    );
    let mut out = BytesMut::new();
    frontend::startup_message(parameters, &mut out)
        .map_err(|_| refused("its parameters can't be sent"))?;
    wire.write(&out).await?;

    let mut scram: Option<ScramSha256> = None;
    let mut unbound = address.channel_binding == ChannelBinding::Always;
    let mut welcome = Welcome::default();
    loop {
        let (code, body) = match wire.message(MAX_MESSAGE_BYTES).await? {
            Message::Authentication(code, body) => (code, body),
            Message::CancelKey { process, secret } => {
                welcome.cancel_key = Some(CancelKey { process, secret });
                continue;
            }
            Message::Setting(name, value) => {
                welcome.tracks_statements |= name == TRACKED && value != "0";
                continue;
            }
            Message::Error(error) => return Err(DatabaseError::Refused(Box::new(error))),
            Message::Ready(TransactionStatus::Idle) => return Ok(welcome),
            Message::Other => continue,
            _ => return Err(refused("the server sent an unexpected message")),
        };
        out.clear();
        if code == DONE {
            // A server that says so in the middle of SCRAM hasn't shown that it knows the password.
            if scram.is_some() {
                return Err(refused("the server broke off its authentication"));
            }
            if unbound {
                return Err(no_binding());
            }
            continue;
        }
        if code == SASL_FINAL {
            let mut scram = scram.take().ok_or_else(unexpected)?;
            scram
                .finish(&body)
                .map_err(|_| refused("the server failed to prove that it knows the password"))?;
            continue;
        }
        let password = address
            .password
            .as_deref()
            .ok_or_else(|| refused("the server asks for a password"))?;
        let answered = match code {
            PASSWORD | MD5 if unbound => return Err(no_binding()),
            PASSWORD if !wire.is_verified() => {
                return Err(insecure(
                    "the server asks for the password in clear text, which it gets only under TLS with `sslmode=verify-ca` or \
                     `verify-full`",
                ));
            }
            PASSWORD => frontend::password_message(password, &mut out),
            MD5 => {
                let salt = Reader::new(&body).array::<4>()?;
                let hash = md5_hash(address.user.as_bytes(), password, salt);
                frontend::password_message(hash.as_bytes(), &mut out)
            }
            SASL => {
                let end_point = wire.end_point();
                let (mechanism, binding) = mechanism(&body, address.channel_binding, end_point)?;
                unbound &= mechanism != SCRAM_SHA_256_PLUS;
                let client = scram.insert(ScramSha256::new(password, binding));
                frontend::sasl_initial_response(mechanism, client.message(), &mut out)
            }
            SASL_CONTINUE => {
                let client = scram.as_mut().ok_or_else(unexpected)?;
                client.update(&body).map_err(|_| unexpected())?;
                frontend::sasl_response(client.message(), &mut out)
            }
            _ => return Err(unsupported()),
        };
        answered.map_err(|_| refused("the password can't be sent"))?;
        wire.write(&out).await?;
    }
}

/// Chooses from the server's offer: names, each ended by a zero byte.
fn mechanism(
    offer: &[u8],
    wanted: ChannelBinding,
    end_point: Option<Vec<u8>>,
) -> Result<(&'static str, sasl::ChannelBinding), DatabaseError> {
    let offers = |mechanism: &str| {
        offer
            .split(|byte| *byte == 0)
            .any(|name| name == mechanism.as_bytes())
    };
    match end_point.filter(|_| wanted != ChannelBinding::Never) {
        Some(end_point) if offers(SCRAM_SHA_256_PLUS) => Ok((
            SCRAM_SHA_256_PLUS,
            sasl::ChannelBinding::tls_server_end_point(end_point),
        )),
        _ if wanted == ChannelBinding::Always => Err(no_binding()),
        _ if !offers(SCRAM_SHA_256) => Err(unsupported()),
        // Says so: a server that did offer it learns that somebody has taken its offer away, and refuses.
        Some(_) => Ok((SCRAM_SHA_256, sasl::ChannelBinding::unrequested())),
        None => Ok((SCRAM_SHA_256, sasl::ChannelBinding::unsupported())),
    }
}

fn no_binding() -> DatabaseError {
    insecure("`channel_binding=require`, but the server doesn't tie the login to its certificate")
}

fn unsupported() -> DatabaseError {
    refused("the server asks for an authentication that is not supported")
}

fn unexpected() -> DatabaseError {
    refused("the server sent an unexpected authentication message")
}

fn insecure(reason: &str) -> DatabaseError {
    DatabaseError::Insecure(reason.to_owned())
}

fn refused(reason: &str) -> DatabaseError {
    DatabaseError::Connect(reason.to_owned())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    const BOTH: &[u8] = b"SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0";
    const PLAIN: &[u8] = b"SCRAM-SHA-256\0\0";

    /// The mechanism, and how the client's first message begins.
    fn chosen(
        offer: &[u8],
        wanted: ChannelBinding,
        end_point: Option<&[u8]>,
    ) -> Result<(&'static str, String), DatabaseError> {
        let (name, binding) = mechanism(offer, wanted, end_point.map(<[u8]>::to_vec))?;
        let first = String::from_utf8(ScramSha256::new(b"", binding).message().to_vec()).unwrap();
        Ok((name, first.split(",,").next().unwrap().to_owned()))
    }

    #[test]
    fn the_strongest_mechanism_is_chosen_and_an_offer_that_was_taken_away_shows() {
        use ChannelBinding::{Always, IfPossible, Never};
        let hash = Some(&b"hash"[..]);
        let with = |name: &'static str, header: &str| Ok((name, header.to_owned()));
        let plus = || with(SCRAM_SHA_256_PLUS, "p=tls-server-end-point");
        let none = || Err(no_binding());
        let cases = [
            (BOTH, IfPossible, hash, plus()),
            (BOTH, Always, hash, plus()),
            (BOTH, Never, hash, with(SCRAM_SHA_256, "n")),
            (PLAIN, IfPossible, hash, with(SCRAM_SHA_256, "y")),
            (PLAIN, Always, hash, none()),
            (PLAIN, Never, hash, with(SCRAM_SHA_256, "n")),
            (PLAIN, IfPossible, None, with(SCRAM_SHA_256, "n")),
            (BOTH, IfPossible, None, with(SCRAM_SHA_256, "n")),
            (BOTH, Always, None, none()),
            (b"OTHER\0\0", IfPossible, hash, Err(unsupported())),
        ];
        for (offer, wanted, end_point, expected) in cases {
            assert_eq!(chosen(offer, wanted, end_point), expected, "{wanted:?}");
        }
    }

    /// A server that asks for the password in clear text gets it from nobody who doesn't know who it is.
    #[tokio::test]
    async fn a_password_is_not_told_to_anybody() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asking = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut heard = Vec::new();
            socket.write_all(b"R\0\0\0\x08\0\0\0\x03").await.unwrap();
            socket.read_to_end(&mut heard).await.unwrap();
            String::from_utf8_lossy(&heard).into_owned()
        });
        let address = format!("host=127.0.0.1 port={port} user=u password=s3cret sslmode=disable");
        let address = Address::parse(&address).unwrap();
        let mut wire = Wire::open(&address.endpoints()[0], &address.encryption)
            .await
            .unwrap();
        let refused = log_in(&mut wire, &address).await.map(drop).unwrap_err();
        assert!(matches!(refused, DatabaseError::Insecure(_)), "{refused}");
        drop(wire);
        let heard = asking.await.unwrap();
        assert!(
            heard.contains("user") && !heard.contains("s3cret"),
            "{heard}"
        );
    }
}
