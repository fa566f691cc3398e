//! Thousands of requests made from the served description, right ones and wrong ones, get no 5xx and no answer that the description
//! doesn't allow; and what breaks its rules is refused.
//!
//! The requests are Schemathesis' (`make setup` installs it, in the version of tests/schemathesis.txt).

use std::process::Command;

use anyhow::{Context, Result, ensure};
use flowviz_tests::{Wms, root};

/// Seconds. Bounded, since a fuzzer never has enough.
const MOST: &str = "75";
const ROLE_CHANGES: &str = "10";

/// All that can be told of an answer by itself. Left out: whether data that fits the schema is accepted, since a schema can't say that a
/// run is active or a reference known.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,\
response_headers_conformance,negative_data_rejection,missing_required_header,unsupported_method,allow_header_conformance,ignored_auth";

fn run(wms: &Wms, token: &str, seconds: &str, which: &[&str]) -> Result<()> {
    let reports = tempfile::tempdir()?;
    let output = Command::new(root().join("target/tools/schemathesis/bin/schemathesis"))
        .arg("run")
        .arg(wms.host.url("/api/openapi.json"))
        .args(["--header", &format!("Authorization: Bearer {token}")])
        .args(["--checks", CHECKS, "--phases", "coverage,fuzzing"])
        .args([
            "--max-time",
            seconds,
            "--seed",
            "1",
            "--request-timeout",
            "60",
        ])
        .args([
            "--continue-on-failure",
            "--no-color",
            "--suppress-health-check",
            "all",
        ])
        .args(which)
        .current_dir(reports.path())
        .output()
        .context("`make setup` installs what this test needs")?;
    let told = String::from_utf8_lossy(&output.stdout);
    ensure!(
        output.status.success(),
        "{told}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    println!("{told}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_gets_an_answer_that_the_description_does_not_allow() -> Result<()> {
    let wms = Wms::start().await?;
    let token = wms.login("admin").await?;
    // It learns ids from answers, and would soon find out how an administrator loses their role: that comes last.
    run(
        &wms,
        &token,
        MOST,
        &["--exclude-operation-id", "changeRole"],
    )?;
    run(
        &wms,
        &token,
        ROLE_CHANGES,
        &["--include-operation-id", "changeRole"],
    )
}
