//! Figures of the host itself: how long an instance takes to make, how long the host takes to start, what an idle function keeps.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use http::Request;
use serde::Serialize;

use crate::load::{Load, Pace};
use crate::manifest::{components, of, wms};
use crate::plant::Plant;
use crate::process::{Memory, memory};
use crate::report::median;
use crate::server::{HostOptions, Programs, Server};

/// How often the host is started from a full cache.
const WARM_STARTS: usize = 5;

/// Functions of the two hosts whose memory is compared.
const FEW: usize = 20;
const MANY: usize = 200;

/// After a start, until the memory is looked at: what only the start needed is given back by then.
const SETTLED_AFTER: Duration = Duration::from_secs(2);

/// Requests that each make an instance.
const INSTANTIATING: Duration = Duration::from_secs(2);
const INSTANTIATING_CONNECTIONS: usize = 4;

/// The histogram whose buckets tell how long instances took to make.
const INSTANTIATION: &str = "flowviz_function_instantiation_seconds_bucket";

#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    pub figure: &'static str,
    pub value: f64,
    pub unit: &'static str,
    pub how: String,
}

/// All of them.
pub async fn figures(plant: &Plant, programs: &Programs) -> Result<Vec<Figure>> {
    let mut figures = instantiation(programs).await?;
    figures.extend(starts(plant, programs).await?);
    figures.extend(idle_functions(programs).await?);
    Ok(figures)
}

async fn instantiation(programs: &Programs) -> Result<Vec<Figure>> {
    let functions = [
        ("hello", "making an instance of hello, p50"),
        ("lot", "making an instance of lot, p50"),
    ];
    let manifest = programs.dir.join("no-reuse.toml");
    let text = of(functions.map(|(id, _)| {
        let source = components().join(format!("{id}.wasm"));
        (id.to_owned(), source, "instance_reuse = false")
    }));
    fs::write(&manifest, text)?;
    let host = start(programs, &manifest, &programs.cache(), None).await?;
    let mut figures = Vec::new();
    for (id, figure) in functions {
        let authority = host.address.to_string();
        // Without a token, `lot` refuses before it asks the database: it is the instance that is wanted.
        let make = move |_| {
            let request = Request::get(format!("/{id}")).header("host", authority.as_str());
            request.body(Default::default()).unwrap_or_default()
        };
        let load = Load {
            address: host.address,
            connections: INSTANTIATING_CONNECTIONS,
            pace: Pace::Closed,
            warm_up: Duration::ZERO,
            time: INSTANTIATING,
        };
        let running = load.start(Arc::new(make))?;
        tokio::task::spawn_blocking(|| running.finish())
            .await
            .map_err(|_| anyhow!("the load panicked"))??;
        let buckets = buckets(&host.metrics().await?, id);
        let p50 = quantile(&buckets, 0.5).context("no instance was made")?;
        figures.push(Figure {
            figure,
            value: p50 * 1e6,
            unit: "us",
            how: format!(
                "`instance_reuse = false`, {INSTANTIATING_CONNECTIONS} connections; interpolated in the buckets of /metrics"
            ),
        });
    }
    Ok(figures)
}

async fn starts(plant: &Plant, programs: &Programs) -> Result<Vec<Figure>> {
    let manifest = programs.dir.join("start.toml");
    fs::write(&manifest, wms(None)?)?;
    let cache = tempfile::tempdir_in(&programs.dir)?;
    let cold = start(programs, &manifest, cache.path(), Some(plant))
        .await?
        .started_in;
    let mut warm = Vec::new();
    for _ in 0..WARM_STARTS {
        warm.push(
            start(programs, &manifest, cache.path(), Some(plant))
                .await?
                .started_in
                .as_secs_f64()
                * 1e3,
        );
    }
    Ok(vec![
        Figure {
            figure: "cold start",
            value: cold.as_secs_f64() * 1e3,
            unit: "ms",
            how: "from exec to the first 200 of `/hello`, all functions of spin.toml, an empty --cache-dir".to_owned(),
        },
        Figure {
            figure: "warm start",
            value: median(warm),
            unit: "ms",
            how: format!("the same with all of them compiled in --cache-dir; median of {WARM_STARTS}"),
        },
    ])
}

async fn idle_functions(programs: &Programs) -> Result<Vec<Figure>> {
    let dir = programs.dir.join("copies");
    fs::create_dir_all(&dir)?;
    let original = fs::read(components().join("lot.wasm")).context("lot.wasm")?;
    let copies: Vec<PathBuf> = (0..MANY)
        .map(|number| dir.join(format!("lot-{number}.wasm")))
        .collect();
    for (number, copy) in copies.iter().enumerate() {
        fs::write(copy, another(&original, number))?;
    }
    let mut sizes = Vec::new();
    for count in [FEW, MANY] {
        let manifest = programs.dir.join(format!("{count}.toml"));
        let functions = copies.iter().take(count).enumerate();
        let functions = functions.map(|(number, copy)| (format!("lot{number}"), copy.clone(), ""));
        // Besides them the one that is asked whether the host is there.
        let hello = ("hello".to_owned(), components().join("hello.wasm"), "");
        fs::write(&manifest, of(functions.chain([hello])))?;
        // The first start compiles, and keeps what compiling took.
        drop(start(programs, &manifest, &programs.cache(), None).await?);
        let host = start(programs, &manifest, &programs.cache(), None).await?;
        tokio::time::sleep(SETTLED_AFTER).await;
        sizes.push(memory(host.pid())?);
    }
    let (Some(few), Some(many)) = (sizes.first(), sizes.last()) else {
        return Ok(Vec::new());
    };
    let host = |figure, memory: &Memory, count: usize| Figure {
        figure,
        value: memory.resident as f64 / f64::from(1 << 20),
        unit: "MB",
        how: format!(
            "resident after a warm start; {count} copies of `lot` that differ, and none was called"
        ),
    };
    let each = |figure, part: fn(&Memory) -> u64, how: &str| Figure {
        figure,
        value: (part(many) as f64 - part(few) as f64) / 1024.0 / (MANY - FEW) as f64,
        unit: "KiB",
        how: how.to_owned(),
    };
    Ok(vec![
        host("host with 20 idle functions", few, FEW),
        host("host with 200 idle functions", many, MANY),
        each(
            "an idle function",
            |memory| memory.resident,
            "the difference of the two / 180",
        ),
        each(
            "an idle function, without pages of files",
            |memory| memory.own,
            "the same of RssAnon: compiled code is mapped from its file, and the kernel can take it back",
        ),
    ])
}

/// With `hello` among its functions. All of them are loaded before it answers.
async fn start(
    programs: &Programs,
    manifest: &Path,
    cache: &Path,
    plant: Option<&Plant>,
) -> Result<Server> {
    let options = HostOptions {
        manifest,
        cache,
        first: "/hello",
        plant,
        telemetry: true,
    };
    programs.start_host(options).await
}

/// The same component with a custom section at its end: another file, another digest, code of its own.
fn another(component: &[u8], number: usize) -> Vec<u8> {
    const CUSTOM: u8 = 0;
    let name = format!("copy-{number:04}");
    // Both lengths are below 128, so that each is a byte as it stands.
    let name_length = u8::try_from(name.len()).unwrap_or_default();
    let mut copy = component.to_vec();
    copy.extend([CUSTOM, name_length + 1, name_length]);
    copy.extend(name.as_bytes());
    copy
}

/// Upper bounds in seconds, and how many observations are not above them.
fn buckets(metrics: &str, function: &str) -> Vec<(f64, f64)> {
    let of_function = format!("function=\"{function}\"");
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with(INSTANTIATION) && line.contains(&of_function));
    lines
        .filter_map(|line| {
            let bound = line.split("le=\"").nth(1)?.split('"').next()?;
            let count = line.rsplit(' ').next()?;
            Some((bound.parse().unwrap_or(f64::INFINITY), count.parse().ok()?))
        })
        .collect()
}

/// As Prometheus' `histogram_quantile`: within a bucket, observations are taken to be spread evenly.
fn quantile(buckets: &[(f64, f64)], quantile: f64) -> Option<f64> {
    let rank = buckets.last()?.1 * quantile;
    let place = buckets
        .iter()
        .position(|(_, count)| *count > 0.0 && *count >= rank)?;
    let (bound, count) = *buckets.get(place)?;
    let (lower, below) = place
        .checked_sub(1)
        .and_then(|place| buckets.get(place))
        .copied()
        .unwrap_or_default();
    if bound.is_infinite() {
        return Some(lower);
    }
    Some(lower + (bound - lower) * (rank - below) / (count - below))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantile_is_interpolated_in_its_bucket() {
        let buckets = [(1.0, 0.0), (2.0, 10.0), (4.0, 20.0), (f64::INFINITY, 20.0)];
        assert_eq!(quantile(&buckets, 0.5), Some(2.0));
        assert_eq!(quantile(&buckets, 0.75), Some(3.0));
        assert_eq!(
            quantile(&[(1.0, 0.0), (f64::INFINITY, 4.0)], 0.5),
            Some(1.0)
        );
        assert_eq!(quantile(&[(1.0, 0.0)], 0.5), None);
    }

    #[test]
    fn reads_the_buckets_of_one_function() {
        let metrics = "flowviz_function_instantiation_seconds_bucket{function=\"lot\",le=\"0.00001\"} 3\n\
                       flowviz_function_instantiation_seconds_bucket{function=\"lots\",le=\"0.00001\"} 9\n\
                       flowviz_function_instantiation_seconds_bucket{function=\"lot\",le=\"+Inf\"} 5\n\
                       flowviz_function_instantiation_seconds_count{function=\"lot\"} 5\n";
        assert_eq!(
            buckets(metrics, "lot"),
            [(0.00001, 3.0), (f64::INFINITY, 5.0)]
        );
    }

    #[test]
    fn a_copy_is_the_component_and_a_custom_section_more() {
        let copy = another(b"\0asm", 7);
        assert_eq!(copy, b"\0asm\x00\x0a\x09copy-0007");
    }
}
