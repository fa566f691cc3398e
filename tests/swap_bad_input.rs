//! Promise: whatever is put to the admin API, the live version goes on serving; whoever sent it gets one clear error, and a metric
//! counts it.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use flowviz_tests::{
    ADMIN_TOKEN, Answer, Component, FIRST, Host, HostOptions, artifacts, client, probes,
};
use futures::StreamExt as _;
use http::Method;
use serde_json::{Value, json};

const ENDLESS: &str = "(loop $again (br $again))";

/// Bytes: more than the test component has.
const LARGEST: usize = 8 * 1024 * 1024;

fn start() -> Result<Host> {
    let size = format!("--max-component-size={LARGEST}B");
    let options = HostOptions {
        args: vec![size],
        ..HostOptions::default()
    };
    let settings = "cpu_limit = '500ms'";
    Host::with_manifest(&probes(&[("probe", settings), ("other", "")]), options)
}

fn problem(answer: &Answer, status: u16, slug: &str) -> Result<String> {
    let told = || {
        format!(
            "expected {status} {slug}, got {} {}",
            answer.status,
            answer.text()
        )
    };
    ensure!(answer.status == status, told());
    let json = answer.json()?;
    ensure!(json["type"] == format!("/problems/{slug}"), told());
    let detail = json["detail"].as_str().with_context(told)?;
    Ok(detail.to_owned())
}

/// Bytes of no meaning, the same in each run.
fn random(bytes: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    (0..bytes).map(|_| next()).collect()
}

#[tokio::test]
async fn no_bad_component_goes_live() -> Result<()> {
    let host = start()?;
    let whole = Component::version(1)?.0;
    let module = wat::parse_str("(module (func (export \"handle\")))")?;
    let silent = wat::parse_str("(component)")?;
    let foreign = wat::parse_str(
        r#"(component (import "acme:weather/now" (instance (export "get" (func)))))"#,
    )?;
    let mut noise = whole.clone();
    noise.truncate(4096);
    noise.extend(random(100_000));
    let candidates = [
        (
            "cut in half",
            whole[..whole.len() / 2].to_vec(),
            "does not compile",
        ),
        (
            "cut by a byte",
            whole[..whole.len() - 1].to_vec(),
            "does not compile",
        ),
        ("empty", Vec::new(), "not WebAssembly"),
        ("random", random(100_000), "not WebAssembly"),
        ("a good start and noise", noise, "does not compile"),
        ("a module", module, "wasm32-wasip2"),
        ("no handler", silent, "wasi:http/handler"),
        ("an unknown import", foreign, "acme:weather/now"),
        (
            "traps on start",
            Component::that_starts_with("unreachable")?.0,
            "no instance",
        ),
        (
            "never starts",
            Component::that_starts_with(ENDLESS)?.0,
            "no instance",
        ),
    ];
    for (what, bytes, told) in &candidates {
        let answer = host.put("probe", bytes.clone()).await?;
        let detail = problem(&answer, 422, "component-rejected").context(*what)?;
        ensure!(detail.contains(told), "{what}: {detail}");
        host.expect_version("probe", FIRST).await.context(*what)?;
        let function = host.function("probe").await?;
        ensure!(
            function["last_error"]["detail"] == detail.as_str(),
            "{what}: {function}"
        );
        ensure!(
            function["versions"]
                .as_array()
                .is_some_and(|versions| versions.len() == 1)
        );
    }
    let huge = host.put("probe", vec![0; LARGEST + 1]).await?;
    problem(&huge, 413, "component-too-large")?;

    let rejected = host.metrics().await?.sum(
        "flowviz_function_swaps_total",
        &[("function", "probe"), ("result", "rejected")],
    );
    ensure!(rejected == candidates.len() as f64 + 1.0, "{rejected}");
    // After all that, a good one does.
    host.deploy("probe", 1).await?;
    host.expect_version("probe", 1).await
}

#[tokio::test]
async fn a_component_that_is_not_what_was_sent_is_refused() -> Result<()> {
    let host = start()?;
    let put = |digest: &str| {
        let request = host.admin(Method::PUT, "/functions/probe");
        request.header("content-digest", digest.to_owned())
    };
    let bytes = Component::version(1)?.0;
    let other = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:";
    for wrong in [other, "sha-256=whatever"] {
        let answer = Answer::of(put(wrong).body(bytes.clone())).await?;
        problem(&answer, 400, "digest-mismatch")?;
    }
    host.expect_version("probe", FIRST).await?;
    // Cut off in the middle: nothing is left of it.
    let pieces =
        futures::stream::iter([Ok(bytes[..1000].to_vec())]).chain(futures::stream::once(async {
            // The beginning has been sent by then.
            tokio::time::sleep(Duration::from_millis(200)).await;
            Err(std::io::Error::other("gone"))
        }));
    let cut = host.admin(Method::PUT, "/functions/probe");
    let cut = cut.body(reqwest::Body::wrap_stream(pieces)).send().await;
    ensure!(cut.is_err(), "{cut:?}");
    host.wait_for_metrics(|metrics| {
        metrics.sum("flowviz_function_swaps_total", &[("result", "rejected")]) == 3.0
    })
    .await?;
    host.expect_version("probe", FIRST).await
}

#[tokio::test]
async fn only_the_token_opens_and_only_what_is_there_can_be_changed() -> Result<()> {
    let host = start()?;
    let requests = [
        (Method::GET, "/functions"),
        (Method::GET, "/functions/probe"),
        (Method::PUT, "/functions/probe"),
        (Method::POST, "/functions/probe/rollback"),
        (Method::POST, "/app/reload"),
        (Method::GET, "/app/anything"),
    ];
    let wrong = format!("{ADMIN_TOKEN}x");
    for (method, path) in &requests {
        for token in [None, Some(&wrong)] {
            let mut request = client().request(method.clone(), host.admin_url(path));
            if let Some(token) = token {
                request = request.bearer_auth(token);
            }
            let answer = Answer::of(request).await?;
            let detail = problem(&answer, 401, "unauthorized")?;
            ensure!(answer.header("www-authenticate") == Some("Bearer"));
            ensure!(!detail.contains(ADMIN_TOKEN) && !detail.contains(&wrong));
        }
    }
    let unknown = host.put("nothing", Component::version(1)?.0).await?;
    problem(&unknown, 404, "function-not-found")?;
    problem(
        &host.roll_back("nothing", None).await?,
        404,
        "function-not-found",
    )?;
    let strange = host
        .admin(Method::POST, "/app/reload")
        .body("{\"fresh\": 7}");
    problem(&Answer::of(strange).await?, 400, "bad-request")?;
    let method = host.admin(Method::DELETE, "/functions/probe");
    problem(&Answer::of(method).await?, 405, "method-not-allowed")?;
    let metrics = host.metrics().await?;
    let counted = |status: &str| metrics.sum("flowviz_admin_requests_total", &[("status", status)]);
    ensure!(
        counted("401") == 2.0 * requests.len() as f64,
        "{}",
        counted("401")
    );
    ensure!(counted("404") == 2.0, "{}", counted("404"));
    ensure!(
        !host.log().join("\n").contains(ADMIN_TOKEN),
        "the token is in the log"
    );
    Ok(())
}

#[tokio::test]
async fn without_a_token_nothing_can_be_changed() -> Result<()> {
    let without = |args: &[&str]| HostOptions {
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: vec![("FLOWVIZ_ADMIN_TOKEN".to_owned(), String::new())],
        ..HostOptions::default()
    };
    let manifest = probes(&[("probe", "")]);
    let host = Host::with_manifest(&manifest, without(&[]))?;
    let answer = host.put("probe", Component::version(1)?.0).await?;
    problem(&answer, 403, "admin-token-missing")?;

    let files = tempfile::tempdir()?;
    let file = files.path().join("spin.toml");
    fs::write(
        &file,
        manifest.replace("{probe}", &artifacts().probe.display().to_string()),
    )?;
    let open = Command::new(&artifacts().flowviz)
        .args([
            "up",
            "--listen=127.0.0.1:0",
            "--admin-listen=0.0.0.0:0",
            "--from",
        ])
        .arg(&file)
        .env_remove("FLOWVIZ_ADMIN_TOKEN")
        .output()?;
    let error = String::from_utf8_lossy(&open.stderr);
    ensure!(
        !open.status.success() && error.contains("FLOWVIZ_ADMIN_TOKEN"),
        "{error}"
    );
    let short = HostOptions {
        env: vec![("FLOWVIZ_ADMIN_TOKEN".to_owned(), "short".to_owned())],
        ..HostOptions::default()
    };
    let error = Host::with_manifest(&manifest, short)
        .err()
        .context("a short token")?;
    ensure!(error.to_string().contains("guessed"), "{error}");
    Ok(())
}

#[tokio::test]
async fn one_swap_at_a_time_and_any_number_of_functions() -> Result<()> {
    let host = start()?;
    // It takes half a second of CPU time to be found out.
    let endless = Component::that_starts_with(ENDLESS)?.0;
    let (first, second, other) = tokio::join!(
        host.put("probe", endless.clone()),
        async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            // It may come too early or too late on a busy machine; then it is as good as the first.
            host.put("probe", endless).await
        },
        host.deploy("other", 1),
    );
    other?;
    host.expect_version("other", 1).await?;
    let mut slugs: Vec<_> = [first?, second?].iter().map(slug).collect::<Result<_>>()?;
    slugs.sort();
    ensure!(
        slugs == ["component-rejected", "swap-in-progress"]
            || slugs == ["component-rejected", "component-rejected"],
        "{slugs:?}"
    );
    // One that had to wait was not looked at, and so not rejected.
    let rejected = slugs.iter().filter(|slug| *slug == "component-rejected");
    let labels = [("function", "probe"), ("result", "rejected")];
    let counted = host.metrics().await?;
    let counted = counted.sum("flowviz_function_swaps_total", &labels);
    ensure!(counted == rejected.count() as f64, "{slugs:?}, {counted}");
    host.expect_version("probe", FIRST).await
}

fn slug(answer: &Answer) -> Result<String> {
    let json: Value = answer.json()?;
    let slug = json["type"].as_str().unwrap_or_default();
    Ok(slug.trim_start_matches("/problems/").to_owned())
}

/// A disk of so many bytes. Only root can make one; it is gone with this.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn of(bytes: usize) -> Result<Option<Self>> {
        let dir = tempfile::tempdir()?;
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(dir.path())
            .output()?;
        Ok(mounted.status.success().then_some(Self(dir)))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What is left of it goes with the machine.
        _ = Command::new("umount")
            .arg("--lazy")
            .arg(self.0.path())
            .status();
    }
}

#[tokio::test]
async fn a_full_disk_changes_nothing() -> Result<()> {
    let component = Component::version(1)?.0;
    // Room for two components, and not for three.
    let Some(disk) = SmallDisk::of(component.len() * 5 / 2)? else {
        eprintln!(
            "no disk can be mounted here: a state that can't be written is tested otherwise below"
        );
        return Ok(());
    };
    let options = HostOptions {
        args: vec![format!(
            "--state-dir={}",
            disk.0.path().join("state").display()
        )],
        ..HostOptions::default()
    };
    let host = Host::with_manifest(&probes(&[("probe", "")]), options)?;
    host.deploy("probe", 1).await?;
    let left =
        || -> Result<usize> { Ok(fs::read_dir(disk.0.path().join("state/components"))?.count()) };
    ensure!(left()? == 2);
    for _ in 0..2 {
        let answer = host.put("probe", Component::version(2)?.0).await?;
        let detail = problem(&answer, 507, "state-not-saved")?;
        ensure!(detail.contains("No space left"), "{detail}");
        ensure!(left()? == 2, "what was written of it stays");
        host.expect_version("probe", 1).await?;
    }
    let rejected = host
        .metrics()
        .await?
        .sum("flowviz_function_swaps_total", &[("result", "rejected")]);
    ensure!(rejected == 2.0, "{rejected}");
    // What is there can still be gone back to.
    let back = host.roll_back("probe", None).await?;
    ensure!(back.status == 200, "{}", back.text());
    host.expect_version("probe", FIRST).await
}

#[tokio::test]
async fn a_state_that_cannot_be_saved_changes_nothing() -> Result<()> {
    let state = tempfile::tempdir()?;
    let dir = state.path().join("state");
    let options = HostOptions {
        args: vec![format!("--state-dir={}", dir.display())],
        ..HostOptions::default()
    };
    let host = Host::with_manifest(&probes(&[("probe", "")]), options)?;
    host.deploy("probe", 1).await?;
    // Something else is where the components should be.
    fs::rename(dir.join("components"), state.path().join("away"))?;
    symlink("/dev/full", dir.join("components"))?;
    let answer = host.put("probe", Component::version(2)?.0).await?;
    problem(&answer, 507, "state-not-saved")?;
    host.expect_version("probe", 1).await?;
    fs::remove_file(dir.join("components"))?;
    fs::rename(state.path().join("away"), dir.join("components"))?;

    // The component can be kept, and the state can't.
    let file = dir.join("state.json");
    fs::remove_file(&file)?;
    fs::create_dir(&file)?;
    fs::write(file.join("in the way"), "")?;
    let answer = host.put("probe", Component::version(2)?.0).await?;
    problem(&answer, 507, "state-not-saved")?;
    host.expect_version("probe", 1).await?;
    let kept = fs::read_dir(dir.join("components"))?.count();
    ensure!(
        kept == 2,
        "{kept} components are kept: the manifest's and the live one should be"
    );
    let function = host.function("probe").await?;
    ensure!(
        function["last_error"]["type"] == "state-not-saved",
        "{function}"
    );
    ensure!(
        function["versions"]
            .as_array()
            .is_some_and(|versions| versions.len() == 2)
    );

    fs::remove_dir_all(&file)?;
    host.deploy("probe", 2).await?;
    host.expect_version("probe", 2).await?;
    ensure!(host.reload(json!({})).await?.status == 200);
    host.expect_version("probe", 2).await
}
