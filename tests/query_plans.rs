//! With a large plant's data in the database, every list, lot, graph and recall goes by indexes, and a recall of a lot with 5,000
//! descendants answers.
//!
//! The statements are the functions' own. `make query-plans` writes their plans with a million lots into docs/query-plans.md.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};
use flowviz_tests::{User, Wms, root};
use plant_day::{Plan, bulk};
use reqwest::StatusCode;
use tokio_postgres::Client;
use tokio_postgres::types::ToSql;

/// How many lots; a large database takes a minute to load.
const LOTS: &str = "FLOWVIZ_PLANS_LOTS";
const LOTS_DEFAULT: u64 = 60_000;

/// Set, the plans are written into the documentation.
const WRITE: &str = "FLOWVIZ_WRITE_PLANS";

const FAN_OUT: u32 = 5000;
const FAN: &str = "RAW-20260115-FANS-0001";
const LINE: &str = "RAW-20260115-LINE-0001";

const CALLER: &str = include_str!("../functions/wms/src/caller.sql");
const OPERATOR: &str = "00000000-0000-0000-0000-000000000002";

/// Tables that grow with production: none of them may be read whole.
const LARGE: [&str; 4] = ["lots", "lot_genealogy", "qc_decisions", "audit_events"];

struct Statement {
    title: &'static str,
    text: &'static str,
    /// From $2 on.
    parameters: Vec<Option<String>>,
}

fn statement(title: &'static str, text: &'static str, parameters: &[Option<&str>]) -> Statement {
    let parameters = parameters
        .iter()
        .map(|value| value.map(str::to_owned))
        .collect();
    Statement {
        title,
        text,
        parameters,
    }
}

fn statements(run: &str) -> Vec<Statement> {
    let lots = include_str!("../functions/lots/src/list.sql");
    let lot = include_str!("../functions/lot/src/get.sql");
    let decisions = include_str!("../functions/qc-decisions/src/list.sql");
    let audit = include_str!("../functions/audit-events/src/list.sql");
    let graph = include_str!("../functions/traceability-graph/src/graph.sql");
    let nobody = Some("00000000-0000-0000-0000-00000000dead");
    let page = Some("101");
    let (at, id) = (Some("2026-01-15T12:00:00Z"), nobody);
    vec![
        statement(
            "GET /api/lots",
            lots,
            &[None, None, None, None, None, None, None, None, page],
        ),
        statement(
            "GET /api/lots?cursor=...",
            lots,
            &[None, None, None, None, None, None, at, id, page],
        ),
        statement(
            "GET /api/lots?lot_type=FG",
            lots,
            &[Some("FG"), None, None, None, None, None, None, None, page],
        ),
        statement(
            "GET /api/lots?status=ON_HOLD",
            lots,
            &[
                None,
                None,
                Some("ON_HOLD"),
                None,
                None,
                None,
                None,
                None,
                page,
            ],
        ),
        statement(
            "GET /api/lots?production_run_id=...",
            lots,
            &[None, Some(run), None, None, None, None, None, None, page],
        ),
        statement(
            "GET /api/lots?code_prefix=RAW-20260115-FANS",
            lots,
            &[
                None,
                None,
                None,
                Some("RAW-20260115-FANS"),
                None,
                None,
                None,
                None,
                page,
            ],
        ),
        statement(
            "GET /api/lots?created_from=...&created_to=...",
            lots,
            &[
                None,
                None,
                None,
                None,
                at,
                Some("2026-01-15T13:00:00Z"),
                None,
                None,
                page,
            ],
        ),
        statement("GET /api/lots/:id, by code", lot, &[None, Some(FAN)]),
        statement("GET /api/lots/:id, by id", lot, &[nobody, nobody]),
        statement(
            "GET /api/lots/:id/parents",
            include_str!("../functions/lot-parents/src/list.sql"),
            &[None, Some(FAN)],
        ),
        statement(
            "GET /api/qc-decisions?lot_id=...",
            decisions,
            &[nobody, None, None, None, None, page],
        ),
        statement(
            "GET /api/qc-decisions?gate_number=7",
            decisions,
            &[None, None, Some("7"), None, None, page],
        ),
        statement(
            "GET /api/traceability/:lot_code",
            include_str!("../functions/traceability/src/trace.sql"),
            &[Some(LINE)],
        ),
        statement(
            "GET /api/traceability/:lot_code/graph?depth=50, a line",
            graph,
            &[Some(LINE), Some("both"), Some("50"), Some("16777216")],
        ),
        statement(
            "GET /api/traceability/:lot_code/graph?depth=50, a fan",
            graph,
            &[Some(FAN), Some("both"), Some("50"), Some("16777216")],
        ),
        statement(
            "GET /api/traceability/:lot_code/recall",
            include_str!("../functions/recall/src/recall.sql"),
            &[Some(FAN)],
        ),
        statement(
            "GET /api/audit-events",
            audit,
            &[None, None, None, None, None, None, None, page],
        ),
        statement(
            "GET /api/audit-events?entity_id=...",
            audit,
            &[Some("lot"), nobody, None, None, None, None, None, page],
        ),
    ]
}

async fn plan(database: &Client, statement: &Statement) -> Result<Vec<String>> {
    let text = format!(
        "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY ON) {CALLER}{}",
        statement.text
    );
    let operator = OPERATOR.to_owned();
    let mut parameters: Vec<&(dyn ToSql + Sync)> = vec![&operator];
    parameters.extend(
        statement
            .parameters
            .iter()
            .map(|value| value as &(dyn ToSql + Sync)),
    );
    let rows = database
        .query(&text, &parameters)
        .await
        .context(statement.title)?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

fn reads_whole(line: &str) -> bool {
    let Some((_, scanned)) = line.split_once("Seq Scan on ") else {
        return false;
    };
    scanned
        .split_whitespace()
        .next()
        .is_some_and(|table| LARGE.contains(&table))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_read_goes_by_indexes_and_a_wide_recall_answers() -> Result<()> {
    let wms = Wms::start().await?;
    let database = wms.database().await?;
    let lots = std::env::var(LOTS)
        .ok()
        .map_or(Ok(LOTS_DEFAULT), |lots| lots.parse())?;
    let plan_of_day = Plan {
        fan_out: Some(FAN_OUT),
        ..Plan::of(lots, 1)
    };
    let loaded = bulk::load(
        &plan_of_day,
        &wms.stack.owner_url().parse()?,
        "operator@flowviz.com",
        |_| {},
    )
    .await?;

    // A bulk load writes no events: here are as many as the functions would have written, but for the chain.
    database
        .batch_execute(
            "ALTER TABLE audit_events DISABLE TRIGGER USER;
             INSERT INTO audit_events (at, actor_id, actor_role, action, entity, entity_id)
             SELECT created_at, operator_id, 'OPERATOR', 'lot.registered', 'lot', id FROM lots;
             ALTER TABLE audit_events ENABLE ALWAYS TRIGGER audit_events_chain;
             ALTER TABLE audit_events ENABLE ALWAYS TRIGGER audit_events_append_only;
             ANALYZE audit_events",
        )
        .await?;

    let run: String = database
        .query_one(
            "SELECT id::text FROM production_runs ORDER BY started_at LIMIT 1",
            &[],
        )
        .await?
        .get(0);
    let mut written = format!(
        "# Query plans\n\nWhat PostgreSQL 15 does for each read, with {} lots, {} links and {} decisions (a plant-day bulk load, seed 1, with one \
        lot of 5,000 descendants). `make query-plans` writes this page; `tests/query_plans.rs` holds that no plan reads a large table whole.\n\
        Times are of one run on a busy machine with a warm cache: they show the order of magnitude, nothing else.\n",
        loaded.lots, loaded.links, loaded.decisions
    );
    for statement in statements(&run) {
        let lines = plan(&database, &statement).await?;
        let text = lines.join("\n");
        assert!(
            !lines.iter().any(|line| reads_whole(line)),
            "{}\n{text}",
            statement.title
        );
        write!(
            written,
            "\n## {}\n\n```text\n{text}\n```\n",
            statement.title
        )?;
    }
    if std::env::var_os(WRITE).is_some() {
        std::fs::write(root().join("docs/query-plans.md"), written)?;
    }

    let operator = User::login(&wms, "operator").await?;
    let recall = operator
        .get(&format!("/api/traceability/{FAN}/recall"))
        .await?;
    assert_eq!(recall.status, StatusCode::OK, "{}", recall.body);
    let below: i64 = database
        .query_one(
            "WITH RECURSIVE below AS (
                SELECT id FROM lots WHERE lot_code = $1
                UNION
                SELECT g.child_lot_id FROM below JOIN lot_genealogy g ON g.parent_lot_id = below.id
            ) SELECT count(*) FROM below JOIN lots USING (id) WHERE lot_type = 'FG'",
            &[&FAN],
        )
        .await?
        .get(0);
    let affected = recall.body["affected"].as_array().context("affected")?;
    assert_eq!(affected.len() as i64, below);
    assert!(below > 0);

    let graph = operator
        .get(&format!("/api/traceability/{FAN}/graph"))
        .await?;
    assert_eq!(graph.status, StatusCode::OK);
    let nodes = graph.body["nodes"].as_array().context("nodes")?;
    assert!(nodes.len() > FAN_OUT as usize, "{}", nodes.len());
    assert_eq!(graph.body["truncated"], false);
    Ok(())
}
