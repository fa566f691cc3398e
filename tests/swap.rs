//! Promise: a function is swapped, and swapped back, while it is asked, and nobody notices: no request fails, every answer is wholly
//! from one version; and what was deployed is live after a restart, until somebody says otherwise.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use flowviz_tests::{Answer, Component, FIRST, Held, Host, HostOptions, client, probes};
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinSet;

const CLIENTS: usize = 32;
const SWAPS: u64 = 20;
/// Pieces of an answer.
const PIECES: usize = 40;

fn host() -> Result<Host> {
    Host::with_manifest(&probes(&[("probe", "")]), HostOptions::default())
}

/// A manifest that stays for several hosts, with a component of its own, and the state beside it.
struct Site(TempDir);

impl Site {
    fn new() -> Result<Self> {
        let site = Self(TempDir::new()?);
        site.write_component(FIRST)?;
        let manifest = probes(&[("probe", "")]).replace("{probe}", "probe.wasm");
        fs::write(site.0.path().join("spin.toml"), manifest)?;
        Ok(site)
    }

    fn write_component(&self, version: u64) -> Result<()> {
        let file = self.0.path().join("probe.wasm");
        Ok(fs::write(file, Component::version(version)?.0)?)
    }

    fn start(&self, args: &[&str]) -> Result<Host> {
        Host::start(HostOptions {
            manifest: self.0.path().join("spin.toml"),
            args: args.iter().map(|arg| (*arg).to_owned()).collect(),
            ..HostOptions::default()
        })
    }

    fn state(&self) -> std::path::PathBuf {
        self.0.path().join(".flowviz/state")
    }
}

/// Clients that ask until they are told to stop. Each answer's version, and how many had it.
struct Askers {
    over: Arc<AtomicBool>,
    clients: JoinSet<Result<BTreeMap<String, u64>>>,
}

impl Askers {
    fn start(host: &Host) -> Self {
        let over = Arc::<AtomicBool>::default();
        let mut clients = JoinSet::new();
        for _ in 0..CLIENTS {
            let (over, url) = (
                Arc::clone(&over),
                host.url(&format!("/probe/version?{PIECES}")),
            );
            clients.spawn(async move {
                let client = client();
                let mut seen = BTreeMap::new();
                while !over.load(Relaxed) {
                    let answer = Answer::of(client.get(&url)).await?;
                    ensure!(answer.status == 200, "{} {}", answer.status, answer.text());
                    let text = answer.text();
                    let version = &text[..text.len() / PIECES];
                    ensure!(text == version.repeat(PIECES), "of two versions: {text}");
                    *seen.entry(version.to_owned()).or_default() += 1;
                }
                Ok(seen)
            });
        }
        Self { over, clients }
    }

    async fn stop(mut self) -> Result<BTreeMap<String, u64>> {
        self.over.store(true, Relaxed);
        let mut all = BTreeMap::new();
        while let Some(seen) = self.clients.join_next().await {
            for (version, count) in seen?? {
                *all.entry(version).or_default() += count;
            }
        }
        Ok(all)
    }
}

#[tokio::test]
async fn swaps_and_reloads_under_load_cost_nobody_an_answer() -> Result<()> {
    let host = host()?;
    let askers = Askers::start(&host);
    for swap in 1..=SWAPS {
        let version = swap % 2 + 1;
        let said = host.deploy("probe", version).await?;
        ensure!(said["unchanged"] == false, "{said}");
        // Whoever asks after the answer to the swap gets the new version.
        host.expect_version("probe", version).await?;
        if swap % 5 == 0 {
            let reloaded = host.reload(json!({})).await?;
            ensure!(reloaded.status == 200, "{}", reloaded.text());
            ensure!(
                reloaded.json()?["functions"]["unchanged"] == 1,
                "{}",
                reloaded.text()
            );
        }
    }
    let seen = askers.stop().await?;
    let versions: Vec<_> = [1, 2].map(Component::says).into();
    for version in &versions {
        ensure!(
            seen.get(version).is_some_and(|count| *count > 0),
            "{seen:?}"
        );
    }
    let metrics = host
        .wait_for_metrics(|metrics| {
            metrics.sum("flowviz_function_info", &[("state", "draining")]) == 0.0
        })
        .await?;
    let swapped = metrics.sum("flowviz_function_swaps_total", &[("result", "swapped")]);
    ensure!(swapped == SWAPS as f64, "{swapped}");
    let errors = metrics.sum("flowviz_function_errors_total", &[]);
    ensure!(errors == 0.0, "{errors}");
    let infos = metrics.sum("flowviz_function_info", &[("function", "probe")]);
    ensure!(infos == 1.0, "{infos}");
    Ok(())
}

#[tokio::test]
async fn a_request_ends_in_the_version_that_began_it() -> Result<()> {
    let host = host()?;
    let client = client();
    let held = Held::post(&client, host.url("/probe/echo"));
    held.send("begun, ");
    host.wait_for_metrics(|metrics| {
        metrics.sum("http_requests_in_flight", &[("function", "probe")]) == 1.0
    })
    .await?;
    host.deploy("probe", 1).await?;
    host.expect_version("probe", 1).await?;

    let function = host.function("probe").await?;
    ensure!(function["draining"][0]["in_flight"] == 1, "{function}");
    ensure!(function["in_flight"] == 0, "{function}");
    held.send("ended");
    let answer = held.finish().await?;
    ensure!(answer.text() == "begun, ended", "{}", answer.text());
    let deadline = Instant::now() + flowviz_tests::PATIENCE;
    while host.function("probe").await?["draining"] != json!([]) {
        ensure!(Instant::now() < deadline, "it drains for ever");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

#[tokio::test]
async fn versions_are_kept_and_can_be_gone_back_to() -> Result<()> {
    let host = host()?;
    let nothing = host.roll_back("probe", None).await?;
    expect(&nothing, 409, "nothing-to-roll-back-to")?;
    let mut digests = Vec::new();
    for version in 1..=8 {
        let said = host.deploy("probe", version).await?;
        digests.push(
            said["live"]["digest"]
                .as_str()
                .context("a digest")?
                .to_owned(),
        );
    }
    let again = host.deploy("probe", 8).await?;
    ensure!(again["unchanged"] == true, "{again}");

    // Back, and back again: where one was before.
    let back = host.roll_back("probe", None).await?;
    ensure!(
        back.json()?["live"]["origin"] == "rollback",
        "{}",
        back.text()
    );
    host.expect_version("probe", 7).await?;
    host.roll_back("probe", None).await?;
    host.expect_version("probe", 8).await?;
    let back = host.roll_back("probe", Some(&digests[3][..20])).await?;
    ensure!(back.status == 200, "{}", back.text());
    host.expect_version("probe", 4).await?;

    let function = host.function("probe").await?;
    let versions = function["versions"].as_array().context("versions")?;
    ensure!(versions.len() == 6, "{function}");
    ensure!(versions[0]["state"] == "live" && versions[0]["digest"] == digests[3].as_str());
    let gone = host.roll_back("probe", Some(&digests[0])).await?;
    expect(&gone, 404, "version-not-found")?;
    let short = host.roll_back("probe", Some("0")).await?;
    expect(&short, 404, "version-not-found")?;
    host.expect_version("probe", 4).await?;
    let metrics = host.metrics().await?;
    let back = metrics.sum("flowviz_function_swaps_total", &[("result", "rolled_back")]);
    ensure!(back == 3.0, "{back}");
    Ok(())
}

#[tokio::test]
async fn what_was_deployed_is_live_after_a_restart_until_somebody_says_otherwise() -> Result<()> {
    let site = Site::new()?;
    let mut host = site.start(&[])?;
    ensure!(!site.state().exists(), "made for nothing");
    host.deploy("probe", 1).await?;
    // The manifest's file is built anew meanwhile: what was live before can still be gone back to.
    site.write_component(2)?;
    host.roll_back("probe", None).await?;
    host.expect_version("probe", FIRST).await?;
    host.roll_back("probe", None).await?;
    end(&mut host).await?;

    let mut host = site.start(&[])?;
    host.expect_version("probe", 1).await?;
    // A reload changes nothing about it.
    host.reload(json!({})).await?;
    host.expect_version("probe", 1).await?;
    let second = site
        .start(&[])
        .err()
        .context("two hosts in one state directory")?;
    ensure!(second.to_string().contains("another host uses"), "{second}");
    host.roll_back("probe", None).await?;
    host.expect_version("probe", FIRST).await?;
    end(&mut host).await?;

    let mut host = site.start(&[])?;
    host.expect_version("probe", FIRST).await?;
    let fresh = host.reload(json!({ "fresh": true })).await?;
    ensure!(
        fresh.json()?["functions"]["changed"] == json!(["probe"]),
        "{}",
        fresh.text()
    );
    host.expect_version("probe", 2).await?;
    host.deploy("probe", 3).await?;
    end(&mut host).await?;

    damage(&site.state().join("components"))?;
    let damaged = site.start(&[]).err().context("a damaged component")?;
    ensure!(damaged.to_string().contains("--fresh"), "{damaged}");
    let host = site.start(&["--fresh"])?;
    host.expect_version("probe", 2).await
}

/// What one swap tidies up is never what another has just put in place.
#[tokio::test]
async fn functions_that_are_swapped_at_the_same_time_keep_their_components() -> Result<()> {
    const IDS: [&str; 4] = ["one", "two", "three", "four"];
    const ROUNDS: u64 = 3;
    let site = TempDir::new()?;
    let manifest = probes(&IDS.map(|id| (id, "")));
    let probe = flowviz_tests::artifacts().probe.display().to_string();
    fs::write(
        site.path().join("spin.toml"),
        manifest.replace("{probe}", &probe),
    )?;
    let options = HostOptions {
        manifest: site.path().join("spin.toml"),
        ..HostOptions::default()
    };
    let version = |index: usize, round: u64| 1000 + 100 * index as u64 + round;
    let components = site.path().join(".flowviz/state/components");
    // Where they have to be compiled, they come one after the other: the second time all are there at once.
    for fresh in [&[][..], &["--fresh"]] {
        let mut host = Host::start(HostOptions {
            args: fresh.iter().map(|arg| (*arg).to_owned()).collect(),
            ..options.clone()
        })?;
        for round in 0..ROUNDS {
            let swaps = IDS.iter().enumerate();
            let swaps = swaps.map(|(index, id)| host.deploy(id, version(index, round)));
            futures::future::try_join_all(swaps).await?;
            for id in IDS {
                has_its_components(&host, id, &components).await?;
            }
        }
        end(&mut host).await?;
    }
    let host = Host::start(options)?;
    for (index, id) in IDS.into_iter().enumerate() {
        host.expect_version(id, version(index, ROUNDS - 1)).await?;
    }
    Ok(())
}

async fn has_its_components(host: &Host, id: &str, components: &Path) -> Result<()> {
    let function = host.function(id).await?;
    for version in function["versions"].as_array().context("versions")? {
        let digest = version["digest"].as_str().unwrap_or_default();
        let file = format!("{}.wasm", digest.trim_start_matches("sha256:"));
        ensure!(
            components.join(&file).exists(),
            "{id} may go back to {file}, which is gone"
        );
    }
    Ok(())
}

/// A file that is another component than it was is no way back.
#[tokio::test]
async fn a_version_whose_file_was_changed_is_not_gone_back_to() -> Result<()> {
    let site = Site::new()?;
    let host = site.start(&[])?;
    let first = host.deploy("probe", 1).await?;
    host.deploy("probe", 2).await?;
    let digest = first["live"]["digest"].as_str().context("a digest")?;
    let file = format!("{}.wasm", digest.trim_start_matches("sha256:"));
    let file = site.state().join("components").join(file);
    fs::write(&file, Component::version(3)?.0)?;
    let refused = host.roll_back("probe", None).await?;
    expect(&refused, 422, "component-rejected")?;
    ensure!(refused.text().contains("damaged"), "{}", refused.text());
    host.expect_version("probe", 2).await?;
    // Mended, it is one again.
    fs::write(&file, Component::version(1)?.0)?;
    ensure!(host.roll_back("probe", None).await?.status == 200);
    host.expect_version("probe", 1).await
}

async fn end(host: &mut Host) -> Result<()> {
    host.signal("TERM")?;
    let status = host.wait().await?;
    ensure!(status.success(), "{status}");
    Ok(())
}

fn damage(components: &Path) -> Result<()> {
    for entry in fs::read_dir(components)? {
        let path = entry?.path();
        let bytes = fs::read(&path)?;
        fs::write(&path, &bytes[..bytes.len() / 2])?;
    }
    Ok(())
}

/// The admin API's problems have no request id.
fn expect(answer: &Answer, status: u16, slug: &str) -> Result<()> {
    let told = || {
        format!(
            "expected {status} {slug}, got {} {}",
            answer.status,
            answer.text()
        )
    };
    ensure!(answer.status == status, told());
    ensure!(
        answer.json()?["type"] == format!("/problems/{slug}"),
        told()
    );
    Ok(())
}
