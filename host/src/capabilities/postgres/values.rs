//! Values on their way out: PostgreSQL's binary formats, decoded for the guest. No bytes that a server may send make it panic.
//!
//! | column | data type |
//! |---|---|
//! | bool, int2, int4, int8, float4, float8, bytea, date, time, uuid, numeric, interval | of that name |
//! | text, varchar, char(n), name, enums, citext | str |
//! | timestamp, timestamptz | datetime, in UTC |
//! | json, jsonb | jsonb |
//! | "char" | int8 |
//! | int4range, int8range, numrange | range-... |
//! | int4[], int8[], numeric[]; arrays of what is a str | array-... |
//! | all others | other(name), unsupported(binary format); a cast in the statement, such as `::text`, makes them readable |
//!
//! Enums, citext, json and "char" are `other` in Spin; here they are what a guest can use.

use chrono::{DateTime, Datelike, TimeDelta, Timelike};
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::numeric;
use super::params::{
    EPOCH, RANGE_EMPTY, RANGE_LOWER_INCLUSIVE, RANGE_LOWER_INFINITE, RANGE_UPPER_INCLUSIVE,
    RANGE_UPPER_INFINITE,
};
use super::{Column, DbDataType, DbValue, Error, Interval, RangeBoundKind};
use crate::database::{self, ColumnType, Malformed, Reader, Row};

const MICROS_PER_SECOND: i64 = 1_000_000;

/// From 1970 to PostgreSQL's epoch, in microseconds.
const EPOCH_MICROS: i64 = 946_684_800 * MICROS_PER_SECOND;

/// Year, month, day, hour, minute, second, nanosecond.
type DateTimeParts = (i32, u8, u8, u8, u8, u8, u32);

type Bound<T> = Option<(T, RangeBoundKind)>;

/// Why a value can't be given to the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum Unrepresentable {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("{0}")]
    NoWay(&'static str),
}

/// The columns as the guest sees them.
pub(super) fn columns(columns: &[database::Column]) -> Vec<Column> {
    columns
        .iter()
        .map(|column| Column {
            name: column.name.clone(),
            data_type: data_type(&column.kind),
        })
        .collect()
}

/// Rows as the guest sees them. An error names the column.
pub(super) fn rows(columns: &[database::Column], rows: &[Row]) -> Result<Vec<Vec<DbValue>>, Error> {
    rows.iter().map(|row| values(columns, row)).collect()
}

fn values(columns: &[database::Column], row: &Row) -> Result<Vec<DbValue>, Error> {
    let failed = |name: &str, why: Unrepresentable| {
        Error::ValueConversionFailed(format!("column {name:?}: {why}"))
    };
    let mut values = row
        .values()
        .map_err(|malformed| failed("", malformed.into()))?;
    columns
        .iter()
        .map(|column| {
            let value = values
                .next()
                .unwrap_or(Err(Malformed("fewer values than columns")));
            match value {
                Ok(None) => Ok(DbValue::DbNull),
                Ok(Some(bytes)) => decode(&column.kind, bytes),
                Err(malformed) => Err(malformed.into()),
            }
            .map_err(|why| failed(&column.name, why))
        })
        .collect()
}

fn data_type(kind: &ColumnType) -> DbDataType {
    match kind {
        ColumnType::Text(_) => DbDataType::Str,
        ColumnType::TextArray(_) => DbDataType::ArrayStr,
        ColumnType::Other(name) => DbDataType::Other(name.to_string()),
        ColumnType::Known(known) => match *known {
            Type::BOOL => DbDataType::Boolean,
            Type::CHAR => DbDataType::Int8,
            Type::INT2 => DbDataType::Int16,
            Type::INT4 => DbDataType::Int32,
            Type::INT8 => DbDataType::Int64,
            Type::FLOAT4 => DbDataType::Floating32,
            Type::FLOAT8 => DbDataType::Floating64,
            Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => {
                DbDataType::Str
            }
            Type::BYTEA => DbDataType::Binary,
            Type::DATE => DbDataType::Date,
            Type::TIME => DbDataType::Time,
            Type::TIMESTAMP | Type::TIMESTAMPTZ => DbDataType::Datetime,
            Type::UUID => DbDataType::Uuid,
            Type::JSON | Type::JSONB => DbDataType::Jsonb,
            Type::NUMERIC => DbDataType::Decimal,
            Type::INT4_RANGE => DbDataType::RangeInt32,
            Type::INT8_RANGE => DbDataType::RangeInt64,
            Type::NUM_RANGE => DbDataType::RangeDecimal,
            Type::INT4_ARRAY => DbDataType::ArrayInt32,
            Type::INT8_ARRAY => DbDataType::ArrayInt64,
            Type::NUMERIC_ARRAY => DbDataType::ArrayDecimal,
            Type::TEXT_ARRAY | Type::VARCHAR_ARRAY | Type::BPCHAR_ARRAY | Type::NAME_ARRAY => {
                DbDataType::ArrayStr
            }
            Type::INTERVAL => DbDataType::Interval,
            _ => DbDataType::Other(known.name().to_owned()),
        },
    }
}

fn decode(kind: &ColumnType, bytes: &[u8]) -> Result<DbValue, Unrepresentable> {
    let known = match kind {
        ColumnType::Text(_) => return Ok(DbValue::Str(text(bytes)?)),
        ColumnType::TextArray(_) => return Ok(DbValue::ArrayStr(array(bytes, text)?)),
        ColumnType::Other(_) => return Ok(DbValue::Unsupported(bytes.to_vec())),
        ColumnType::Known(known) => known,
    };
    Ok(match *known {
        Type::BOOL => DbValue::Boolean(fixed::<1>(bytes)? != [0]),
        Type::CHAR => DbValue::Int8(i8::from_be_bytes(fixed(bytes)?)),
        Type::INT2 => DbValue::Int16(i16::from_be_bytes(fixed(bytes)?)),
        Type::INT4 => DbValue::Int32(i32::from_be_bytes(fixed(bytes)?)),
        Type::INT8 => DbValue::Int64(i64::from_be_bytes(fixed(bytes)?)),
        Type::FLOAT4 => DbValue::Floating32(f32::from_be_bytes(fixed(bytes)?)),
        Type::FLOAT8 => DbValue::Floating64(f64::from_be_bytes(fixed(bytes)?)),
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN => {
            DbValue::Str(text(bytes)?)
        }
        Type::BYTEA => DbValue::Binary(bytes.to_vec()),
        Type::DATE => DbValue::Date(date(i32::from_be_bytes(fixed(bytes)?))?),
        Type::TIME => DbValue::Time(time(i64::from_be_bytes(fixed(bytes)?))?),
        Type::TIMESTAMP | Type::TIMESTAMPTZ => {
            DbValue::Datetime(datetime(i64::from_be_bytes(fixed(bytes)?))?)
        }
        Type::UUID => DbValue::Uuid(Uuid::from_bytes(fixed(bytes)?).to_string()),
        Type::JSON => DbValue::Jsonb(bytes.to_vec()),
        Type::JSONB => match bytes {
            [1, json @ ..] => DbValue::Jsonb(json.to_vec()),
            _ => return Err(Malformed("a version of jsonb that is unknown").into()),
        },
        Type::NUMERIC => DbValue::Decimal(numeric::decode(bytes)?),
        Type::INT4_RANGE => {
            DbValue::RangeInt32(range(bytes, |b| Ok(i32::from_be_bytes(fixed(b)?)))?)
        }
        Type::INT8_RANGE => {
            DbValue::RangeInt64(range(bytes, |b| Ok(i64::from_be_bytes(fixed(b)?)))?)
        }
        Type::NUM_RANGE => DbValue::RangeDecimal(range(bytes, |b| Ok(numeric::decode(b)?))?),
        Type::INT4_ARRAY => {
            DbValue::ArrayInt32(array(bytes, |b| Ok(i32::from_be_bytes(fixed(b)?)))?)
        }
        Type::INT8_ARRAY => {
            DbValue::ArrayInt64(array(bytes, |b| Ok(i64::from_be_bytes(fixed(b)?)))?)
        }
        Type::NUMERIC_ARRAY => DbValue::ArrayDecimal(array(bytes, |b| Ok(numeric::decode(b)?))?),
        Type::TEXT_ARRAY | Type::VARCHAR_ARRAY | Type::BPCHAR_ARRAY | Type::NAME_ARRAY => {
            DbValue::ArrayStr(array(bytes, text)?)
        }
        Type::INTERVAL => DbValue::Interval(interval(bytes)?),
        _ => DbValue::Unsupported(bytes.to_vec()),
    })
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], Malformed> {
    bytes
        .try_into()
        .map_err(|_| Malformed("a value of the wrong length"))
}

fn text(bytes: &[u8]) -> Result<String, Unrepresentable> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => Err(Malformed("text that is not UTF-8").into()),
    }
}

fn date(days: i32) -> Result<(i32, u8, u8), Unrepresentable> {
    if days == i32::MAX || days == i32::MIN {
        return Err(Unrepresentable::NoWay(
            "an infinite date has no year, month and day",
        ));
    }
    let date = EPOCH
        .checked_add_signed(TimeDelta::days(days.into()))
        .ok_or(Unrepresentable::NoWay("a date out of range"))?;
    Ok((date.year(), small(date.month()), small(date.day())))
}

/// Up to and including 24:00:00, which PostgreSQL knows.
fn time(micros: i64) -> Result<(u8, u8, u8, u32), Unrepresentable> {
    let micros = u64::try_from(micros).map_err(|_| Malformed("a negative time of day"))?;
    let seconds = u32::try_from(micros / 1_000_000).unwrap_or(u32::MAX);
    if seconds > 24 * 3600 {
        return Err(Malformed("a time of day beyond 24:00:00").into());
    }
    let nanos = u32::try_from(micros % 1_000_000).unwrap_or(0) * 1000;
    Ok((
        small(seconds / 3600),
        small(seconds / 60 % 60),
        small(seconds % 60),
        nanos,
    ))
}

fn datetime(micros: i64) -> Result<DateTimeParts, Unrepresentable> {
    if micros == i64::MAX || micros == i64::MIN {
        return Err(Unrepresentable::NoWay(
            "an infinite timestamp has no year, month and day",
        ));
    }
    let at = micros
        .checked_add(EPOCH_MICROS)
        .and_then(DateTime::from_timestamp_micros)
        .ok_or(Unrepresentable::NoWay("a timestamp out of range"))?
        .naive_utc();
    Ok((
        at.year(),
        small(at.month()),
        small(at.day()),
        small(at.hour()),
        small(at.minute()),
        small(at.second()),
        at.nanosecond(),
    ))
}

/// Months, days, hours, minutes and seconds fit a byte.
fn small(number: u32) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

fn interval(bytes: &[u8]) -> Result<Interval, Malformed> {
    let mut reader = Reader::new(bytes);
    let interval = Interval {
        micros: reader.i64()?,
        days: reader.i32()?,
        months: reader.i32()?,
    };
    reader.end()?;
    Ok(interval)
}

fn range<T>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, Unrepresentable>,
) -> Result<(Bound<T>, Bound<T>), Unrepresentable> {
    let mut reader = Reader::new(bytes);
    let flags = reader.u8()?;
    if flags & RANGE_EMPTY != 0 {
        return Err(Unrepresentable::NoWay(
            "an empty range has no bounds; `isempty(...)` tells it apart in the statement",
        ));
    }
    let mut bound = |inclusive: u8, infinite: u8| -> Result<Bound<T>, Unrepresentable> {
        if flags & infinite != 0 {
            return Ok(None);
        }
        let kind = if flags & inclusive != 0 {
            RangeBoundKind::Inclusive
        } else {
            RangeBoundKind::Exclusive
        };
        let value = reader
            .nullable()?
            .ok_or(Malformed("a range without its bound"))?;
        Ok(Some((decode(value)?, kind)))
    };
    let lower = bound(RANGE_LOWER_INCLUSIVE, RANGE_LOWER_INFINITE)?;
    let upper = bound(RANGE_UPPER_INCLUSIVE, RANGE_UPPER_INFINITE)?;
    reader.end()?;
    Ok((lower, upper))
}

fn array<T>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, Unrepresentable>,
) -> Result<Vec<Option<T>>, Unrepresentable> {
    let mut reader = Reader::new(bytes);
    let dimensions = reader.i32()?;
    let _has_nulls_and_element_type = reader.bytes(8)?;
    let count = match dimensions {
        0 => 0,
        1 => {
            let count = reader.i32()?;
            let _first_index = reader.i32()?;
            count
        }
        _ => {
            return Err(Unrepresentable::NoWay(
                "an array of more than one dimension has no list",
            ));
        }
    };
    // Not trusted for the capacity: the elements' own lengths end the loop early.
    let values = (0..count)
        .map(|_| reader.nullable()?.map(&decode).transpose())
        .collect::<Result<Vec<_>, Unrepresentable>>()?;
    reader.end()?;
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(kind: Type, bytes: &[u8]) -> Result<String, Unrepresentable> {
        decode(&ColumnType::Known(kind), bytes)
            .map(|value| format!("{value:?}").replace("DbValue::", ""))
    }

    #[test]
    fn moments_count_from_2000() {
        assert_eq!(
            known(Type::DATE, &(-1i32).to_be_bytes()).unwrap(),
            "Date((1999, 12, 31))"
        );
        assert_eq!(
            known(Type::TIMESTAMPTZ, &1_000_001i64.to_be_bytes()).unwrap(),
            "Datetime((2000, 1, 1, 0, 0, 1, 1000))"
        );
        assert_eq!(
            known(Type::TIMESTAMP, &(-1i64).to_be_bytes()).unwrap(),
            "Datetime((1999, 12, 31, 23, 59, 59, 999999000))"
        );
        assert_eq!(
            known(Type::TIME, &86_400_000_000i64.to_be_bytes()).unwrap(),
            "Time((24, 0, 0, 0))"
        );
    }

    #[test]
    fn what_has_no_place_in_the_interface_is_an_error() {
        for (kind, bytes) in [
            (Type::DATE, i32::MAX.to_be_bytes().to_vec()),
            (Type::DATE, (i32::MAX - 1).to_be_bytes().to_vec()),
            (Type::TIMESTAMP, i64::MIN.to_be_bytes().to_vec()),
            (Type::TIMESTAMP, (i64::MAX - 1).to_be_bytes().to_vec()),
            (Type::INT4_RANGE, vec![RANGE_EMPTY]),
            (
                Type::INT4_ARRAY,
                b"\0\0\0\x02\0\0\0\0\0\0\0\x17\0\0\0\0\0\0\0\x01".to_vec(),
            ),
        ] {
            assert!(
                matches!(known(kind.clone(), &bytes), Err(Unrepresentable::NoWay(_))),
                "{kind}"
            );
        }
    }

    #[test]
    fn added_types_are_text_where_they_can_be() {
        let text = decode(&ColumnType::Text("mood".into()), b"sad").map(|v| format!("{v:?}"));
        assert_eq!(text.unwrap(), "DbValue::Str(\"sad\")");
        assert!(matches!(
            data_type(&ColumnType::TextArray("_mood".into())),
            DbDataType::ArrayStr
        ));
        assert!(
            matches!(data_type(&ColumnType::Other("box3d".into())), DbDataType::Other(name) if name == "box3d")
        );
        assert!(matches!(
            decode(&ColumnType::Other("box3d".into()), b"x"),
            Ok(DbValue::Unsupported(_))
        ));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let array = b"\0\0\0\x01\0\0\0\x01\0\0\0\x17\0\0\0\x02\0\0\0\x01\0\0\0\x04\0\0\0\x07\xff\xff\xff\xff";
        assert_eq!(
            known(Type::INT4_ARRAY, array).unwrap(),
            "ArrayInt32([Some(7), None])"
        );
        let range = b"\x12\0\0\0\x04\0\0\0\x01";
        assert_eq!(
            known(Type::INT4_RANGE, range).unwrap(),
            "RangeInt32((Some((1, RangeBoundKind::Inclusive)), None))"
        );
        let kinds = [
            Type::BOOL,
            Type::CHAR,
            Type::INT2,
            Type::INT4,
            Type::INT8,
            Type::FLOAT4,
            Type::FLOAT8,
            Type::TEXT,
            Type::DATE,
            Type::TIME,
            Type::TIMESTAMP,
            Type::UUID,
            Type::JSONB,
            Type::NUMERIC,
            Type::INT4_RANGE,
            Type::NUM_RANGE,
            Type::INT8_ARRAY,
            Type::NUMERIC_ARRAY,
            Type::TEXT_ARRAY,
            Type::INTERVAL,
        ];
        for kind in kinds {
            for sample in [
                &array[..],
                &range[..],
                &[0xff; 24],
                &[0x7f; 24],
                &[0x80; 24],
            ] {
                for end in 0..=sample.len() {
                    let _ = known(kind.clone(), &sample[..end]);
                }
            }
        }
        // A count that promises more than is there.
        let mut liar = array.to_vec();
        liar[12..16].copy_from_slice(&i32::MAX.to_be_bytes());
        assert!(known(Type::INT4_ARRAY, &liar).is_err());
        liar[12..16].copy_from_slice(&i32::MIN.to_be_bytes());
        assert!(known(Type::INT4_ARRAY, &liar).is_err());
    }
}
