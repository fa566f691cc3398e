//! Production's rules, with its windows and waits divided: what takes minutes in the plant takes seconds in a test.

use std::time::Duration;

/// A rate needs two scrapes.
const SHORTEST_RANGE: Duration = Duration::from_secs(5);

/// PostgreSQL's exporter takes a second to say that there is no PostgreSQL.
const SHORTEST_SCRAPE: Duration = Duration::from_secs(2);

/// Keys that say how long, in rules, in Prometheus' configuration and in Alertmanager's.
const DURATIONS: [&str; 7] = [
    "for",
    "interval",
    "evaluation_interval",
    "refresh_interval",
    "group_wait",
    "group_interval",
    "repeat_interval",
];
const SCRAPES: [&str; 2] = ["scrape_interval", "scrape_timeout"];

/// Divides every wait, interval, range and offset of a YAML file.
pub(super) fn shorten(yaml: &str, by: u32) -> String {
    let mut out: String = yaml
        .lines()
        .map(|line| shorten_line(line, by) + "\n")
        .collect();
    if !yaml.ends_with('\n') {
        out.pop();
    }
    out
}

fn shorten_line(line: &str, by: u32) -> String {
    let trimmed = line.trim_start();
    if let Some((key, value)) = trimmed.split_once(": ")
        && let Some(duration) = parse(value.trim())
    {
        let least = match key {
            _ if DURATIONS.contains(&key) => Duration::ZERO,
            _ if SCRAPES.contains(&key) => SHORTEST_SCRAPE,
            _ => return line.to_owned(),
        };
        let indent = line.get(..line.len() - trimmed.len()).unwrap_or_default();
        return format!("{indent}{key}: {}", show((duration / by).max(least)));
    }
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(open) = rest.find(['[', 'o']) {
        let (before, from) = rest.split_at(open);
        out.push_str(before);
        let (written, read) = range(from, by)
            .or_else(|| offset(from, by))
            // Something else: the character is copied.
            .unwrap_or_else(|| (from.chars().take(1).collect(), 1));
        out.push_str(&written);
        rest = from.get(read..).unwrap_or_default();
    }
    out + rest
}

/// `[5m]` or `[1h:5m]`: what to write, and how many bytes it stands for.
fn range(text: &str, by: u32) -> Option<(String, usize)> {
    let (inside, _) = text.strip_prefix('[')?.split_once(']')?;
    let parts: Option<Vec<_>> = inside.split(':').map(parse).collect();
    let parts: Vec<_> = parts?
        .into_iter()
        .map(|part| show((part / by).max(SHORTEST_RANGE)))
        .collect();
    Some((format!("[{}]", parts.join(":")), inside.len() + 2))
}

/// `offset 15m`.
fn offset(text: &str, by: u32) -> Option<(String, usize)> {
    let value = text.strip_prefix("offset ")?;
    let end = value
        .find(|c: char| !c.is_ascii_alphanumeric())
        .unwrap_or(value.len());
    let value = value.get(..end)?;
    Some((
        format!("offset {}", show(parse(value)? / by)),
        "offset ".len() + end,
    ))
}

/// A number and one unit, as the rules have them.
fn parse(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(number.parse::<u64>().ok()? * seconds))
}

fn show(duration: Duration) -> String {
    format!("{}ms", duration.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_ranges_and_offsets_are_divided_and_nothing_else() {
        let rules = "\
groups:
  - name: for: ever
    interval: 30s
    rules:
      - alert: A
        expr: sum by (job) (rate(a[5m])) > 0.5 or max_over_time(b[1h:10m]) > 300 or c offset 15m
        for: 2m
        annotations:
          description: of 5m, {{ $value }} [sic] in 1h";
        let expected = "\
groups:
  - name: for: ever
    interval: 1500ms
    rules:
      - alert: A
        expr: sum by (job) (rate(a[15000ms])) > 0.5 or max_over_time(b[180000ms:30000ms]) > 300 or c offset 45000ms
        for: 6000ms
        annotations:
          description: of 5m, {{ $value }} [sic] in 1h";
        assert_eq!(shorten(rules, 20), expected);
        assert_eq!(shorten("x[10s]\n", 20), "x[5000ms]\n");
        assert_eq!(
            shorten("scrape_timeout: 5s\nscrape_interval: 1m\nresolve: 5m", 20),
            "scrape_timeout: 2000ms\nscrape_interval: 3000ms\nresolve: 5m"
        );
    }

    /// A spelling that isn't understood would silently stay as long as it is.
    #[test]
    fn of_productions_files_nothing_stays_long() {
        let rules = super::super::prometheus::RULES.files();
        let rules = rules.map(|file| file.contents_utf8().unwrap());
        let mut divided = 0;
        for text in rules.chain([
            super::super::prometheus::CONFIGURATION,
            super::super::alertmanager::CONFIGURATION,
        ]) {
            for line in shorten(text, 20).lines() {
                let (key, value) = line.split_once(": ").unwrap_or_default();
                let key = key.trim_start_matches([' ', '-']);
                let waits = DURATIONS.contains(&key) || SCRAPES.contains(&key);
                let ranges = line.split('[').skip(1);
                let ranges = ranges.filter_map(|range| Some(range.split_once(']')?.0));
                let ranges = ranges.filter(|range| range.starts_with(|c: char| c.is_ascii_digit()));
                let offsets = line.split(" offset ").skip(1);
                let offsets = offsets.filter_map(|offset| offset.split([' ', ')']).next());
                for duration in waits
                    .then_some(value)
                    .into_iter()
                    .chain(ranges)
                    .chain(offsets)
                {
                    assert!(duration.ends_with("ms"), "{line}");
                    divided += 1;
                }
            }
        }
        assert!(divided > 100, "{divided}");
    }
}
