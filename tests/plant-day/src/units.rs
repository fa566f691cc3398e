//! Mass and temperature as the WMS stores them, in whole steps, so that nothing is lost in adding up.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign, Sub, SubAssign};

/// Kilograms in steps of 10 g. Printed as the API writes them: `420.50`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kilograms(u32);

/// Degrees Celsius in steps of a tenth. Printed as the API writes them: `-18.0`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Celsius(i16);

// === impl Kilograms ===

impl Kilograms {
    /// So many steps of 10 g.
    pub const fn hundredths(hundredths: u32) -> Self {
        Self(hundredths)
    }

    pub const fn in_hundredths(self) -> u32 {
        self.0
    }

    /// This share of it, rounded down.
    pub const fn percent(self, percent: u32) -> Self {
        Self(self.0 * percent / 100)
    }
}

impl Add for Kilograms {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}

impl AddAssign for Kilograms {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}

/// Never below nothing.
impl Sub for Kilograms {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl SubAssign for Kilograms {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Sum for Kilograms {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Self::add)
    }
}

impl fmt::Display for Kilograms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

// === impl Celsius ===

impl Celsius {
    /// So many tenths of a degree.
    pub const fn tenths(tenths: i16) -> Self {
        Self(tenths)
    }
}

impl fmt::Display for Celsius {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let tenths = self.0.unsigned_abs();
        write!(f, "{sign}{}.{}", tenths / 10, tenths % 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn print_as_the_api_does() {
        let kilograms = [0, 5, 42_050, 1_000_000].map(|n| Kilograms(n).to_string());
        assert_eq!(kilograms, ["0.00", "0.05", "420.50", "10000.00"]);
        let celsius = [-180, -5, 0, 39].map(|n| Celsius(n).to_string());
        assert_eq!(celsius, ["-18.0", "-0.5", "0.0", "3.9"]);
    }
}
