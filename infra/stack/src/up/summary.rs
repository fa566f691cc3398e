//! What a person needs to know once everything runs.

use std::fmt;

use super::host::{Host, Report};
use crate::{Part, Stack};

const USER: &str = "admin@flowviz.com";
/// What `flowviz migrate --demo` takes the password from; never set by us.
const PASSWORD_VARIABLE: &str = "FLOWVIZ_DEMO_PASSWORD";

pub(super) struct Summary<'a> {
    host: &'a Host,
    stack: &'a Stack,
    report: &'a Report,
    admin_token: &'a str,
}

impl<'a> Summary<'a> {
    pub(super) fn new(
        host: &'a Host,
        stack: &'a Stack,
        report: &'a Report,
        admin_token: &'a str,
    ) -> Self {
        Self {
            host,
            stack,
            report,
            admin_token,
        }
    }

    /// The password as the shell should see it in double quotes.
    fn password(&self) -> String {
        match self.report.password_of(USER) {
            Some(generated) => generated.to_owned(),
            None if std::env::var_os(PASSWORD_VARIABLE).is_some() => {
                format!("${PASSWORD_VARIABLE}")
            }
            None => "<password>".to_owned(),
        }
    }
}

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            host,
            stack,
            report,
            ..
        } = self;
        let (functions, admin) = (host.functions, host.admin);
        let dir = stack.dir().display();
        writeln!(f, "\nFlowViz is up; Ctrl-C ends it.\n")?;
        writeln!(f, "  functions    http://{functions}/api/health")?;
        writeln!(f, "  metrics      http://{admin}/metrics")?;
        for (name, url) in [
            ("Prometheus", stack.prometheus_url()),
            ("Alertmanager", stack.alertmanager_url()),
            ("machine", stack.exporter_url(Part::NodeExporter)),
            ("database", stack.exporter_url(Part::PostgresExporter)),
        ] {
            if let Some(url) = url {
                writeln!(f, "  {name:<12} {url}")?;
            }
        }
        writeln!(
            f,
            "  PgBouncer    {} (database flowviz)",
            stack.pgbouncer_host()
        )?;
        writeln!(f, "  PostgreSQL   127.0.0.1:{}", stack.cluster.port())?;
        writeln!(f, "  logs         {dir}/logs")?;
        writeln!(f, "  passwords    {dir}/secrets")?;
        writeln!(
            f,
            "  admin token  {}, also in {dir}/secrets/admin_token: flowviz functions --admin http://{admin} --admin-token-file {dir}/secrets/admin_token\n",
            self.admin_token
        )?;
        writeln!(f, "{}\n", report.demonstration)?;
        writeln!(f, "Try it:\n")?;
        writeln!(
            f,
            "  TOKEN=$(curl -s http://{functions}/api/login -H 'content-type: application/json' \\"
        )?;
        writeln!(
            f,
            "    -d \"{{\\\"email\\\":\\\"{USER}\\\",\\\"password\\\":\\\"{}\\\"}}\" | sed 's/.*\"token\":\"\\([^\"]*\\)\".*/\\1/')",
            self.password()
        )?;
        write!(
            f,
            "  curl -s http://{functions}/api/lots -H \"authorization: Bearer $TOKEN\""
        )
    }
}
