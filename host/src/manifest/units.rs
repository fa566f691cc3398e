//! Sizes and durations as people write them: `128MiB`, `30s`.

use std::time::Duration;

/// The number of bytes of each unit, the one to show a size in first.
const SIZES: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

/// Likewise, in milliseconds.
const DURATIONS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A whole number and a unit of `SIZES`.
pub fn parse_size(text: &str) -> Option<u64> {
    parse(text, &SIZES)
}

/// A whole number and a unit of `DURATIONS`.
pub(super) fn parse_duration(text: &str) -> Option<Duration> {
    parse(text, &DURATIONS).map(Duration::from_millis)
}

pub(super) fn show_size(bytes: u64) -> String {
    show(bytes, &SIZES)
}

pub(super) fn show_duration(duration: Duration) -> String {
    show(
        u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        &DURATIONS,
    )
}

fn parse(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(unit_at);
    let (_, size) = units.iter().find(|(name, _)| *name == unit.trim())?;
    number.parse::<u64>().ok()?.checked_mul(*size)
}

/// In the largest unit that needs no fraction.
fn show(value: u64, units: &[(&str, u64)]) -> String {
    let fits = |(_, size): &&(&str, u64)| value >= *size && value.is_multiple_of(*size);
    match units.iter().find(fits) {
        Some((name, size)) => format!("{}{name}", value / size),
        None => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_sizes() {
        for (text, bytes) in [
            ("1B", 1),
            ("2KiB", 2048),
            ("128MiB", 128 << 20),
            ("4GiB", 4 << 30),
            ("2KB", 2000),
            ("3MB", 3_000_000),
            ("1 GB", 1_000_000_000),
        ] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for text in [
            "",
            "MiB",
            "12",
            "-1B",
            "1.5MiB",
            "1mib",
            "1MiBs",
            "99999999999GiB",
            "1 M iB",
        ] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn reads_durations() {
        for (text, ms) in [
            ("10ms", 10),
            ("5s", 5_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
        ] {
            assert_eq!(
                parse_duration(text),
                Some(Duration::from_millis(ms)),
                "{text}"
            );
        }
        for text in ["", "s", "5", "5sec", "-5s", "0.5s"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn shows_what_it_would_read() {
        assert_eq!(show_size(128 << 20), "128MiB");
        assert_eq!(show_size(1), "1B");
        assert_eq!(show_duration(Duration::from_secs(3600)), "1h");
        assert_eq!(show_duration(Duration::from_millis(1500)), "1500ms");
        assert_eq!(show_duration(Duration::from_secs(90)), "90s");
    }
}
