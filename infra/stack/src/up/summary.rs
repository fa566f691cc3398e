//! What a person needs to know once everything runs.

use std::fmt;

use super::host::{Host, Report};
use crate::{Part, Stack};

const USER: &str = "admin@flowviz.com";

pub(super) struct Summary<'a> {
    host: &'a Host,
    stack: &'a Stack,
    report: &'a Report,
    /// `None`: whoever started us chose it.
    admin_token: Option<&'a str>,
}

impl<'a> Summary<'a> {
    pub(super) fn new(
        host: &'a Host,
        stack: &'a Stack,
        report: &'a Report,
        admin_token: Option<&'a str>,
    ) -> Self {
        Self {
            host,
            stack,
            report,
            admin_token,
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
        match self.admin_token {
            Some(token) => writeln!(
                f,
                "  admin token  {token}, also in {dir}/secrets/admin_token: flowviz functions --admin http://{admin} --admin-token-file {dir}/secrets/admin_token\n"
            )?,
            None => writeln!(f, "  admin token  the one that you gave the host\n")?,
        }
        writeln!(f, "{}\n", report.demonstration)?;
        writeln!(f, "Try it in another terminal:\n")?;
        writeln!(
            f,
            "  TOKEN=$(curl -s http://{functions}/api/login --json '{{\"email\":\"{USER}\",\"password\":\"{}\"}}' | jq -r .token)",
            self.report.password_of(USER).unwrap_or("...")
        )?;
        write!(
            f,
            "  curl -s http://{functions}/api/lots -H \"authorization: Bearer $TOKEN\""
        )
    }
}
