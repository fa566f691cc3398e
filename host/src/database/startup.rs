//! Logging in: the start-up message, and authentication by password, MD5 or SCRAM-SHA-256.

use bytes::{Bytes, BytesMut};
use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256};
use postgres_protocol::message::frontend;

use super::MAX_MESSAGE_BYTES;
use super::address::Address;
use super::error::DatabaseError;
use super::message::{Message, TransactionStatus};
use super::reader::Reader;
use super::server::{CancelKey, Wire};

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
            PASSWORD => frontend::password_message(password, &mut out),
            MD5 => {
                let salt = Reader::new(&body).array::<4>()?;
                let hash = md5_hash(address.user.as_bytes(), password, salt);
                frontend::password_message(hash.as_bytes(), &mut out)
            }
            SASL if offers_scram(&body) => {
                let client =
                    scram.insert(ScramSha256::new(password, ChannelBinding::unsupported()));
                frontend::sasl_initial_response(SCRAM_SHA_256, client.message(), &mut out)
            }
            SASL_CONTINUE => {
                let client = scram.as_mut().ok_or_else(unexpected)?;
                client.update(&body).map_err(|_| unexpected())?;
                frontend::sasl_response(client.message(), &mut out)
            }
            _ => {
                return Err(refused(
                    "the server asks for an authentication that is not supported",
                ));
            }
        };
        answered.map_err(|_| refused("the password can't be sent"))?;
        wire.write(&out).await?;
    }
}

/// The names of mechanisms, each ended by a zero byte, and another zero byte.
fn offers_scram(body: &Bytes) -> bool {
    body.split(|byte| *byte == 0)
        .any(|name| name == SCRAM_SHA_256.as_bytes())
}

fn unexpected() -> DatabaseError {
    refused("the server sent an unexpected authentication message")
}

fn refused(reason: &str) -> DatabaseError {
    DatabaseError::Connect(reason.to_owned())
}
