//! What came of it: medians over the rounds, ratios within them, a table for people and JSON for programs.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use crate::cases::Case;
use crate::environment::Environment;
use crate::figures::Figure;
use crate::measure::Measurement;
use crate::rounds::Turn;
use crate::server::System;

/// All of it, as it is written to `latest.json`.
#[derive(Debug, Serialize)]
pub struct Report {
    pub environment: Environment,
    pub rows: Vec<Row>,
    /// Ours over native.
    pub ratios: Vec<Ratio>,
    pub host: Vec<Figure>,
    /// What the rows are the medians of.
    pub rounds: Vec<Turn>,
}

/// One system in one cell.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Row {
    pub case: Case,
    pub system: System,
    pub connections: usize,
    /// Closed loop.
    pub rps: f64,
    /// At `rate`, from when a request was due.
    pub p50_ms: f64,
    pub p99_ms: f64,
    /// Of both loads, in all rounds.
    pub errors: u64,
    /// Closed loop, as are the next two.
    pub cpu_us_per_request: f64,
    pub rss_mb: f64,
    /// The most of all rounds.
    pub server_connections: u64,
    /// Requests per second at which the latencies were taken.
    pub rate: f64,
    pub peak_p50_ms: f64,
    pub peak_p99_ms: f64,
    /// How late the generator let requests go at most.
    pub late_ms: f64,
}

/// The median of the rounds' ratios, each of which compares neighbours in time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ratio {
    pub case: Case,
    pub connections: usize,
    pub rps: f64,
    pub p50: f64,
    pub p99: f64,
    pub peak_p99: f64,
    pub cpu: f64,
}

/// From here on it is told.
const LATE_MS: f64 = 20.0;

type Cell = (Case, usize);

// === impl Row ===

impl Row {
    fn of(turns: &[&Turn]) -> Option<Self> {
        let first = turns.first()?;
        let of = |value: fn(&Turn) -> f64| median(turns.iter().map(|turn| value(turn)));
        Some(Self {
            case: first.case,
            system: first.system,
            connections: first.connections,
            rps: of(|turn| turn.peak.rps),
            p50_ms: of(|turn| turn.steady.p50_ms),
            p99_ms: of(|turn| turn.steady.p99_ms),
            errors: turns
                .iter()
                .map(|turn| turn.peak.errors + turn.steady.errors)
                .sum(),
            cpu_us_per_request: of(|turn| turn.peak.cpu_us_per_request),
            rss_mb: of(|turn| turn.peak.rss_mb),
            server_connections: most(turns.iter().flat_map(|turn| [&turn.peak, &turn.steady])),
            rate: of(|turn| turn.rate),
            peak_p50_ms: of(|turn| turn.peak.p50_ms),
            peak_p99_ms: of(|turn| turn.peak.p99_ms),
            late_ms: turns
                .iter()
                .map(|turn| turn.steady.late_ms)
                .fold(0.0, f64::max),
        })
    }
}

fn most<'a>(measurements: impl Iterator<Item = &'a Measurement>) -> u64 {
    measurements
        .map(|measured| measured.server_connections)
        .max()
        .unwrap_or_default()
}

/// The rows of all cells, in the order of cases, connections and systems.
pub fn rows(turns: &[Turn]) -> Vec<Row> {
    let mut groups: BTreeMap<(Cell, System), Vec<&Turn>> = BTreeMap::new();
    for turn in turns {
        groups
            .entry(((turn.case, turn.connections), turn.system))
            .or_default()
            .push(turn);
    }
    groups.values().filter_map(|turns| Row::of(turns)).collect()
}

/// A cell's ratios, for the cells that both systems were measured in.
pub fn ratios(turns: &[Turn]) -> Vec<Ratio> {
    let mut cells: BTreeMap<Cell, Vec<(&Turn, &Turn)>> = BTreeMap::new();
    for ours in turns.iter().filter(|turn| turn.system == System::Flowviz) {
        let cell = (ours.case, ours.connections);
        let theirs = turns.iter().find(|turn| {
            turn.system == System::Native
                && (turn.case, turn.connections) == cell
                && turn.round == ours.round
        });
        cells
            .entry(cell)
            .or_default()
            .extend(theirs.map(|theirs| (ours, theirs)));
    }
    let ratios = cells.into_iter().map(|((case, connections), pairs)| {
        let of = |value: fn(&Turn) -> f64| {
            median(
                pairs
                    .iter()
                    .map(|(ours, theirs)| value(ours) / value(theirs)),
            )
        };
        Ratio {
            case,
            connections,
            rps: of(|turn| turn.peak.rps),
            p50: of(|turn| turn.steady.p50_ms),
            p99: of(|turn| turn.steady.p99_ms),
            peak_p99: of(|turn| turn.peak.p99_ms),
            cpu: of(|turn| turn.peak.cpu_us_per_request),
        }
    });
    ratios.collect()
}

/// Of an even number of values, the mean of the two in the middle; of none, none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    quantile(values, 0.5)
}

/// Between two values, in proportion; of none, none.
pub fn quantile(values: impl IntoIterator<Item = f64>, quantile: f64) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let place = values.len().saturating_sub(1) as f64 * quantile;
    let at = |place: f64| values.get(place as usize).copied().unwrap_or(f64::NAN);
    let (below, above) = (at(place.floor()), at(place.ceil()));
    below + (above - below) * place.fract()
}

// === impl Report ===

impl Report {
    /// For a terminal, and, as it is a Markdown table, for docs/performance.md.
    pub fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a String can't fail.
        _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        writeln!(text, "{}\n", self.environment)?;
        if !self.rows.is_empty() {
            text.push_str(
                "| case         | conns | system  |  req/s | ratio | p50 ms | p99 ms | ratio |  at/s | peak p99 | ratio | CPU us | ratio | RSS MB | db conns | errors |\n\
                 |--------------|------:|---------|-------:|------:|-------:|-------:|------:|------:|---------:|------:|-------:|------:|-------:|---------:|-------:|\n",
            );
        }
        for row in &self.rows {
            let ratio = self.ratios.iter().find(|ratio| {
                row.system == System::Flowviz
                    && (ratio.case, ratio.connections) == (row.case, row.connections)
            });
            let of = |value: fn(&Ratio) -> f64| {
                ratio
                    .map(value)
                    .map_or(String::new(), |ratio| format!("{ratio:.2}"))
            };
            writeln!(
                text,
                "| {:<12} | {:>5} | {:<7} | {:>6.0} | {:>5} | {:>6.2} | {:>6.2} | {:>5} | {:>5.0} | {:>8.2} | {:>5} | {:>6.0} | {:>5} | {:>6.0} | {:>8} | {:>6} |",
                row.case,
                row.connections,
                row.system,
                row.rps,
                of(|ratio| ratio.rps),
                row.p50_ms,
                row.p99_ms,
                of(|ratio| ratio.p99),
                row.rate,
                row.peak_p99_ms,
                of(|ratio| ratio.peak_p99),
                row.cpu_us_per_request,
                of(|ratio| ratio.cpu),
                row.rss_mb,
                row.server_connections,
                row.errors
            )?;
        }
        let late = self.rows.iter().map(|row| row.late_ms).fold(0.0, f64::max);
        if late > LATE_MS {
            writeln!(
                text,
                "\nThe load generator was up to {late:.0} ms late, which is in the latencies of both systems: the machine had other work."
            )?;
        }
        if !self.host.is_empty() {
            text.push_str("\n| figure | value | how |\n|---|--:|---|\n");
        }
        for figure in &self.host {
            writeln!(
                text,
                "| {} | {:.1} {} | {} |",
                figure.figure, figure.value, figure.unit, figure.how
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(rps: f64, p99_ms: f64) -> Measurement {
        Measurement {
            rps,
            p50_ms: p99_ms / 2.0,
            p99_ms,
            errors: 1,
            errors_by: BTreeMap::new(),
            cpu_us_per_request: 1e6 / rps,
            rss_mb: 10.0,
            server_connections: rps as u64 / 100,
            late_ms: 0.1,
        }
    }

    fn turn(system: System, round: usize, rps: f64, p99_ms: f64) -> Turn {
        Turn {
            case: Case::GetLot,
            connections: 100,
            system,
            round,
            peak: measured(rps, p99_ms * 2.0),
            rate: 500.0,
            steady: measured(500.0, p99_ms),
        }
    }

    fn three_rounds() -> Vec<Turn> {
        vec![
            turn(System::Native, 1, 2000.0, 10.0),
            turn(System::Flowviz, 1, 1600.0, 20.0),
            turn(System::Native, 2, 1000.0, 10.0),
            turn(System::Flowviz, 2, 700.0, 40.0),
            turn(System::Native, 3, 3000.0, 10.0),
            turn(System::Flowviz, 3, 2700.0, 30.0),
        ]
    }

    #[test]
    fn a_row_has_the_medians_all_errors_and_the_most_connections() {
        let [native, flowviz] = rows(&three_rounds()).try_into().unwrap();
        assert_eq!(
            (native.system, native.rps, native.p99_ms),
            (System::Native, 2000.0, 10.0)
        );
        assert_eq!(
            (flowviz.rps, flowviz.p99_ms, flowviz.peak_p99_ms),
            (1600.0, 30.0, 60.0)
        );
        assert_eq!((flowviz.errors, flowviz.server_connections), (6, 27));
    }

    #[test]
    fn ratios_compare_neighbours() {
        let [ratio] = ratios(&three_rounds()).try_into().unwrap();
        // 0.8, 0.7 and 0.9 in the rounds; the medians' ratio would be 0.8 too, that of the p99s 3.0.
        assert_eq!((ratio.rps, ratio.p99), (0.8, 3.0));
    }

    #[test]
    fn a_system_that_was_measured_alone_has_no_ratio() {
        let alone = [turn(System::Flowviz, 1, 1.0, 1.0)];
        assert_eq!(rows(&alone).len(), 1);
        assert!(ratios(&alone).first().unwrap().rps.is_nan());
    }

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(quantile([3.0, 1.0, 2.0], 0.25), 1.5);
        assert!(median([]).is_nan());
    }
}
