//! A number as ECMAScript writes it, if that is the same number; else all of its digits.

/// More than PostgreSQL's `numeric` can hold, either way.
const EXPONENT_MAX: i64 = 200_000;

/// 0.DIGITS times ten to the power of `point`, without a zero at either end of the digits.
#[derive(Debug, PartialEq, Eq)]
struct Decimal {
    negative: bool,
    digits: String,
    point: i64,
}

/// The canonical text of a JSON number.
///
/// RFC 8785 knows only what a double holds. A number that has other digits than the double next to it is written out in full, so that
/// no change of it goes unseen.
pub fn canonical(text: &str) -> Option<String> {
    let exact = Decimal::parse(text)?;
    if exact.digits.is_empty() {
        return Some("0".to_owned());
    }
    let double: f64 = text.parse().ok()?;
    let mut buffer = ryu_js::Buffer::new();
    let short = buffer.format(double);
    if double.is_finite() && Decimal::parse(short)? == exact {
        return Some(short.to_owned());
    }
    Some(exact.in_full())
}

// === impl Decimal ===

impl Decimal {
    fn parse(text: &str) -> Option<Self> {
        let (negative, magnitude) = match text.strip_prefix('-') {
            Some(magnitude) => (true, magnitude),
            None => (false, text),
        };
        let (mantissa, exponent) = match magnitude.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (magnitude, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = [whole, fraction].concat();
        let is_number = !all.is_empty() && all.bytes().all(|byte| byte.is_ascii_digit());
        if !is_number || exponent.abs() > EXPONENT_MAX {
            return None;
        }
        let significant = all.trim_start_matches('0');
        let zeros = i64::try_from(all.len() - significant.len()).ok()?;
        Some(Self {
            negative,
            digits: significant.trim_end_matches('0').to_owned(),
            point: i64::try_from(whole.len()).ok()? - zeros + exponent,
        })
    }

    fn in_full(&self) -> String {
        let digits = &self.digits;
        let sign = if self.negative { "-" } else { "" };
        let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
        let point = usize::try_from(self.point).unwrap_or(0);
        match digits.split_at_checked(point) {
            Some(("", fraction)) => format!("{sign}0.{}{fraction}", zeros(-self.point)),
            Some((whole, "")) => format!("{sign}{whole}"),
            Some((whole, fraction)) => format!("{sign}{whole}.{fraction}"),
            None => {
                let missing = point.saturating_sub(digits.len());
                format!("{sign}{digits}{}", "0".repeat(missing))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn writes_doubles_as_ecmascript_does() {
        for (text, expected) in [
            ("0", "0"),
            ("-0.0", "0"),
            ("1.50", "1.5"),
            ("-18.0", "-18"),
            ("100", "100"),
            ("1e21", "1e+21"),
            ("123456789012345680000", "123456789012345680000"),
            ("0.000001", "0.000001"),
            ("0.0000001", "1e-7"),
            ("5e-324", "5e-324"),
            ("1.7976931348623157e308", "1.7976931348623157e+308"),
            // Just between two doubles: ECMAScript reads and writes it, PostgreSQL wouldn't by itself.
            ("1e23", "1e+23"),
            ("20000000000000010", "20000000000000010"),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(expected), "{text}");
        }
    }

    #[test]
    fn writes_what_no_double_holds_in_full() {
        for (text, expected) in [
            ("9007199254740993", "9007199254740993"),
            ("99999999999999990000000", "99999999999999990000000"),
            ("9.999999999999999e22", "99999999999999990000000"),
            ("0.1000000000000000000000001", "0.1000000000000000000000001"),
            ("-1.23456789012345678e2", "-123.456789012345678"),
            ("1.00000000000000001e-9", "0.00000000100000000000000001"),
            ("1e-400", &format!("0.{}1", "0".repeat(399))),
            ("-2e400", &format!("-2{}", "0".repeat(400))),
        ] {
            assert_eq!(canonical(text).as_deref(), Some(expected), "{text}");
        }
        for text in ["", "-", ".", "e5", "1e", "1e9999999", "0x1", "1.2.3", "∞"] {
            assert_eq!(canonical(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_double_is_read_back(double in prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL) {
            let text = canonical(&format!("{double:e}")).unwrap();
            prop_assert_eq!(text.parse::<f64>().unwrap(), double);
        }

        #[test]
        fn no_digit_is_lost(whole in "[1-9][0-9]{0,40}", fraction in "[0-9]{0,40}", exponent in -30..30) {
            let text = format!("{whole}.{fraction}0e{exponent}");
            let written = canonical(&text).unwrap();
            prop_assert_eq!(Decimal::parse(&written).unwrap(), Decimal::parse(&text).unwrap());
            prop_assert_eq!(canonical(&written).unwrap(), written);
        }
    }
}
