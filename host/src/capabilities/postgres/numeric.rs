//! NUMERIC between PostgreSQL's binary format and decimal text, at any precision and with its scale: `100.50` stays `100.50`.
//!
//! The binary format is a header of four 16-bit numbers (count of digits, weight of the first digit, sign, digits to show after the
//! point) and then digits in base 10,000.

use crate::database::{Malformed, Reader};

const POSITIVE: u16 = 0x0000;
const NEGATIVE: u16 = 0x4000;
const NAN: u16 = 0xC000;
const INFINITY: u16 = 0xD000;
const NEGATIVE_INFINITY: u16 = 0xF000;

/// What PostgreSQL can hold.
const MAX_DIGITS_BEFORE_POINT: i64 = 131_072;
const MAX_DIGITS_AFTER_POINT: i64 = 16_383;

/// Decimal digits in one digit of base 10,000.
const GROUP: i64 = 4;

/// A text that is no decimal number, or one too large for NUMERIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a decimal number that NUMERIC can hold")]
pub struct NotNumeric;

/// Reads the binary format.
pub fn decode(bytes: &[u8]) -> Result<String, Malformed> {
    let mut reader = Reader::new(bytes);
    let count = reader.u16()?;
    let weight = i64::from(reader.i16()?);
    let sign = reader.u16()?;
    let scale = usize::from(reader.u16()?);
    let groups = (0..count)
        .map(|_| match reader.u16()? {
            group @ 0..=9999 => Ok(group),
            _ => Err(Malformed("a NUMERIC digit that is too large")),
        })
        .collect::<Result<Vec<_>, _>>()?;
    reader.end()?;

    let mut text = String::new();
    match sign {
        POSITIVE => {}
        NEGATIVE => text.push('-'),
        NAN => return Ok("NaN".to_owned()),
        INFINITY => return Ok("Infinity".to_owned()),
        NEGATIVE_INFINITY => return Ok("-Infinity".to_owned()),
        _ => return Err(Malformed("a NUMERIC with an unknown sign")),
    }
    // The group that counts 10,000 to the power of `power`.
    let group = |power: i64| {
        usize::try_from(weight - power)
            .ok()
            .and_then(|index| groups.get(index))
            .copied()
            .unwrap_or(0)
    };
    let mut whole: String = (0..=weight)
        .rev()
        .map(|power| format!("{:04}", group(power)))
        .collect();
    let zeros = whole.bytes().take_while(|digit| *digit == b'0').count();
    whole.drain(..zeros);
    text.push_str(if whole.is_empty() { "0" } else { &whole });
    if scale > 0 {
        text.push('.');
        let end = text.len() + scale;
        for power in 1.. {
            if text.len() >= end {
                break;
            }
            text.push_str(&format!("{:04}", group(-power)));
        }
        text.truncate(end);
    }
    Ok(text)
}

/// Writes the binary format. Takes what PostgreSQL takes as a literal: a sign, digits, a point, an exponent; NaN and Infinity.
pub fn encode(text: &str) -> Result<Vec<u8>, NotNumeric> {
    let text = text.trim_ascii();
    let (negative, digits) = match text.as_bytes() {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        all => (false, all),
    };
    if text.eq_ignore_ascii_case("nan") {
        return Ok(special(NAN));
    }
    if digits.eq_ignore_ascii_case(b"infinity") || digits.eq_ignore_ascii_case(b"inf") {
        return Ok(special(if negative {
            NEGATIVE_INFINITY
        } else {
            INFINITY
        }));
    }

    let (mantissa, exponent) = match digits.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        Some(at) => {
            let (mantissa, exponent) = digits.split_at(at);
            (mantissa, parse_exponent(exponent)?)
        }
        None => (digits, 0),
    };
    let (whole, fraction) = match mantissa.iter().position(|byte| *byte == b'.') {
        Some(at) => {
            let (whole, fraction) = mantissa.split_at(at);
            (whole, fraction.get(1..).unwrap_or_default())
        }
        None => (mantissa, &[][..]),
    };
    let all = || whole.iter().chain(fraction);
    if all().next().is_none() || !all().all(u8::is_ascii_digit) {
        return Err(NotNumeric);
    }
    let length = |part: &[u8]| i64::try_from(part.len()).map_err(|_| NotNumeric);
    // Digit number i stands for ten to the power of `first_power - i`.
    let first_power = length(whole)? - 1 + exponent;
    let scale = (length(fraction)? - exponent).max(0);
    if scale > MAX_DIGITS_AFTER_POINT {
        return Err(NotNumeric);
    }

    let significant: Vec<(i64, i16)> = (0..)
        .zip(all())
        .filter(|(_, digit)| **digit != b'0')
        .map(|(index, digit): (i64, _)| (first_power - index, i16::from(digit - b'0')))
        .collect();
    let (Some((highest, _)), Some((lowest, _))) = (significant.first(), significant.last()) else {
        return Ok(finite(0, POSITIVE, scale, &[]));
    };
    if *highest >= MAX_DIGITS_BEFORE_POINT {
        return Err(NotNumeric);
    }
    let weight = highest.div_euclid(GROUP);
    let count = usize::try_from(weight - lowest.div_euclid(GROUP) + 1).map_err(|_| NotNumeric)?;
    let mut groups = vec![0i16; count];
    for (power, digit) in significant {
        let index = usize::try_from(weight - power.div_euclid(GROUP)).map_err(|_| NotNumeric)?;
        let place = [1, 10, 100, 1000]
            .into_iter()
            .nth(usize::try_from(power.rem_euclid(GROUP)).map_err(|_| NotNumeric)?);
        if let (Some(group), Some(place)) = (groups.get_mut(index), place) {
            *group += digit * place;
        }
    }
    Ok(finite(
        weight,
        if negative { NEGATIVE } else { POSITIVE },
        scale,
        &groups,
    ))
}

/// `e5`, `E-3`, `e+10`: small enough that no sum overflows.
fn parse_exponent(text: &[u8]) -> Result<i64, NotNumeric> {
    let digits = std::str::from_utf8(text)
        .ok()
        .and_then(|text| text.get(1..))
        .ok_or(NotNumeric)?;
    let exponent: i32 = digits.parse().map_err(|_| NotNumeric)?;
    if exponent.unsigned_abs() > 200_000 {
        return Err(NotNumeric);
    }
    Ok(exponent.into())
}

fn special(sign: u16) -> Vec<u8> {
    finite(0, sign, 0, &[])
}

fn finite(weight: i64, sign: u16, scale: i64, groups: &[i16]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + 2 * groups.len());
    // The limits above keep all of these within 16 bits.
    bytes.extend_from_slice(
        &u16::try_from(groups.len())
            .unwrap_or(u16::MAX)
            .to_be_bytes(),
    );
    bytes.extend_from_slice(&i16::try_from(weight).unwrap_or(i16::MAX).to_be_bytes());
    bytes.extend_from_slice(&sign.to_be_bytes());
    bytes.extend_from_slice(&u16::try_from(scale).unwrap_or(u16::MAX).to_be_bytes());
    for group in groups {
        bytes.extend_from_slice(&group.to_be_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(text: &str) -> String {
        decode(&encode(text).unwrap()).unwrap()
    }

    #[test]
    fn the_binary_format_is_postgresql_s() {
        // As `SELECT numeric_send(...)` shows them.
        assert_eq!(
            encode("12345.678").unwrap(),
            b"\0\x03\0\x01\0\0\0\x03\0\x01\x09\x29\x1a\x7c"
        );
        assert_eq!(
            encode("-0.0001").unwrap(),
            b"\0\x01\xff\xff\x40\0\0\x04\0\x01"
        );
        assert_eq!(encode("0.00").unwrap(), b"\0\0\0\0\0\0\0\x02");
        assert_eq!(encode("100000000").unwrap(), b"\0\x01\0\x02\0\0\0\0\0\x01");
        assert_eq!(encode("NaN").unwrap(), b"\0\0\0\0\xc0\0\0\0");
        assert_eq!(encode("-inf").unwrap(), b"\0\0\0\0\xf0\0\0\0");
    }

    #[test]
    fn the_scale_is_kept() {
        for text in [
            "0",
            "0.0",
            "100.50",
            "-100.50",
            "0.000000000000000000000000000000000001",
            "12345678901234567890123456789.000",
            "9999",
            "10000",
            "10001.0001",
            "NaN",
            "Infinity",
            "-Infinity",
        ] {
            assert_eq!(round_trip(text), text);
        }
    }

    #[test]
    fn other_ways_to_write_a_number_are_understood() {
        for (text, canonical) in [
            ("+1", "1"),
            ("007", "7"),
            (".5", "0.5"),
            ("5.", "5"),
            ("1e3", "1000"),
            ("1.5e3", "1500"),
            ("15E-1", "1.5"),
            ("1e-3", "0.001"),
            ("-0", "0"),
            ("0e5", "0"),
            (" 1 ", "1"),
            ("1.23e+1", "12.3"),
        ] {
            assert_eq!(round_trip(text), canonical, "{text}");
        }
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in [
            "",
            "-",
            ".",
            "e5",
            "1e",
            "1e99999999999",
            "1e200000",
            "1e-20000",
            "1,5",
            "0x10",
            "1_000",
            "--1",
            "-nan",
            "1.2.3",
            "¼",
        ] {
            assert_eq!(encode(text), Err(NotNumeric), "{text}");
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut bytes = encode("-1234567.000012").unwrap();
        for index in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let before = std::mem::replace(&mut bytes[index], value);
                let _ = decode(&bytes);
                bytes[index] = before;
            }
            let _ = decode(&bytes[..index]);
        }
        assert!(decode(b"\0\x01\0\0\0\0\0\0\x27\x10").is_err());
        assert!(decode(b"\0\0\0\0\0\0\0\0\0").is_err());
    }

    /// Numbers of all shapes, from a small generator, so that a failure comes again.
    #[test]
    fn any_number_comes_back_as_it_was() {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        for _ in 0..20_000 {
            let mut text = String::new();
            let whole: String = (0..random(30))
                .map(|_| char::from(b'0' + random(10) as u8))
                .collect();
            let whole = whole.trim_start_matches('0');
            let fraction: String = (0..random(30))
                .map(|_| char::from(b'0' + random(4) as u8))
                .collect();
            let zero = whole.is_empty() && fraction.bytes().all(|b| b == b'0');
            if random(2) == 1 && !zero {
                text.push('-');
            }
            text.push_str(if whole.is_empty() { "0" } else { whole });
            if !fraction.is_empty() {
                text.push('.');
                text.push_str(&fraction);
            }
            assert_eq!(round_trip(&text), text);
        }
    }
}
