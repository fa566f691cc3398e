//! Values on their way in: the guest's parameters, encoded for PostgreSQL.
//!
//! | parameter | sent as |
//! |---|---|
//! | boolean, int16, int32, int64, floating32, floating64, binary, date, time, uuid, jsonb, decimal, interval, ranges, arrays | the type of that name |
//! | int8 | `"char"`, as in Spin |
//! | str, datetime, timestamp, db-null | text without a type: the server infers it, as it does for a literal in quotes |
//!
//! So a `str` fits a uuid, an enum or an inet column, and a `datetime` means UTC for `timestamp` and `timestamptz` alike. Where nothing
//! tells the type (`SELECT $1`), it is text; a cast (`$1::timestamptz`) says otherwise.

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use tokio_postgres::types::Type;
use uuid::Uuid;

use super::numeric;
use super::{Error, ParameterValue, RangeBoundKind};
use crate::database::{Format, Parameter};

/// Lets the server infer the type.
const INFER: u32 = 0;

/// PostgreSQL counts days and microseconds from here.
pub(super) const EPOCH: NaiveDate = match NaiveDate::from_ymd_opt(2000, 1, 1) {
    Some(epoch) => epoch,
    None => NaiveDate::MIN,
};

// Flags of a range's binary format.
pub(super) const RANGE_EMPTY: u8 = 0x01;
pub(super) const RANGE_LOWER_INCLUSIVE: u8 = 0x02;
pub(super) const RANGE_UPPER_INCLUSIVE: u8 = 0x04;
pub(super) const RANGE_LOWER_INFINITE: u8 = 0x08;
pub(super) const RANGE_UPPER_INFINITE: u8 = 0x10;

type Bound<T> = Option<(T, RangeBoundKind)>;

/// All of a statement's parameters. An error names the one at fault, `$1` being the first, and not its value.
pub(super) fn encode(values: Vec<ParameterValue>) -> Result<Vec<Parameter>, Error> {
    (1..)
        .zip(values)
        .map(|(number, value): (usize, _)| {
            parameter(value).map_err(|what| Error::BadParameter(format!("${number} is {what}")))
        })
        .collect()
}

fn parameter(value: ParameterValue) -> Result<Parameter, &'static str> {
    use ParameterValue as V;
    Ok(match value {
        V::Boolean(v) => typed(Type::BOOL, [u8::from(v)]),
        V::Int8(v) => typed(Type::CHAR, v.to_be_bytes()),
        V::Int16(v) => typed(Type::INT2, v.to_be_bytes()),
        V::Int32(v) => typed(Type::INT4, v.to_be_bytes()),
        V::Int64(v) => typed(Type::INT8, v.to_be_bytes()),
        V::Floating32(v) => typed(Type::FLOAT4, v.to_be_bytes()),
        V::Floating64(v) => typed(Type::FLOAT8, v.to_be_bytes()),
        V::Str(v) => inferred(v),
        V::Binary(v) => typed(Type::BYTEA, v),
        V::Date((year, month, day)) => {
            typed(Type::DATE, days(date(year, month, day)?).to_be_bytes())
        }
        V::Time((hour, minute, second, nanosecond)) => {
            let time = time(hour, minute, second, nanosecond)?;
            let micros = i64::from(time.num_seconds_from_midnight()) * 1_000_000
                + i64::from(time.nanosecond() / 1000);
            typed(Type::TIME, micros.to_be_bytes())
        }
        V::Datetime((year, month, day, hour, minute, second, nanosecond)) => inferred(utc(date(
            year, month, day,
        )?
        .and_time(time(hour, minute, second, nanosecond)?))),
        V::Timestamp(seconds) => inferred(utc(DateTime::from_timestamp(seconds, 0)
            .ok_or("a timestamp out of range")?
            .naive_utc())),
        V::Uuid(v) => typed(
            Type::UUID,
            Uuid::parse_str(&v).map_err(|_| "not a UUID")?.into_bytes(),
        ),
        // The binary format is a version, 1, and the text, which the server checks.
        V::Jsonb(v) => typed(Type::JSONB, [&[1], v.as_slice()].concat()),
        V::Decimal(v) => typed(Type::NUMERIC, decimal(&v)?),
        V::RangeInt32((lower, upper)) => typed(
            Type::INT4_RANGE,
            range(lower, upper, |v| Ok(v.to_be_bytes().to_vec()))?,
        ),
        V::RangeInt64((lower, upper)) => typed(
            Type::INT8_RANGE,
            range(lower, upper, |v| Ok(v.to_be_bytes().to_vec()))?,
        ),
        V::RangeDecimal((lower, upper)) => {
            typed(Type::NUM_RANGE, range(lower, upper, |v| decimal(&v))?)
        }
        V::ArrayInt32(v) => typed(
            Type::INT4_ARRAY,
            array(&Type::INT4, v, |v| Ok(v.to_be_bytes().to_vec()))?,
        ),
        V::ArrayInt64(v) => typed(
            Type::INT8_ARRAY,
            array(&Type::INT8, v, |v| Ok(v.to_be_bytes().to_vec()))?,
        ),
        V::ArrayDecimal(v) => typed(
            Type::NUMERIC_ARRAY,
            array(&Type::NUMERIC, v, |v| decimal(&v))?,
        ),
        V::ArrayStr(v) => typed(
            Type::TEXT_ARRAY,
            array(&Type::TEXT, v, |v| Ok(v.into_bytes()))?,
        ),
        V::Interval(v) => {
            let mut bytes = v.micros.to_be_bytes().to_vec();
            bytes.extend_from_slice(&v.days.to_be_bytes());
            bytes.extend_from_slice(&v.months.to_be_bytes());
            typed(Type::INTERVAL, bytes)
        }
        V::DbNull => Parameter {
            type_oid: INFER,
            format: Format::Text,
            value: None,
        },
    })
}

fn typed(kind: Type, value: impl Into<Vec<u8>>) -> Parameter {
    Parameter {
        type_oid: kind.oid(),
        format: Format::Binary,
        value: Some(value.into()),
    }
}

fn inferred(text: String) -> Parameter {
    Parameter {
        type_oid: INFER,
        format: Format::Text,
        value: Some(text.into_bytes()),
    }
}

fn date(year: i32, month: u8, day: u8) -> Result<NaiveDate, &'static str> {
    NaiveDate::from_ymd_opt(year, month.into(), day.into()).ok_or("not a date")
}

fn days(date: NaiveDate) -> i32 {
    // All of `NaiveDate`'s days fit.
    date.num_days_from_ce() - EPOCH.num_days_from_ce()
}

/// PostgreSQL's resolution is a microsecond; what is finer is cut off.
fn time(hour: u8, minute: u8, second: u8, nanosecond: u32) -> Result<NaiveTime, &'static str> {
    if nanosecond >= 1_000_000_000 {
        return Err("not a time of day");
    }
    NaiveTime::from_hms_nano_opt(hour.into(), minute.into(), second.into(), nanosecond)
        .ok_or("not a time of day")
}

/// As the server reads it under any `DateStyle` and `TimeZone`: a `timestamp` column ignores the zone, and so means UTC too.
fn utc(at: NaiveDateTime) -> String {
    let (common_era, year) = at.year_ce();
    let era = if common_era { "" } else { " BC" };
    format!(
        "{year:04}-{}.{:06}+00{era}",
        at.format("%m-%d %H:%M:%S"),
        at.nanosecond() / 1000
    )
}

fn decimal(text: &str) -> Result<Vec<u8>, &'static str> {
    numeric::encode(text).map_err(|_| "not a decimal number that NUMERIC can hold")
}

fn range<T>(
    lower: Bound<T>,
    upper: Bound<T>,
    encode: impl Fn(T) -> Result<Vec<u8>, &'static str>,
) -> Result<Vec<u8>, &'static str> {
    let mut flags = 0;
    let mut bounds = Vec::new();
    for (bound, inclusive, infinite) in [
        (lower, RANGE_LOWER_INCLUSIVE, RANGE_LOWER_INFINITE),
        (upper, RANGE_UPPER_INCLUSIVE, RANGE_UPPER_INFINITE),
    ] {
        match bound {
            Some((value, kind)) => {
                if kind == RangeBoundKind::Inclusive {
                    flags |= inclusive;
                }
                sized(&encode(value)?, &mut bounds)?;
            }
            None => flags |= infinite,
        }
    }
    bounds.insert(0, flags);
    Ok(bounds)
}

fn array<T>(
    element: &Type,
    values: Vec<Option<T>>,
    encode: impl Fn(T) -> Result<Vec<u8>, &'static str>,
) -> Result<Vec<u8>, &'static str> {
    let count = i32::try_from(values.len()).map_err(|_| "an array with too many elements")?;
    let nulls = i32::from(values.iter().any(Option::is_none));
    let dimensions = i32::from(count > 0);
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&dimensions.to_be_bytes());
    bytes.extend_from_slice(&nulls.to_be_bytes());
    bytes.extend_from_slice(&element.oid().to_be_bytes());
    if count > 0 {
        const FIRST_INDEX: i32 = 1;
        bytes.extend_from_slice(&count.to_be_bytes());
        bytes.extend_from_slice(&FIRST_INDEX.to_be_bytes());
    }
    for value in values {
        match value {
            Some(value) => sized(&encode(value)?, &mut bytes)?,
            None => bytes.extend_from_slice(&(-1i32).to_be_bytes()),
        }
    }
    Ok(bytes)
}

fn sized(value: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    let length = i32::try_from(value.len()).map_err(|_| "too long")?;
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(value: ParameterValue) -> Parameter {
        encode(vec![value]).unwrap().remove(0)
    }

    fn text(value: ParameterValue) -> String {
        let parameter = one(value);
        assert_eq!(
            (parameter.type_oid, parameter.format),
            (INFER, Format::Text)
        );
        String::from_utf8(parameter.value.unwrap()).unwrap()
    }

    #[test]
    fn moments_are_utc_text() {
        assert_eq!(
            text(ParameterValue::Datetime((2026, 1, 2, 3, 4, 5, 678_901_234))),
            "2026-01-02 03:04:05.678901+00"
        );
        assert_eq!(
            text(ParameterValue::Timestamp(-1)),
            "1969-12-31 23:59:59.000000+00"
        );
        assert_eq!(
            text(ParameterValue::Datetime((0, 1, 1, 0, 0, 0, 0))),
            "0001-01-01 00:00:00.000000+00 BC"
        );
        assert_eq!(
            text(ParameterValue::Datetime((12345, 1, 1, 0, 0, 0, 0))),
            "12345-01-01 00:00:00.000000+00"
        );
    }

    #[test]
    fn days_and_times_count_from_2000() {
        assert_eq!(
            one(ParameterValue::Date((2000, 1, 2))).value.unwrap(),
            1i32.to_be_bytes()
        );
        assert_eq!(
            one(ParameterValue::Date((1999, 12, 31))).value.unwrap(),
            (-1i32).to_be_bytes()
        );
        assert_eq!(
            one(ParameterValue::Time((0, 0, 1, 1999))).value.unwrap(),
            1_000_001i64.to_be_bytes()
        );
    }

    #[test]
    fn a_bad_value_is_named_by_its_number_and_not_shown() {
        for value in [
            ParameterValue::Date((2026, 2, 30)),
            ParameterValue::Time((24, 0, 0, 0)),
            ParameterValue::Time((23, 59, 59, 1_500_000_000)),
            ParameterValue::Timestamp(i64::MAX),
            ParameterValue::Uuid("s3cret".to_owned()),
            ParameterValue::Decimal("s3cret".to_owned()),
            ParameterValue::ArrayDecimal(vec![Some("s3cret".to_owned())]),
            ParameterValue::RangeDecimal((
                Some(("s3cret".to_owned(), RangeBoundKind::Inclusive)),
                None,
            )),
        ] {
            let Err(Error::BadParameter(message)) = encode(vec![ParameterValue::DbNull, value])
            else {
                panic!("taken");
            };
            assert!(
                message.starts_with("$2 is ") && !message.contains("s3cret"),
                "{message}"
            );
        }
    }

    #[test]
    fn ranges_and_arrays_have_postgresql_s_layout() {
        let range = one(ParameterValue::RangeInt32((
            Some((1, RangeBoundKind::Inclusive)),
            None,
        )));
        assert_eq!(range.value.unwrap(), b"\x12\0\0\0\x04\0\0\0\x01");
        let array = one(ParameterValue::ArrayInt32(vec![Some(7), None]));
        assert_eq!(
            array.value.unwrap(),
            b"\0\0\0\x01\0\0\0\x01\0\0\0\x17\0\0\0\x02\0\0\0\x01\0\0\0\x04\0\0\0\x07\xff\xff\xff\xff"
        );
        let empty = one(ParameterValue::ArrayStr(vec![]));
        assert_eq!(empty.value.unwrap(), b"\0\0\0\0\0\0\0\0\0\0\0\x19");
    }
}
