//! What the README claims is true: its commands are run, in its order, in one shell, and print what it says they print.
//!
//! Ids, times and tokens differ from run to run, and are compared as such. After a change that is meant to be seen,
//! `UPDATE_README=1 cargo test -p flowviz-tests --test readme` writes the new outputs into the README.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use flowviz_tests::{ADMIN_TOKEN, Wms, artifacts, demo_password, root};

/// A line of the README, or a command with the lines that it prints.
#[derive(Debug, PartialEq)]
enum Piece {
    Text(String),
    Command {
        command: String,
        prints: Vec<String>,
    },
}

fn pieces(readme: &str) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut in_console = false;
    for line in readme.lines() {
        if line.starts_with("```") {
            in_console = line == "```console";
        } else if in_console {
            if let Some(command) = line.strip_prefix("$ ") {
                pieces.push(Piece::Command {
                    command: command.to_owned(),
                    prints: Vec::new(),
                });
                continue;
            }
            if let Some(Piece::Command { prints, .. }) = pieces.last_mut() {
                prints.push(line.to_owned());
                continue;
            }
        }
        pieces.push(Piece::Text(line.to_owned()));
    }
    pieces
}

/// Runs the commands in one shell, and gives what each of them printed.
fn run(commands: &[String]) -> Result<Vec<Vec<String>>> {
    const MARK: &str = "=== the next command";
    let script: String = commands
        .iter()
        .flat_map(|command| [command.as_str(), "\necho; echo '", MARK, "'\n"])
        .collect();
    // `flowviz` is on the path.
    let bin = artifacts().flowviz.parent().context("a directory")?;
    let path = std::env::var("PATH")?;
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", &script])
        .env("PATH", format!("{}:{path}", bin.display()))
        .output()?;
    ensure!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout)?;
    let outputs = text
        .split(MARK)
        .map(|part| part.trim().lines().map(str::to_owned).collect());
    Ok(outputs.take(commands.len()).collect())
}

/// A line without what differs from run to run.
fn lasting(line: &str) -> String {
    let mut words = Vec::new();
    for word in line.split_inclusive(['"', ' ', '/']) {
        let bare = word.trim_end_matches(['"', ' ', '/']);
        let hex = bare.len() == 36 && bare.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
        let time = bare.len() > 19 && bare.ends_with('Z') && bare.get(10..11) == Some("T");
        let version = bare.len() == 12 && bare.chars().all(|c| c.is_ascii_hexdigit());
        words.push(match (hex, time, version) {
            (true, _, _) => word.replace(bare, "<id>"),
            (_, true, _) => word.replace(bare, "<time>"),
            (_, _, true) => word.replace(bare, "<version>"),
            _ => word.to_owned(),
        });
    }
    words.concat()
}

#[tokio::test]
async fn the_commands_of_the_readme_print_what_it_says() -> Result<()> {
    let path = root().join("README.md");
    let readme = std::fs::read_to_string(&path)?;
    let mut pieces = pieces(&readme);
    ensure!(
        readme.contains(demo_password()),
        "the README logs in with {}",
        demo_password()
    );

    let wms = Wms::start().await?;
    let token = format!("FLOWVIZ_ADMIN_TOKEN={ADMIN_TOKEN}");
    let here = |command: &str| {
        command
            .replace("127.0.0.1:3000", &wms.host.address.to_string())
            .replace("127.0.0.1:9400", &wms.host.admin.to_string())
            .replace(
                "FLOWVIZ_ADMIN_TOKEN_FILE=.flowviz/secrets/admin_token",
                &token,
            )
    };
    let commands: Vec<String> = pieces
        .iter()
        .filter_map(|piece| match piece {
            Piece::Command { command, .. } => Some(here(command)),
            Piece::Text(_) => None,
        })
        .collect();
    ensure!(commands.len() > 5, "the README's commands were not found");
    let outputs = tokio::task::spawn_blocking(move || run(&commands)).await??;

    let mut outputs = outputs.into_iter();
    let update = std::env::var_os("UPDATE_README").is_some();
    for piece in &mut pieces {
        let Piece::Command { command, prints } = piece else {
            continue;
        };
        let printed = outputs.next().context("one output per command")?;
        if update {
            *prints = printed;
            continue;
        }
        let said: Vec<String> = prints.iter().map(|line| lasting(line)).collect();
        let done: Vec<String> = printed.iter().map(|line| lasting(line)).collect();
        assert_eq!(
            done,
            said,
            "the output of\n{command}\nwas\n{}",
            printed.join("\n")
        );
    }
    if update {
        let mut text = String::new();
        for piece in &pieces {
            match piece {
                Piece::Text(line) => text += &format!("{line}\n"),
                Piece::Command { command, prints } => {
                    text += &format!("$ {command}\n");
                    prints.iter().for_each(|line| text += &format!("{line}\n"));
                }
            }
        }
        std::fs::write(&path, text)?;
    }
    Ok(())
}

/// Files and folders that the README and the docs link to exist.
#[test]
fn links_lead_somewhere() -> Result<()> {
    let mut pages = vec![root().join("README.md")];
    for entry in std::fs::read_dir(root().join("docs"))? {
        pages.push(entry?.path());
    }
    let mut links = 0;
    for page in pages {
        let text = std::fs::read_to_string(&page)?;
        let dir = page.parent().context("a page is in a folder")?;
        for target in text
            .split("](")
            .skip(1)
            .filter_map(|rest| rest.split(')').next())
        {
            if !target.starts_with("http") && !target.starts_with('#') {
                links += 1;
                let file = target.split('#').next().unwrap_or(target);
                assert!(dir.join(file).exists(), "{}: {target}", page.display());
            }
        }
    }
    assert!(links > 10);
    Ok(())
}
