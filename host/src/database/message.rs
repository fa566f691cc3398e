//! The messages of PostgreSQL's extended query protocol, as far as an unnamed statement needs them. Pure: bytes in, values out.

use bytes::{Buf, Bytes, BytesMut};
use postgres_protocol::IsNull;
use postgres_protocol::message::frontend;

use super::error::{DatabaseError, ServerError};
use super::reader::{Malformed, Reader};
use super::statements::Plan;

/// A value for `$1`, `$2` ... of a statement, encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// The type's OID. 0 leaves the type to the server, which infers it from the context as it does for a quoted literal.
    pub type_oid: u32,
    pub format: Format,
    /// `None` is NULL.
    pub value: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Text = 0,
    Binary = 1,
}

/// One row: its values in PostgreSQL's binary formats; in the text formats if it was asked for by the simple protocol.
#[derive(Clone, Debug)]
pub struct Row(Bytes);

/// A column as the server describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub name: String,
    pub type_oid: u32,
}

/// Whether a transaction is open, as the server says after each statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TransactionStatus {
    Idle,
    Open,
    /// Open and failed: only ROLLBACK is possible.
    Failed,
}

/// What a server says.
#[derive(Debug)]
pub(super) enum Message {
    /// A request for authentication: its code, and what follows.
    Authentication(u32, Bytes),
    CancelKey {
        process: i32,
        secret: i32,
    },
    Columns(Vec<Field>),
    NoColumns,
    Row(Row),
    /// The rows that the statement touched.
    Complete(u64),
    Copy,
    Error(ServerError),
    Ready(TransactionStatus),
    Parsed,
    /// A setting of the server's.
    Setting(String, String),
    /// Nothing to act on: notices, for one.
    Other,
}

/// The tag byte and the length, which counts itself.
const HEADER_BYTES: usize = 5;

// === impl Message ===

impl Message {
    /// Takes the first message off `inbox`, if all of it has arrived. None may be larger than `limit`, in bytes.
    pub fn take(inbox: &mut BytesMut, limit: usize) -> Result<Option<Self>, DatabaseError> {
        let mut header = Reader::new(inbox);
        let (Ok(tag), Ok(length)) = (header.u8(), header.u32()) else {
            return Ok(None);
        };
        let size = usize::try_from(length)
            .unwrap_or(usize::MAX)
            .saturating_add(1);
        if size < HEADER_BYTES {
            return Err(Malformed("a message with an impossible length").into());
        }
        if size > limit {
            return Err(DatabaseError::TooLarge(limit));
        }
        if inbox.len() < size {
            inbox.reserve(size - inbox.len());
            return Ok(None);
        }
        let mut body = inbox.split_to(size).freeze();
        body.advance(HEADER_BYTES);
        Ok(Some(Self::parse(tag, body)?))
    }

    fn parse(tag: u8, body: Bytes) -> Result<Self, Malformed> {
        let mut reader = Reader::new(&body);
        Ok(match tag {
            b'R' => Self::Authentication(reader.u32()?, body.slice(4..)),
            b'K' => Self::CancelKey {
                process: reader.i32()?,
                secret: reader.i32()?,
            },
            b'T' => Self::Columns(fields(&mut reader)?),
            b'n' => Self::NoColumns,
            b'D' => Self::Row(Row(body)),
            b'C' => Self::Complete(affected(reader.cstr()?)),
            b'I' => Self::Complete(0),
            b'G' | b'H' | b'W' => Self::Copy,
            b'E' => Self::Error(ServerError::parse(&body)?),
            b'Z' => Self::Ready(match reader.u8()? {
                b'I' => TransactionStatus::Idle,
                b'T' => TransactionStatus::Open,
                b'E' => TransactionStatus::Failed,
                _ => return Err(Malformed("an unknown transaction status")),
            }),
            b'1' => Self::Parsed,
            b'S' => {
                let mut text = || {
                    reader
                        .cstr()
                        .map(|text| String::from_utf8_lossy(text).into_owned())
                };
                Self::Setting(text()?, text()?)
            }
            b'2' | b'3' | b'A' | b'N' | b't' | b'v' => Self::Other,
            _ => return Err(Malformed("an unexpected message")),
        })
    }
}

fn fields(reader: &mut Reader<'_>) -> Result<Vec<Field>, Malformed> {
    let count = reader.u16()?;
    (0..count)
        .map(|_| {
            let name = String::from_utf8_lossy(reader.cstr()?).into_owned();
            let _table_and_column = reader.bytes(6)?;
            let type_oid = reader.u32()?;
            let _size_modifier_and_format = reader.bytes(8)?;
            Ok(Field { name, type_oid })
        })
        .collect()
}

/// `INSERT 0 5`, `UPDATE 3`, `BEGIN`: the last word, where it is a number.
fn affected(tag: &[u8]) -> u64 {
    std::str::from_utf8(tag)
        .ok()
        .and_then(|tag| tag.rsplit(' ').next()?.parse().ok())
        .unwrap_or(0)
}

// === impl Row ===

impl Row {
    /// The values in the columns' order; `None` is NULL.
    pub fn values(
        &self,
    ) -> Result<impl Iterator<Item = Result<Option<&[u8]>, Malformed>>, Malformed> {
        let mut reader = Reader::new(&self.0);
        let count = reader.u16()?;
        Ok((0..count).map(move |_| reader.nullable()))
    }

    /// The memory that the row takes, about.
    pub fn size(&self) -> usize {
        self.0.len()
    }
}

/// A whole statement in one write: Parse, unless the server knows it by a name, then Bind, Describe, Execute, Sync.
pub(super) fn statement(
    text: &str,
    parameters: &[Parameter],
    plan: &Plan,
    out: &mut BytesMut,
) -> Result<(), DatabaseError> {
    let name = plan.name.as_str();
    let encoded = (|| {
        if let Some(closed) = &plan.close {
            frontend::close(b'S', closed, out).ok()?;
        }
        if plan.parse {
            frontend::parse(name, text, parameters.iter().map(|p| p.type_oid), out).ok()?;
        }
        frontend::bind(
            "",
            name,
            parameters.iter().map(|p| p.format as i16),
            parameters,
            |parameter, out| {
                Ok(match &parameter.value {
                    Some(value) => {
                        out.extend_from_slice(value);
                        IsNull::No
                    }
                    None => IsNull::Yes,
                })
            },
            [Format::Binary as i16],
            out,
        )
        .ok()?;
        frontend::describe(b'P', "", out).ok()?;
        frontend::execute("", 0, out).ok()?;
        frontend::sync(out);
        Some(())
    })();
    encoded.ok_or_else(|| {
        out.clear();
        DatabaseError::Unsendable
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(tag: u8, body: &[u8]) -> BytesMut {
        let mut bytes = BytesMut::new();
        bytes.extend_from_slice(&[tag]);
        bytes.extend_from_slice(&(u32::try_from(body.len()).unwrap() + 4).to_be_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn a_message_is_taken_only_when_all_of_it_is_there() {
        let whole = frame(b'C', b"INSERT 0 5\0");
        for end in 0..whole.len() {
            let mut inbox = BytesMut::from(&whole[..end]);
            assert!(Message::take(&mut inbox, 1000).unwrap().is_none());
            assert_eq!(inbox.len(), end);
        }
        let mut inbox = whole;
        inbox.extend_from_slice(b"Z");
        assert!(matches!(
            Message::take(&mut inbox, 1000),
            Ok(Some(Message::Complete(5)))
        ));
        assert_eq!(&inbox[..], b"Z");
    }

    #[test]
    fn impossible_messages_are_errors() {
        assert!(Message::take(&mut BytesMut::from(&b"Z\0\0\0\x03"[..]), 1000).is_err());
        assert!(Message::take(&mut BytesMut::from(&b"D\xff\xff\xff\xff"[..]), 1000).is_err());
        for body in [
            (b'Z', &b"x"[..]),
            (b'Z', b""),
            (b'T', b"\0\x01ab"),
            (b'K', b"\0"),
            (b'R', b"\0"),
            (b'?', b""),
        ] {
            assert!(
                Message::take(&mut frame(body.0, body.1), 1000).is_err(),
                "{body:?}"
            );
        }
    }

    #[test]
    fn a_row_gives_its_values_and_no_more() {
        let Ok(Some(Message::Row(row))) =
            Message::take(&mut frame(b'D', b"\0\x02\xff\xff\xff\xff\0\0\0\x01x"), 1000)
        else {
            panic!("no row");
        };
        let values: Vec<_> = row.values().unwrap().map(Result::unwrap).collect();
        assert_eq!(values, [None, Some(&b"x"[..])]);
        let short = Row(Bytes::from_static(b"\0\x02\0\0\0\x09x"));
        assert!(short.values().unwrap().any(|value| value.is_err()));
    }

    #[test]
    fn the_rows_touched_are_the_tags_last_word() {
        assert_eq!(affected(b"INSERT 0 5"), 5);
        assert_eq!(affected(b"UPDATE 3"), 3);
        assert_eq!(affected(b"CREATE TABLE"), 0);
    }

    #[test]
    fn a_statement_with_a_zero_byte_leaves_nothing_behind() {
        let mut out = BytesMut::new();
        assert_eq!(
            statement("SELECT '\0'", &[], &Plan::unnamed(), &mut out),
            Err(DatabaseError::Unsendable)
        );
        assert!(out.is_empty());
    }
}
