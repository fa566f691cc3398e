//! The audit trail can't be changed unseen: every acknowledged write has exactly one event, the chain over them has neither gap nor fork
//! however many write at once, nobody may change it, and whoever does so with the owner's rights is found by `flowviz audit verify`,
//! which names the event.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use flowviz_tests::{Reply, User, Wms, artifacts};
use futures::future::try_join_all;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio_postgres::NoTls;

const CLIENTS: usize = 50;

/// What each client writes.
const WRITES: usize = 6;

/// What `flowviz audit verify` said.
#[derive(Debug)]
struct Verified {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// Runs `flowviz audit verify`, without holding up the runtime.
async fn verify(url: &str, args: &[&str]) -> Result<Verified> {
    verify_with(&[("DATABASE_URL", url)], args).await
}

async fn verify_with(environment: &[(&str, &str)], args: &[&str]) -> Result<Verified> {
    let mut command = Command::new(&artifacts().flowviz);
    command
        .args(["audit", "verify"])
        .args(args)
        .env_remove("DATABASE_URL")
        .env_remove("DATABASE_URL_FILE")
        .envs(environment.iter().copied());
    let output = tokio::task::spawn_blocking(move || command.output()).await??;
    Ok(Verified {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}

impl Verified {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// One client's writes: the entities and actions that were acknowledged.
async fn write(user: &User<'_>, n: usize) -> Result<Vec<(String, String)>> {
    let mut written = Vec::new();
    let mut note = |reply: Reply, action: &str| -> Result<String> {
        ensure!(reply.status.is_success(), "{action}: {}", reply.body);
        let id = reply.body["id"].as_str().context("an id")?.to_owned();
        written.push((id.clone(), action.to_owned()));
        Ok(id)
    };
    // Deep, and with what a float would lose, or write in another way.
    let deep = format!("{}1{}", "[".repeat(60), "]".repeat(60));
    let body = format!(
        r#"{{"lot_code":"RAW-{n}","lot_type":"RAW","weight_kg":100,"metadata":{{"n":[1e23,0.10,12345678901234567890.5,-1e-7],"é🥙":{deep},"":"\u001f\ufb33"}}}}"#
    );
    let raw = Reply::to(
        user.wms
            .http
            .post(user.wms.host.url("/api/lots"))
            .bearer_auth(&user.token)
            .header("content-type", "application/json")
            .body(body),
    );
    let raw = note(raw.await?, "lot.registered")?;
    // All of them take from one lot as well.
    let mix = json!({
        "lot_code": format!("MIX-{n}"), "lot_type": "MIX", "weight_kg": 20,
        "parents": [{ "lot_code": "SHARED", "quantity_used_kg": 1 }, { "lot_id": raw, "quantity_used_kg": "19.5" }],
    });
    let mix = note(user.post("/api/lots", mix).await?, "lot.registered")?;
    let skw = json!({ "lot_code": format!("SKW-{n}"), "lot_type": "SKW" });
    let skw = note(user.post("/api/lots", skw).await?, "lot.registered")?;
    let link = json!({ "parent_lot_id": mix, "quantity_used_kg": 5 });
    let link = user.post(&format!("/api/lots/{skw}/parents"), link).await?;
    note(link, "lot.linked")?;
    let change = json!({ "temperature_c": "-1.5" });
    let change = user
        .ask(Method::PATCH, &format!("/api/lots/{raw}"), Some(change))
        .await?;
    note(change, "lot.changed")?;
    let hold = json!({ "lot_id": skw, "decision": "HOLD", "notes": "Probe 3 to be calibrated" });
    note(
        user.post("/api/qc-decisions", hold).await?,
        "decision.recorded",
    )?;
    // What is refused leaves no event.
    user.post("/api/lots", json!({ "lot_code": format!("RAW-{n}") }))
        .await?
        .is_problem(409, "lot-code-taken");
    ensure!(written.len() == WRITES);
    Ok(written)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_acknowledged_write_has_one_event_in_one_chain() -> Result<()> {
    let wms = Wms::start().await?;
    let empty = verify(&wms.stack.app_url(), &[]).await?;
    let zeros = "0".repeat(64);
    assert_eq!(
        (empty.code, empty.stdout),
        (
            Some(0),
            format!("0 events, the chain holds; head {zeros}\n")
        )
    );

    // The address may be in a file, as secrets often are.
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(&file, wms.stack.app_url().to_string() + "\n")?;
    let in_file = ("DATABASE_URL_FILE", file.path().to_str().context("a path")?);
    let verified = verify_with(&[in_file], &[]).await?;
    assert_eq!(verified.code, Some(0), "{verified:?}");
    for (wrong, told) in [
        (vec![], "which database"),
        (vec![in_file, ("DATABASE_URL", "x")], "cannot be used with"),
        (vec![("DATABASE_URL_FILE", "/nowhere")], "No such file"),
    ] {
        let verified = verify_with(&wrong, &[]).await?;
        assert_eq!(verified.code, Some(2), "{verified:?}");
        assert!(verified.stderr.contains(told), "{verified:?}");
        assert!(
            verified.stderr.contains("--database-url-file"),
            "{verified:?}"
        );
    }

    // By the last digit of their demonstration ids.
    let mut users = Vec::new();
    let mut written = Vec::new();
    for (name, digit) in [("admin", 1), ("operator", 2), ("manager", 3)] {
        users.push(User::login(&wms, name).await?);
        let id = format!("00000000-0000-0000-0000-00000000000{digit}");
        written.push((id, "user.logged_in".to_owned()));
    }
    let shared = users[0]
        .lot(json!({ "lot_code": "SHARED", "weight_kg": 1000 }))
        .await?;
    let clients = (0..CLIENTS).map(|n| write(&users[n % users.len()], n));
    // Whoever looks meanwhile sees a chain that holds.
    let looking = async {
        let mut seen = 0;
        for _ in 0..8 {
            let verified = verify(&wms.stack.app_url(), &["--json"]).await?;
            ensure!(verified.code == Some(0), "{verified:?}");
            let events = verified.json()["events"].as_u64().context("a count")?;
            ensure!(events >= seen, "{events} after {seen}");
            seen = events;
        }
        Ok(())
    };
    let (by_clients, looked) = tokio::join!(try_join_all(clients), looking);
    looked?;
    written.extend(by_clients?.concat());
    written.push((shared, "lot.registered".to_owned()));

    let expected = CLIENTS * WRITES + 1 + users.len();
    let mut heads = Vec::new();
    for url in [
        wms.stack.app_url(),
        wms.stack.app_direct_url(),
        wms.stack.owner_url(),
    ] {
        let verified = verify(&url, &[]).await?;
        assert_eq!(verified.code, Some(0), "{verified:?}");
        assert!(
            verified
                .stdout
                .starts_with(&format!("{expected} events, the chain holds; head ")),
            "{verified:?}"
        );
        assert_eq!(verified.stderr, "", "progress is for a terminal only");
        heads.push(verified.stdout);
    }
    assert!(heads.iter().all(|head| *head == heads[0]), "{heads:?}");

    let database = wms.database().await?;
    let rows = database
        .query(
            "SELECT entity_id::text, action, count(*) FROM audit_events GROUP BY 1, 2",
            &[],
        )
        .await?;
    let mut events = Vec::new();
    for row in rows {
        let event: (String, String) = (row.get(0), row.get(1));
        assert_eq!(row.get::<_, i64>(2), 1, "{event:?}");
        events.push(event);
    }
    events.sort();
    written.sort();
    assert_eq!(events, written);
    Ok(())
}

/// A trail that its owner can change as the owner pleases, and have back as it was.
struct Loose {
    owner: tokio_postgres::Client,
    url: String,
    head: String,
}

impl Loose {
    async fn of(wms: &Wms) -> Result<Self> {
        let owner = wms.database().await?;
        owner
            .batch_execute(
                "CREATE TABLE kept_events AS TABLE audit_events;
                 CREATE TABLE kept_chain AS TABLE audit_chain;
                 ALTER TABLE audit_events DISABLE TRIGGER USER;
                 ALTER TABLE audit_chain DISABLE TRIGGER USER;
                 ALTER TABLE audit_chain DROP CONSTRAINT audit_chain_event_id_fkey, DROP CONSTRAINT audit_chain_event_id_key",
            )
            .await?;
        let head = owner
            .query_one(
                "SELECT encode(hash, 'hex') FROM audit_chain ORDER BY seq DESC LIMIT 1",
                &[],
            )
            .await?;
        Ok(Self {
            owner,
            url: wms.stack.app_url().to_string(),
            head: head.get(0),
        })
    }

    /// Changes the trail, asks for a verdict, and puts the trail back.
    async fn after(&self, change: &str, args: &[&str]) -> Result<Verified> {
        self.owner
            .batch_execute(change)
            .await
            .with_context(|| change.to_owned())?;
        let verified = verify(&self.url, args).await?;
        self.owner
            .batch_execute(
                "TRUNCATE audit_events, audit_chain;
                 INSERT INTO audit_events SELECT * FROM kept_events;
                 INSERT INTO audit_chain SELECT * FROM kept_chain",
            )
            .await?;
        Ok(verified)
    }

    /// The event of a link, as a verdict has it.
    async fn event(&self, seq: i64) -> Result<Value> {
        let row = self
            .owner
            .query_one(
                "SELECT (audit_event_json(e) - 'before' - 'after')::text
                 FROM audit_chain c JOIN audit_events e ON e.id = c.event_id WHERE c.seq = $1",
                &[&seq],
            )
            .await?;
        Ok(serde_json::from_str(row.get(0))?)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_changes_the_trail_is_found() -> Result<()> {
    let wms = Wms::start().await?;
    let user = User::login(&wms, "operator").await?;
    user.lot(json!({ "lot_code": "SHARED", "weight_kg": 1000 }))
        .await?;
    for n in 0..3 {
        write(&user, n).await?;
    }
    let trail = Loose::of(&wms).await?;
    // With the login and the shared lot.
    let events = i64::try_from(3 * WRITES + 2)?;
    let untouched = trail.after("SELECT 1", &["--json"]).await?;
    assert_eq!(
        untouched.json(),
        json!({ "holds": true, "events": events, "head": trail.head })
    );

    let at_7 = "id = (SELECT event_id FROM audit_chain WHERE seq = 7)";
    let rehash = "sha256(prev_hash || convert_to(canonical_json(audit_event_json(e)), 'UTF8'))";
    // The change; the fault; the number that is named; whose event that was before.
    for (change, fault, seq, whose) in [
        (
            format!("UPDATE audit_events SET after = jsonb_set(after, '{{status}}', '\"RELEASED\"') WHERE {at_7}"),
            "hash",7,7),
        (
            format!("UPDATE audit_events SET before = '1e-30' WHERE {at_7}"),
            "hash",7,7),
        (
            format!("UPDATE audit_events SET actor_id = '00000000-0000-0000-0000-000000000001' WHERE {at_7}"),
            "hash",7,7),
        (
            format!("UPDATE audit_events SET at = at + interval '1 microsecond' WHERE {at_7}"),
            "hash",7,7),
        // PostgreSQL's own text of this time is that of two thousand years later, and so is its hash.
        (
            format!("UPDATE audit_events SET at = (rfc3339(at) || ' BC')::timestamptz WHERE {at_7}"),
            "hash",7,7),
        (
            "UPDATE audit_chain SET hash = sha256(hash) WHERE seq = 7".to_owned(),
            "hash",7,7),
        (
            "UPDATE audit_chain SET prev_hash = sha256(hash) WHERE seq = 7".to_owned(),
            "prev_hash",7,7),
        // Two links that point at each other's events, or took each other's numbers.
        (
            "UPDATE audit_chain SET event_id = (SELECT event_id FROM audit_chain other WHERE other.seq = 15 - audit_chain.seq)
             WHERE seq IN (7, 8)"
                .to_owned(),
            "hash",7,8),
        (
            "UPDATE audit_chain SET seq = -7 WHERE seq = 7; UPDATE audit_chain SET seq = 7 WHERE seq = 8;
             UPDATE audit_chain SET seq = 8 WHERE seq = -7"
                .to_owned(),
            "prev_hash",7,8),
        // Changed with its hash, but not what follows.
        (
            format!(
                "UPDATE audit_events SET actor_role = 'ADMIN' WHERE {at_7};
                 UPDATE audit_chain c SET hash = {rehash} FROM audit_events e WHERE e.id = c.event_id AND c.seq = 7"
            ),
            "prev_hash",8,8),
        (
            "UPDATE audit_chain SET seq = 0 WHERE seq = 1".to_owned(),
            "order",0,1),
    ] {
        let expected = trail.event(whose).await?;
        let verified = trail.after(&change, &["--json"]).await?;
        assert_eq!(verified.code, Some(1), "{change}: {verified:?}");
        let verdict = verified.json();
        let broken = &verdict["broken"];
        assert_eq!(
            (&broken["fault"], &broken["seq"]),
            (&json!(fault), &json!(seq)),
            "{change}: {verdict}"
        );
        assert_eq!(verdict["holds"], false);
        assert_eq!(verdict["events"], (seq - 1).max(0), "{change}: {verdict}");
        for field in ["id", "action", "entity", "entity_id"] {
            assert_eq!(broken["event"][field], expected[field], "{change}: {verdict}");
        }
        let moved = change.contains("SET at = ");
        assert_eq!(broken["event"]["at"] != expected["at"], moved, "{change}: {verdict}");
    }

    // For people: all of it in a line, and what still holds in the next.
    let event = trail.event(7).await?;
    let told = trail
        .after(
            &format!("UPDATE audit_events SET actor_role = 'ADMIN' WHERE {at_7}"),
            &[],
        )
        .await?;
    let text = |field: &str| event[field].as_str().unwrap_or_default().to_owned();
    let start = format!(
        "broken at seq 7 (event {}, at {}, {} of {} {}): the event is not what was hashed",
        text("id"),
        text("at"),
        text("action"),
        text("entity"),
        text("entity_id")
    );
    assert!(told.stdout.starts_with(&start), "{told:?} / {start}");
    assert!(
        told.stdout
            .contains("\n6 events hold; the last one's hash ")
    );
    assert_eq!((told.code, told.stderr.as_str()), (Some(1), ""));

    // What is missing, and what is too much.
    let removed = trail
        .after(
            &format!("DELETE FROM audit_events WHERE {at_7}"),
            &["--json"],
        )
        .await?;
    let broken = &removed.json()["broken"];
    assert_eq!(
        (&broken["fault"], &broken["seq"], &broken["event"]["id"]),
        (&json!("no_event"), &json!(7), &event["id"])
    );
    for (seq, number) in [(7, json!(7)), (events, Value::Null)] {
        let event = trail.event(seq).await?;
        let unlinked = trail
            .after(
                &format!("DELETE FROM audit_chain WHERE seq = {seq}"),
                &["--json"],
            )
            .await?;
        let broken = &unlinked.json()["broken"];
        assert_eq!(
            (&broken["fault"], &broken["seq"], &broken["event"]),
            (&json!("no_link"), &number, &event)
        );
    }
    let both = "DELETE FROM audit_events WHERE id = (SELECT event_id FROM audit_chain WHERE seq = 7); DELETE FROM audit_chain WHERE seq = 7";
    let both = trail.after(both, &["--json"]).await?;
    let broken = &both.json()["broken"];
    assert_eq!(
        (&broken["fault"], &broken["seq"], &broken["event"]),
        (&json!("gap"), &json!(7), &trail.event(8).await?)
    );
    let slipped = "INSERT INTO audit_events (id, action, entity, entity_id)
        VALUES ('00000000-0000-0000-0000-00000000dead', 'lot.changed', 'lot', '00000000-0000-0000-0000-00000000beef')";
    let slipped = trail.after(slipped, &["--json"]).await?;
    let broken = &slipped.json()["broken"];
    assert_eq!(
        (&broken["fault"], &broken["event"]["id"]),
        (
            &json!("no_link"),
            &json!("00000000-0000-0000-0000-00000000dead")
        )
    );
    // A second link to an event that has one.
    let twice = "INSERT INTO audit_chain SELECT seq + 1, event_id, hash, sha256(hash || convert_to(canonical_json(audit_event_json(e)), 'UTF8'))
        FROM audit_chain c JOIN audit_events e ON e.id = c.event_id ORDER BY seq DESC LIMIT 1";
    let twice = trail.after(twice, &["--json"]).await?;
    assert_eq!(twice.json()["broken"]["fault"], "strays", "{twice:?}");

    // A cut end leaves a chain that holds: only who has noted its head can tell.
    let cut = format!(
        "DELETE FROM audit_events WHERE id IN (SELECT event_id FROM audit_chain WHERE seq > {0}); DELETE FROM audit_chain WHERE seq > {0}",
        events - 2
    );
    let unseen = trail.after(&cut, &[]).await?;
    assert_eq!(unseen.code, Some(0), "{unseen:?}");
    let noted = ["--json", "--expect-head", &trail.head];
    let seen = trail.after(&cut, &noted).await?;
    assert_eq!(
        (seen.code, &seen.json()["broken"]["fault"]),
        (Some(1), &json!("noted_gone")),
        "{seen:?}"
    );
    let at_least = events.to_string();
    let at_least = ["--json", "--expect-at-least", &at_least];
    let seen = trail.after(&cut, &at_least).await?;
    assert_eq!(
        (seen.code, &seen.json()["broken"]["fault"]),
        (Some(1), &json!("short")),
        "{seen:?}"
    );
    // So does a chain that was made anew as a whole.
    let anew = format!(
        "UPDATE audit_events SET actor_role = 'ADMIN' WHERE {at_7};
         DO $$
         DECLARE last bytea; link record;
         BEGIN
             SELECT prev_hash INTO last FROM audit_chain WHERE seq = 7;
             FOR link IN SELECT seq, event_id FROM audit_chain WHERE seq >= 7 ORDER BY seq LOOP
                 UPDATE audit_chain c
                 SET prev_hash = last, hash = sha256(last || convert_to(canonical_json(audit_event_json(e)), 'UTF8'))
                 FROM audit_events e
                 WHERE c.seq = link.seq AND e.id = link.event_id
                 RETURNING c.hash INTO last;
             END LOOP;
         END $$"
    );
    assert_eq!(trail.after(&anew, &[]).await?.code, Some(0));
    assert_eq!(trail.after(&anew, &noted).await?.code, Some(1));

    // A note from earlier is as good: the chain has only grown.
    let earlier: String = trail
        .owner
        .query_one(
            "SELECT encode(hash, 'hex') FROM audit_chain WHERE seq = 5",
            &[],
        )
        .await?
        .get(0);
    let sound = ["--expect-head", &earlier, "--expect-at-least", "5"];
    assert_eq!(trail.after("SELECT 1", &sound).await?.code, Some(0));
    Ok(())
}

#[tokio::test]
async fn what_can_not_be_checked_is_said_in_a_line() -> Result<()> {
    let wms = Wms::start().await?;
    let owner = wms.database().await?;
    let asked = async |url: &str, args: &[&str]| -> Result<String> {
        let verified = verify(url, args).await?;
        assert_eq!(verified.code, Some(2), "{verified:?}");
        assert_eq!(verified.stdout, "");
        assert!(!verified.stderr.contains("s3cret"), "{verified:?}");
        Ok(verified.stderr)
    };
    let nowhere = asked("postgres://app:s3cret@127.0.0.1:1/flowviz", &[]).await?;
    assert!(
        nowhere.starts_with("error: can't connect to the database at 127.0.0.1:1: "),
        "{nowhere}"
    );
    assert_eq!(nowhere.lines().count(), 1, "{nowhere}");
    let no_url = asked("postgres://app:s3cret@127.0.0.1:port/flowviz", &[]).await?;
    assert_eq!(
        no_url,
        "error: the database's connection string is not a valid one\n"
    );
    asked(
        "postgres://app:s3cret@127.0.0.1:1/flowviz",
        &["--expect-head", "0"],
    )
    .await?;

    owner
        .batch_execute("ALTER TABLE audit_chain RENAME TO hidden")
        .await?;
    let url = wms.stack.app_url().to_string();
    assert_eq!(
        asked(&url, &[]).await?,
        "error: this database has no audit trail: `flowviz migrate` makes it\n"
    );
    owner
        .batch_execute(
            "ALTER TABLE hidden RENAME TO audit_chain;
             ALTER TABLE audit_events ENABLE ROW LEVEL SECURITY;
             CREATE POLICY nothing_to_see ON audit_events FOR SELECT USING (false)",
        )
        .await?;
    let hidden = asked(&url, &[]).await?;
    assert!(hidden.contains("row-level security"), "{hidden}");
    Ok(())
}

#[tokio::test]
async fn nobody_changes_what_was_recorded() -> Result<()> {
    let wms = Wms::start().await?;
    let user = User::login(&wms, "operator").await?;
    let lot = user.lot(json!({ "lot_code": "RAW-1" })).await?;
    let decision = json!({ "lot_id": lot, "decision": "PASS" });
    let decided = user.post("/api/qc-decisions", decision).await?;
    assert_eq!(decided.status, StatusCode::CREATED);

    let (app, connection) = tokio_postgres::connect(&wms.stack.app_direct_url(), NoTls).await?;
    tokio::spawn(connection);
    let owner = wms.database().await?;
    let code = async |client: &tokio_postgres::Client, statement: &str| -> String {
        match client.batch_execute(statement).await {
            Ok(()) => "done".to_owned(),
            Err(error) => error.code().map_or("?", |code| code.code()).to_owned(),
        }
    };
    let (denied, append_only) = ("42501", "23001");
    for (table, column) in [
        ("qc_decisions", "notes"),
        ("audit_events", "actor_role"),
        ("audit_chain", "hash"),
    ] {
        let value = if column == "hash" {
            "sha256(hash)"
        } else {
            "'x'"
        };
        for statement in [
            format!("UPDATE {table} SET {column} = {value}"),
            format!("DELETE FROM {table}"),
            format!("TRUNCATE {table} CASCADE"),
            // Not even where there is nothing to change.
            format!("UPDATE {table} SET {column} = {value} WHERE false"),
            format!("DELETE FROM {table} WHERE false"),
        ] {
            assert_eq!(code(&app, &statement).await, denied, "{statement}");
            assert_eq!(code(&owner, &statement).await, append_only, "{statement}");
        }
        for statement in [
            format!("ALTER TABLE {table} DISABLE TRIGGER ALL"),
            format!("DROP TABLE {table} CASCADE"),
            format!("DROP TRIGGER {table}_append_only ON {table}"),
            format!("SELECT FROM {table} FOR UPDATE"),
        ] {
            assert_eq!(code(&app, &statement).await, denied, "{statement}");
        }
    }
    for statement in [
        "INSERT INTO audit_chain SELECT seq + 1, gen_random_uuid(), hash, hash FROM audit_chain ORDER BY seq DESC LIMIT 1",
        "SET session_replication_role = replica",
        "CREATE TEMPORARY TABLE audit_chain (LIKE public.audit_chain)",
        "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
        "CREATE OR REPLACE FUNCTION audit_chain_append() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$",
    ] {
        assert_eq!(code(&app, statement).await, denied, "{statement}");
    }

    // The functions' role may add events, and can't keep one out of the chain, or change its mind about when.
    let event = "INSERT INTO audit_events (action, entity, entity_id) VALUES ('lot.changed', 'lot', gen_random_uuid())";
    for statement in [
        event.to_owned(),
        format!("BEGIN; SET CONSTRAINTS ALL IMMEDIATE; {event}; {event}; COMMIT"),
        format!("BEGIN; {event}; SAVEPOINT s; {event}; ROLLBACK TO s; COMMIT"),
    ] {
        assert_eq!(code(&app, &statement).await, "done", "{statement}");
    }
    // Who reads an older state can't write a fork.
    let stale = format!("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM audit_chain; {event}");
    assert_eq!(code(&app, &stale).await, "done");
    // A table of one's own with the chain's name takes nothing from it.
    let shadow = format!("CREATE TEMPORARY TABLE audit_chain (LIKE public.audit_chain); {event}");
    assert_eq!(code(&owner, &shadow).await, "done");
    assert_eq!(code(&app, "COMMIT").await, "23505");
    let verified = verify(&wms.stack.app_url(), &["--expect-at-least", "8"]).await?;
    assert_eq!(verified.code, Some(0), "{verified:?}");
    assert!(verified.stdout.starts_with("8 events, "), "{verified:?}");
    Ok(())
}
