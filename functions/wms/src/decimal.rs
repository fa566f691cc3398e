//! Decimal numbers of a fixed scale, read from their text without a float in between.

use serde::{Serialize, Serializer};
use std::fmt;
use std::ops::Sub;

/// A number with `SCALE` decimals. Leaves as a JSON string: `"100.50"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Decimal<const SCALE: u32>(i64);

/// Mass in kilograms.
pub type Kilograms = Decimal<2>;

/// Temperature in degrees Celsius.
pub type Celsius = Decimal<1>;

/// Why a text is no decimal number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotDecimal {
    Malformed,
    OutOfRange,
}

/// More digits than an `i64` surely holds. Far beyond any limit of the API.
const DIGITS_MAX: i64 = 18;

/// A larger exponent, either way, is not a measurement.
const EXPONENT_MAX: i64 = 99;

// === impl Decimal ===

impl<const SCALE: u32> Decimal<SCALE> {
    const UNIT: i64 = 10_i64.pow(SCALE);

    /// The smallest number above zero.
    pub const STEP: Self = Self(1);

    /// A whole number.
    pub const fn whole(number: i32) -> Self {
        Self(number as i64 * Self::UNIT)
    }

    /// The number next to a float.
    pub fn nearest(number: f64) -> Self {
        // A float beyond the integer's range becomes its end.
        Self((number * Self::UNIT as f64).round_ties_even() as i64)
    }

    /// The nearest float, for a description.
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / Self::UNIT as f64
    }

    /// Reads `-12.345`, `12`, `.5`, `1e3`. More decimals than `SCALE` are rounded half to even.
    pub fn parse(text: &str) -> Result<Self, NotDecimal> {
        let (negative, unsigned) = match text.as_bytes().first() {
            Some(b'-') => (true, text.get(1..)),
            Some(b'+') => (false, text.get(1..)),
            _ => (false, Some(text)),
        };
        let unsigned = unsigned.ok_or(NotDecimal::Malformed)?;
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = || whole.bytes().chain(fraction.bytes());
        if digits().next().is_none() || !digits().all(|byte| byte.is_ascii_digit()) {
            return Err(NotDecimal::Malformed);
        }

        // The place of the first digit that is rounded away.
        let kept = whole.len() as i64 + exponent + i64::from(SCALE);
        let zeros = digits().take_while(|byte| *byte == b'0').count() as i64;
        let count = (whole.len() + fraction.len()) as i64;
        if zeros == count {
            return Ok(Self(0));
        }
        if kept - zeros > DIGITS_MAX {
            return Err(NotDecimal::OutOfRange);
        }

        let place = |index: i64, byte: u8| (index < kept).then_some(i64::from(byte - b'0'));
        let mut number = 0_i64;
        for (index, byte) in (0_i64..).zip(digits()) {
            match place(index, byte) {
                Some(digit) => number = number * 10 + digit,
                None => break,
            }
        }
        for _ in count..kept {
            number *= 10;
        }
        let number = number + i64::from(rounds_up(digits(), kept, number % 2 == 1));
        Ok(Self(if negative { -number } else { number }))
    }
}

impl<const SCALE: u32> Sub for Decimal<SCALE> {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

/// Half to even: up if the rest is over a half, or just a half and the last kept digit is odd.
fn rounds_up(digits: impl Iterator<Item = u8>, kept: i64, odd: bool) -> bool {
    let Ok(kept) = usize::try_from(kept) else {
        return false;
    };
    let mut rest = digits.skip(kept);
    match rest.next() {
        Some(b'5') => odd || rest.any(|byte| byte != b'0'),
        Some(first) => first > b'5',
        None => false,
    }
}

fn parse_exponent(text: &str) -> Result<i64, NotDecimal> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NotDecimal::Malformed);
    }
    let exponent = text.parse::<i64>().map_err(|_| NotDecimal::OutOfRange)?;
    if exponent.abs() > EXPONENT_MAX {
        Err(NotDecimal::OutOfRange)
    } else {
        Ok(exponent)
    }
}

impl<const SCALE: u32> fmt::Display for Decimal<SCALE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (number, unit) = (self.0.unsigned_abs(), Self::UNIT.unsigned_abs());
        write!(
            f,
            "{sign}{}.{:0width$}",
            number / unit,
            number % unit,
            width = SCALE as usize
        )
    }
}

impl<const SCALE: u32> Serialize for Decimal<SCALE> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kg(text: &str) -> Result<String, NotDecimal> {
        Kilograms::parse(text).map(|number| number.to_string())
    }

    #[test]
    fn rounds_half_to_even() {
        for (text, expected) in [
            ("12.345", "12.34"),
            ("12.355", "12.36"),
            ("12.3450000000000000000001", "12.35"),
            ("12.3449999999999999999999", "12.34"),
            ("0.005", "0.00"),
            ("0.015", "0.02"),
            ("0.0051", "0.01"),
            ("-0.001", "0.00"),
            ("-12.355", "-12.36"),
            ("99.999", "100.00"),
            ("0.0009", "0.00"),
        ] {
            assert_eq!(kg(text).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(Celsius::parse("-18.05").unwrap().to_string(), "-18.0");
        assert_eq!(Celsius::parse("3.15").unwrap().to_string(), "3.2");
    }

    #[test]
    fn reads_exponents_and_bare_points() {
        for (text, expected) in [
            ("1e3", "1000.00"),
            ("1E+2", "100.00"),
            ("12345e-2", "123.45"),
            ("5e-3", "0.00"),
            ("0.00005e3", "0.05"),
            ("000.5", "0.50"),
            (".5", "0.50"),
            ("5.", "5.00"),
            ("+7", "7.00"),
            ("0e99", "0.00"),
        ] {
            assert_eq!(kg(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn refuses_what_is_no_measurement() {
        for text in [
            "", "-", ".", "e5", "1e", "1e+", "NaN", "Infinity", "-inf", "1,5", "1_000", " 1",
            "0x10", "1.2.3", "--1", "١",
        ] {
            assert_eq!(kg(text), Err(NotDecimal::Malformed), "{text}");
        }
        for text in [
            "1e100",
            "1e-100",
            "1e99999999999999999999",
            "10000000000000000000",
            "1e17",
        ] {
            assert_eq!(kg(text), Err(NotDecimal::OutOfRange), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_it_writes_it_reads(number in -10_i64.pow(17)..10_i64.pow(17)) {
            let number = Decimal::<2>(number);
            prop_assert_eq!(Kilograms::parse(&number.to_string()), Ok(number));
        }

        #[test]
        fn agrees_with_integer_arithmetic(thousandths in -10_i64.pow(12)..10_i64.pow(12)) {
            let text = format!("{thousandths}e-3");
            let (whole, rest) = (thousandths.div_euclid(10), thousandths.rem_euclid(10));
            let up = rest > 5 || (rest == 5 && whole % 2 != 0);
            prop_assert_eq!(Kilograms::parse(&text), Ok(Decimal(whole + i64::from(up))));
        }

        #[test]
        fn never_panics(text in "[-+.eE0-9a]{0,40}") {
            let _ = Kilograms::parse(&text);
        }
    }
}
