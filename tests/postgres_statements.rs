//! Promise: straight to PostgreSQL, statements are known to the server by a name, so that it plans them once; a change of the schema
//! costs nobody an error; and through a pooler that keeps no names, none is used.

use anyhow::{Result, ensure};
use flowviz_stack::{Options, Stack};
use flowviz_tests::{Database, Host, HostOptions, probes};
use serde_json::{Value, json};

/// Statements of this connection that have a name.
const NAMED: &str = "SELECT count(*) FROM pg_prepared_statements WHERE name <> ''";

/// A function that may go both ways, and the pool's settings. One connection, so that it is known which one is used.
async fn start(pool: &str) -> Result<Database> {
    let stack = Stack::start(Options::temporary()).await?;
    let tool = "[component.probe.tool.flowviz]";
    let allowed = "allowed_outbound_hosts = [\"postgres://127.0.0.1:*\"]\n";
    let mut manifest = probes(&[("probe", "")]).replace(tool, &format!("{allowed}{tool}"));
    manifest.push_str(&format!(
        "[application.tool.flowviz.pool]\nsize = 1\nmin_idle = 0\n{pool}\n"
    ));
    let host = Host::with_manifest(&manifest, HostOptions::default())?;
    Ok(Database { host, stack })
}

impl Direct<'_> {
    async fn ask(&self, call: &str, mut asked: Value) -> Result<Value> {
        asked["address"] = json!(self.0.stack.app_direct_url().to_string());
        self.0.ask(call, asked).await
    }

    async fn query(&self, statement: &str) -> Result<Value> {
        let got = self.ask("query", json!({ "statement": statement })).await?;
        ensure!(got["ok"].is_object(), "{statement}: {got}");
        Ok(got["ok"]["rows"].clone())
    }
}

/// Past the pooler.
struct Direct<'a>(&'a Database);

#[tokio::test]
async fn statements_have_names_where_the_server_keeps_them() -> Result<()> {
    let database = start("").await?;
    let direct = Direct(&database);
    for _ in 0..3 {
        direct.query("SELECT 'a'").await?;
    }
    // That one, the host's question about the server's process is not among them, and this one, which has been parsed by now.
    let named = direct.query(NAMED).await?;
    ensure!(named == json!([["DbValue::Int64(2)"]]), "{named}");
    // The same text with another type is another statement.
    for parameter in [
        json!({ "int32": 7 }),
        json!({ "int64": 7 }),
        json!({ "int32": 8 }),
    ] {
        let asked = json!({ "statement": "SELECT $1::text", "parameters": [parameter] });
        let got = direct.ask("query", asked).await?;
        ensure!(got["ok"].is_object(), "{got}");
    }
    let named = direct.query(NAMED).await?;
    ensure!(named == json!([["DbValue::Int64(4)"]]), "{named}");
    // However many there are, the server isn't filled with them.
    for number in 0..300 {
        direct.query(&format!("SELECT {number}")).await?;
    }
    let named = direct.query(NAMED).await?;
    ensure!(named == json!([["DbValue::Int64(128)"]]), "{named}");

    let through_pooler = database.rows(NAMED).await?;
    ensure!(
        through_pooler == [["DbValue::Int64(0)"]],
        "{through_pooler:?}"
    );
    Ok(())
}

#[tokio::test]
async fn they_have_none_if_the_manifest_says_so() -> Result<()> {
    let database = start("statements = 'unnamed'").await?;
    let named = Direct(&database).query(NAMED).await?;
    ensure!(named == json!([["DbValue::Int64(0)"]]), "{named}");
    Ok(())
}

#[tokio::test]
async fn a_change_of_the_schema_is_survived() -> Result<()> {
    let database = start("").await?;
    let direct = Direct(&database);
    database.table("changing", "id int").await?;
    let owner = database.owner().await?;
    owner
        .execute("INSERT INTO changing VALUES (1)", &[])
        .await?;
    let all = "SELECT * FROM changing";
    // More than five times: by then the server has a plan of its own choice.
    for _ in 0..7 {
        ensure!(direct.query(all).await? == json!([["DbValue::Int32(1)"]]));
    }
    owner
        .batch_execute("ALTER TABLE changing ADD COLUMN name text DEFAULT 'new'")
        .await?;
    let rows = direct.query(all).await?;
    ensure!(
        rows == json!([["DbValue::Int32(1)", "DbValue::Str(\"new\")"]]),
        "{rows}"
    );
    // In a transaction the statement's error has ended it: the function is told, and the next try succeeds.
    owner
        .batch_execute("ALTER TABLE changing DROP COLUMN name")
        .await?;
    let transaction = json!({ "statements": ["BEGIN", all, "COMMIT"] });
    let got = direct.ask("script", transaction.clone()).await?;
    ensure!(got["error"]["db-error"]["code"] == "0A000", "{got}");
    let got = direct.ask("script", transaction).await?;
    ensure!(got["ok"].is_array(), "{got}");
    // A session that has lost its names for whatever reason is no matter either.
    let lost = json!({ "statement": "DO $$ BEGIN EXECUTE 'DEALLOCATE ALL'; END $$" });
    ensure!(direct.ask("execute", lost).await?["ok"].is_number());
    ensure!(direct.query(all).await? == json!([["DbValue::Int32(1)"]]));
    Ok(())
}
