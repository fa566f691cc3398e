//! What the plant-day generator plans is what the WMS then has: over HTTP every request is accepted, and the bulk load leaves what
//! the functions would have left.

use std::collections::BTreeMap;
use std::future::pending;

use anyhow::Result;
use flowviz_tests::{Wms, demo_password};
use plant_day::http::{self, Credentials, End, Options, Outcome, Summary, What};
use plant_day::{Action, Plan, bulk};
use tokio_postgres::Client;

const OPERATOR: &str = "operator@flowviz.com";

fn options(wms: &Wms, what: What) -> Options {
    Options {
        url: wms.host.url(""),
        credentials: Credentials {
            email: OPERATOR.to_owned(),
            password: demo_password().to_owned(),
        },
        connections: 16,
        what,
        with_run: false,
    }
}

async fn run(wms: &Wms, plan: &Plan, what: What) -> Result<Summary> {
    let summary = http::run(plan, options(wms, what), pending()).await?;
    assert_eq!(summary.count(Outcome::Failed), 0, "{summary}");
    assert_eq!(summary.ended, End::Complete);
    Ok(summary)
}

async fn number(database: &Client, query: &str) -> Result<i64> {
    Ok(database.query_one(query, &[]).await?.get(0))
}

/// Code, status, parents and decisions of each lot, as the database has them.
async fn stored(database: &Client, pattern: &str) -> Result<BTreeMap<String, (String, i64, i64)>> {
    let rows = database
        .query(
            "SELECT lot_code, status,
                 (SELECT count(*) FROM lot_genealogy g WHERE g.child_lot_id = lots.id),
                 (SELECT count(*) FROM qc_decisions d WHERE d.lot_id = lots.id)
             FROM lots WHERE lot_code LIKE $1",
            &[&pattern],
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| (row.get(0), (row.get(1), row.get(2), row.get(3))))
        .collect())
}

fn planned(plan: &Plan) -> BTreeMap<String, (String, i64, i64)> {
    plan.lots()
        .map(|lot| {
            let (parents, decisions) = (lot.parents.len() as i64, lot.decisions.len() as i64);
            let status = lot.status().as_str().to_owned();
            (lot.code, (status, parents, decisions))
        })
        .collect()
}

/// The rules that hold for all lots, however they came: the statuses are those of the decisions, and no parent is overdrawn.
async fn keeps_the_rules(database: &Client) -> Result<()> {
    let wrong = "SELECT count(*) FROM lots WHERE status <> lot_status(id)";
    assert_eq!(number(database, wrong).await?, 0, "statuses");
    let overdrawn = "SELECT count(*) FROM lots WHERE weight_kg <
        (SELECT sum(quantity_used_kg) FROM lot_genealogy WHERE parent_lot_id = lots.id)";
    assert_eq!(number(database, overdrawn).await?, 0, "overdrawn parents");
    let warm = "SELECT count(*) FROM qc_decisions d JOIN qc_gates g ON g.id = d.qc_gate_id
        WHERE g.is_ccp AND (d.temperature_c IS NULL OR d.decision = 'PASS' AND d.temperature_c > g.max_c)";
    assert_eq!(number(database, warm).await?, 0, "passed too warm");
    let silent =
        "SELECT count(*) FROM qc_decisions WHERE decision <> 'PASS' AND length(notes) < 10";
    assert_eq!(number(database, silent).await?, 0, "without a reason");
    let rejected = "SELECT count(*) FROM lot_genealogy g JOIN lots p ON p.id = g.parent_lot_id
        WHERE p.status = 'REJECTED' AND p.lot_code LIKE '%-DUNA-%'";
    assert_eq!(
        number(database, rejected).await?,
        0,
        "rejected parents in use"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn over_http_every_request_is_accepted_and_all_of_the_plan_is_there() -> Result<()> {
    let wms = Wms::start().await?;
    let database = wms.database().await?;
    let plan = Plan::of(200, 1);
    let summary = run(&wms, &plan, What::DataSet).await?;
    assert_eq!(
        summary.count(Outcome::Done),
        plan.steps().count() as u64,
        "{summary}"
    );
    assert_eq!(
        stored(&database, "%-20260115-DUNA-%").await?,
        planned(&plan)
    );
    keeps_the_rules(&database).await?;

    // Once more: nothing fails, and nothing is written.
    let again = run(&wms, &plan, What::DataSet).await?;
    assert_eq!(again.count(Outcome::Done), 0, "{again}");
    assert_eq!(
        stored(&database, "%-20260115-DUNA-%").await?,
        planned(&plan)
    );

    // The operators' mix.
    let plan = Plan {
        code_prefix: "M.".to_owned(),
        ..Plan::of(320, 2)
    };
    let summary = run(&wms, &plan, What::Mix).await?;
    let done: Vec<u64> = summary
        .outcomes
        .values()
        .map(|outcomes| outcomes.values().sum())
        .collect();
    assert_eq!(done, [320, 160, 32], "{summary}");
    assert_eq!(
        summary.count(Outcome::Done),
        plan.mix().count() as u64,
        "{summary}"
    );
    assert_eq!(stored(&database, "M.%").await?.len(), 320);
    keeps_the_rules(&database).await
}

/// What defines the tables, as PostgreSQL tells it.
async fn schema(database: &Client) -> Result<Vec<String>> {
    let query = "SELECT concat_ws(' ', indexdef, obj_description(format('%I.%I', schemaname, indexname)::regclass))
        FROM pg_indexes WHERE schemaname = 'public'
        UNION ALL
        SELECT concat_ws(' ', conrelid::regclass, conname, convalidated, pg_get_constraintdef(oid), obj_description(oid))
        FROM pg_constraint WHERE connamespace = 'public'::regnamespace
        UNION ALL
        SELECT concat_ws(' ', tgrelid::regclass, tgenabled, pg_get_triggerdef(oid), obj_description(oid)) FROM pg_trigger
        WHERE NOT tgisinternal
        UNION ALL
        SELECT concat_ws(' ', table_name, column_name, data_type, is_nullable, column_default)
        FROM information_schema.columns WHERE table_schema = 'public'
        ORDER BY 1";
    let rows = database.query(query, &[]).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// What later migrations may bring: none of it has a name that the load knows.
const LATER: &str = "
    ALTER TABLE lots ADD COLUMN later_version integer NOT NULL DEFAULT 1, ADD COLUMN later_note text;
    ALTER TABLE qc_decisions ADD COLUMN later_at timestamptz NOT NULL DEFAULT now();
    CREATE TABLE later_sites (id integer PRIMARY KEY);
    INSERT INTO later_sites VALUES (1);
    ALTER TABLE lots ADD COLUMN later_site integer NOT NULL DEFAULT 1 REFERENCES later_sites (id) DEFERRABLE INITIALLY DEFERRED;
    ALTER TABLE lot_genealogy ADD COLUMN later_site integer CONSTRAINT \"later's key\" REFERENCES later_sites;
    COMMENT ON CONSTRAINT \"later's key\" ON lot_genealogy IS 'where it was linked';

    CREATE INDEX \"later's index\" ON lots (lower(lot_code), later_version DESC) INCLUDE (weight_kg) WHERE later_version > 0;
    CREATE INDEX later_brin ON qc_decisions USING brin (decided_at) WITH (pages_per_range = 16);
    CREATE INDEX later_commented ON lots (later_note);
    COMMENT ON INDEX later_commented IS 'stays where it is';
    CREATE UNIQUE INDEX later_unique ON lots (lot_code, later_version);

    CREATE TABLE later_events (entity text, id uuid);
    CREATE FUNCTION later_note() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN NEW.later_note := 'of ' || NEW.lot_type; RETURN NEW; END $$;
    CREATE FUNCTION later_event() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO later_events VALUES (TG_TABLE_NAME, NEW.id); RETURN NULL; END $$;
    CREATE TRIGGER later_note BEFORE INSERT ON lots FOR EACH ROW EXECUTE FUNCTION later_note();
    CREATE TRIGGER later_event AFTER INSERT ON lots FOR EACH ROW EXECUTE FUNCTION later_event();
    CREATE CONSTRAINT TRIGGER later_chain AFTER INSERT ON lot_genealogy DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION later_event();
    ALTER TABLE lot_genealogy ENABLE ALWAYS TRIGGER later_chain;
    CREATE TRIGGER later_off AFTER INSERT ON lots FOR EACH ROW EXECUTE FUNCTION later_event();
    ALTER TABLE lots DISABLE TRIGGER later_off;
    GRANT INSERT ON later_events TO flowviz_app;
    GRANT SELECT ON later_sites TO flowviz_app;
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bulk_load_leaves_what_the_functions_would_have_left() -> Result<()> {
    let wms = Wms::start().await?;
    let database = wms.database().await?;
    database.batch_execute(LATER).await?;
    let before = schema(&database).await?;
    let target = wms.stack.owner_url().parse()?;
    let plan = Plan {
        fan_out: Some(500),
        ..Plan::of(5000, 1)
    };
    let loaded = bulk::load(&plan, &target, OPERATOR, |_| {}).await?;

    let planned = planned(&plan);
    let of_plan = stored(&database, "%-20260115-%").await?;
    assert_eq!(of_plan, planned);
    let links: i64 = planned.values().map(|(_, links, _)| links).sum();
    let decisions: i64 = planned.values().map(|(_, _, decisions)| decisions).sum();
    assert_eq!(loaded.lots, planned.len() as u64);
    assert_eq!(
        (loaded.links, loaded.decisions),
        (links as u64, decisions as u64)
    );
    keeps_the_rules(&database).await?;
    assert_eq!(schema(&database).await?, before);
    let unsigned = "SELECT count(*) FROM lots WHERE lot_code LIKE '%-20260115-%'
        AND (operator_id IS NULL OR production_run_id IS NULL OR phase_id IS NULL)";
    assert_eq!(number(&database, unsigned).await?, 0);

    // New columns have their defaults, what is set before a row is set, and what follows from a row is not made up.
    let noted = "SELECT count(*) FROM lots WHERE lot_code LIKE '%-20260115-%'
        AND later_version = 1 AND later_site = 1 AND later_note = 'of ' || lot_type";
    assert_eq!(number(&database, noted).await?, planned.len() as i64);
    assert_eq!(
        number(&database, "SELECT count(*) FROM later_events").await?,
        0
    );

    // A second time nothing happens, and it says why.
    let again = bulk::load(&plan, &target, OPERATOR, |_| {}).await;
    let told = again.unwrap_err().to_string();
    assert!(told.contains("choose another --day"), "{told}");
    assert_eq!(stored(&database, "%-20260115-%").await?, planned);
    assert_eq!(schema(&database).await?, before);

    // The tables' own rules are back: the functions go on from here as from any other data.
    let next = Plan {
        day: "2026-01-16".parse()?,
        ..Plan::of(60, 1)
    };
    run(&wms, &next, What::DataSet).await?;
    let fail = "INSERT INTO qc_decisions (lot_id, decision, notes)
        SELECT id, 'FAIL', 'recalled by its supplier' FROM lots WHERE lot_code = 'RAW-20260115-FANS-0001'";
    database.batch_execute(fail).await?;
    let status = "SELECT count(*) FROM lots WHERE lot_code LIKE '%-FANS-%' AND status = 'REJECTED'";
    assert_eq!(number(&database, status).await?, 1);
    assert!(
        database
            .batch_execute("DELETE FROM qc_decisions")
            .await
            .is_err()
    );
    let registered = next.steps().filter(|step| step.action == Action::Register);
    let registered = registered.count();
    assert_eq!(stored(&database, "%-20260116-%").await?.len(), registered);
    let events = "SELECT count(*) FROM later_events WHERE entity = 'lots'";
    assert_eq!(number(&database, events).await?, registered as i64);
    Ok(())
}
