//! The FlowViz host as a child: its migrations, and then itself.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::UpError;
use crate::account::Account;
use crate::error::Result;
use crate::part::Part;
use crate::probe;
use crate::process::{Launch, Process};
use crate::secrets::{Secret, Secrets};
use crate::{Error, Stack};

/// The first start compiles all the functions; a small machine takes its time.
const READY_WITHIN: Duration = Duration::from_secs(180);
/// Seen from the manifest.
const MIGRATIONS: &str = "infra/postgres/migrations";
/// The line in the report of `flowviz migrate` after which everything is about the demonstration users.
const DEMONSTRATION: &str = "demonstration data";

pub(super) struct Host {
    pub program: PathBuf,
    pub manifest: PathBuf,
    pub functions: SocketAddr,
    pub admin: SocketAddr,
}

const ADMIN_TOKEN_VARIABLE: &str = "FLOWVIZ_ADMIN_TOKEN";
const ADMIN_TOKEN_FILE: &str = "FLOWVIZ_ADMIN_TOKEN_FILE";
const ADMIN_TOKEN: &str = "admin_token";
const STATE_DIR: &str = "FLOWVIZ_STATE_DIR";

/// What `flowviz migrate --demo` said, in two parts: the second shows generated passwords, and shows them once.
pub(super) struct Report {
    pub migrations: String,
    pub demonstration: String,
}

impl Host {
    pub(super) async fn migrate(&self, stack: &Stack) -> Result<Report, UpError> {
        let launch = self.launch(
            vec![
                "migrate".to_owned(),
                "--demo".to_owned(),
                "--dir".to_owned(),
                self.migrations().to_string_lossy().into_owned(),
            ],
            [("DATABASE_URL", stack.owner_url().to_string())],
        );
        let output = stack.launcher.run(launch).await?;
        if !output.status.success() {
            let message = String::from_utf8_lossy(&output.stderr);
            let message = message.trim().trim_start_matches("error: ");
            return Err(UpError::Migrations(message.to_owned()));
        }
        Ok(Report::from(
            String::from_utf8_lossy(&output.stdout).trim_end(),
        ))
    }

    /// They belong to the application, wherever we were started.
    fn migrations(&self) -> PathBuf {
        self.manifest.with_file_name(MIGRATIONS)
    }

    /// Starts it and waits until it is ready for requests.
    pub(super) async fn start(&self, stack: &Stack) -> Result<Process> {
        let arguments = vec![
            "up".to_owned(),
            "--from".to_owned(),
            self.manifest.to_string_lossy().into_owned(),
            format!("--listen={}", self.functions),
            format!("--admin-listen={}", self.admin),
        ];
        let environment = [
            ("SPIN_VARIABLE_DATABASE_URL", stack.app_url().to_string()),
            ("SPIN_VARIABLE_DATABASE_HOST", stack.pgbouncer_host()),
            (
                "SPIN_VARIABLE_PGBOUNCER_STATS_URL",
                stack.pgbouncer_stats_url().to_string(),
            ),
            ("SPIN_VARIABLE_JWT_SECRET", jwt_secret(stack)?.to_string()),
        ];
        let mut launch = self.launch(arguments, environment);
        if let Some(file) = admin_token_file(stack)? {
            launch
                .environment
                .push((ADMIN_TOKEN_FILE.into(), file.into()));
        }
        if std::env::var_os(STATE_DIR).is_none() {
            let state = stack.dir().join("state");
            launch.environment.push((STATE_DIR.into(), state.into()));
        }
        let mut process = stack.launcher.launch(launch)?;
        let admin = self.admin.to_string();
        probe::until_ready(&mut process, READY_WITHIN, async || match probe::http_get(
            &admin, "/readyz",
        )
        .await
        {
            Ok((200, _)) => Ok(()),
            Ok((status, body)) => Err(format!("/readyz answers {status}: {}", body.trim())),
            Err(error) => Err(error.to_string()),
        })
        .await?;
        Ok(process)
    }

    /// As ourselves, in our directory and with our environment: the host is what this person is working on.
    fn launch<const N: usize>(
        &self,
        arguments: Vec<String>,
        secrets: [(&str, String); N],
    ) -> Launch<'_> {
        let secrets = secrets.map(|(name, value)| (OsString::from(name), OsString::from(value)));
        Launch {
            part: Part::Host,
            program: &self.program,
            arguments,
            dir: Path::new("."),
            environment: std::env::vars_os().chain(secrets).collect(),
            account: &Account::Ourselves,
        }
    }
}

/// Generated once, so that tokens outlive a restart.
fn jwt_secret(stack: &Stack) -> Result<Secret, Error> {
    Secrets::open(stack.directory.secrets())?.get("jwt_secret")
}

/// What whoever may change the functions has to know: generated once, unless whoever started us chose another.
pub(super) fn admin_token(stack: &Stack) -> Result<Option<Secret>, Error> {
    admin_token_file(stack)?
        .map(|_| Secrets::open(stack.directory.secrets())?.get(ADMIN_TOKEN))
        .transpose()
}

fn admin_token_file(stack: &Stack) -> Result<Option<PathBuf>, Error> {
    let ours = Secrets::open(stack.directory.secrets())?.file(ADMIN_TOKEN)?;
    let theirs = std::env::var_os(ADMIN_TOKEN_FILE).map(PathBuf::from);
    // Ours may be named in the environment, for the commands.
    let is_ours = |file: &PathBuf| file.canonicalize().is_ok_and(|file| file == ours);
    let chosen = std::env::var_os(ADMIN_TOKEN_VARIABLE).is_some()
        || theirs.is_some_and(|file| !is_ours(&file));
    Ok((!chosen).then_some(ours))
}

impl From<&str> for Report {
    fn from(text: &str) -> Self {
        let (migrations, demonstration) = match text.find(DEMONSTRATION) {
            Some(at) => text.split_at(at),
            None => (text, ""),
        };
        Self {
            migrations: migrations.trim_end().to_owned(),
            demonstration: demonstration.to_owned(),
        }
    }
}

impl Report {
    /// The password that was generated for this user in this run.
    pub(super) fn password_of(&self, email: &str) -> Option<&str> {
        self.demonstration.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            (words.next() == Some(email)).then(|| words.next())?
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_taken_apart_and_may_have_no_passwords() {
        let first = Report::from(
            "applied 0001 x (2 ms)\n1 migration applied\ndemonstration data is loaded: 1 users. Their passwords:\n  admin@flowviz.com      abc123",
        );
        assert_eq!(
            first.migrations,
            "applied 0001 x (2 ms)\n1 migration applied"
        );
        assert_eq!(first.password_of("admin@flowviz.com"), Some("abc123"));
        let later = Report::from("nothing to do\ndemonstration data is loaded: 5 users");
        assert_eq!(later.password_of("admin@flowviz.com"), None);
        assert_eq!(Report::from("nothing to do").demonstration, "");
    }
}
