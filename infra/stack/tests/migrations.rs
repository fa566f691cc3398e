//! The migrations and the module that applies them, against a real PostgreSQL: each is applied once, whatever doesn't fit is refused,
//! an existing database ends up as a fresh one does, decisions can't be changed by anybody, and the functions' role
//! may do what it must and no more.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

// The module by itself: as a part of the host it would bring the whole runtime with it.
#[allow(unused_imports, reason = "what the rest of the host takes from there")]
#[path = "../../../host/src/migrate/mod.rs"]
mod migrate;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use flowviz_stack::{Options as StackOptions, Stack};
use migrate::{Demo, MigrateError, Options, Report};
use tempfile::TempDir;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};

const ADMIN: &str = "00000000-0000-0000-0000-000000000001";
const BEEF: &str = "11111111-1111-1111-1111-111111111101";

async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// All the rows, columns joined by `|`.
async fn rows(client: &Client, sql: &str) -> Vec<String> {
    let messages = client.simple_query(sql).await.unwrap();
    messages
        .iter()
        .filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => {
                let cells = (0..row.len()).map(|cell| row.get(cell).unwrap_or("NULL"));
                Some(cells.collect::<Vec<_>>().join("|"))
            }
            _ => None,
        })
        .collect()
}

/// The SQLSTATE of a statement that must fail.
async fn refused(client: &Client, sql: &str) -> String {
    let error = client.batch_execute(sql).await.expect_err(sql);
    error.code().expect(sql).code().to_owned()
}

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(migrate::DEFAULT_DIR)
}

async fn migrate(url: &str, dir: &Path) -> Result<Report, MigrateError> {
    migrate::run(Options {
        database_url: url.to_owned(),
        dir: dir.to_owned(),
        demo: None,
    })
    .await
}

async fn migrate_with_demo(url: &str, password: Option<&str>) -> Report {
    let demo = Demo {
        password: password.map(str::to_owned),
        ..Demo::from_env(&shipped())
    };
    let options = Options {
        database_url: url.to_owned(),
        dir: shipped(),
        demo: Some(demo),
    };
    migrate::run(options).await.unwrap()
}

/// The error as the command prints it, with its chain of causes; each is told once.
fn said(error: &MigrateError) -> String {
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let reason = error.to_string();
        assert!(!said.contains(&reason), "twice: {said}: {reason}");
        said = format!("{said}: {reason}");
        cause = error.source();
    }
    said
}

/// A directory with these files.
fn files(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, sql) in files {
        std::fs::write(dir.path().join(name), sql).unwrap();
    }
    dir
}

#[tokio::test]
async fn each_migration_is_applied_once_even_if_two_start_at_the_same_time() {
    let stack = Stack::start(StackOptions::temporary()).await.unwrap();
    let (url, dir) = (stack.owner_url(), shipped());
    let (one, other) = tokio::join!(migrate(&url, &dir), migrate(&url, &dir));
    let (one, other) = (one.unwrap(), other.unwrap());
    let count = std::fs::read_dir(&dir).unwrap().count();
    assert_eq!(one.applied.len() + other.applied.len(), count);
    assert!(one.applied.is_empty() || other.applied.is_empty());

    let again = migrate(&url, &dir).await.unwrap();
    assert!(again.applied.is_empty());
    assert!(again.to_string().starts_with("nothing to do"), "{again}");
    let owner = connect(&url).await;
    assert_eq!(
        rows(&owner, "SELECT FROM schema_migrations").await.len(),
        count
    );
}

#[tokio::test]
async fn whatever_does_not_fit_is_refused_with_one_clear_sentence() {
    let stack = Stack::start(StackOptions::temporary()).await.unwrap();
    let url = stack.owner_url();
    let message = async |dir: &TempDir| said(&migrate(&url, dir.path()).await.unwrap_err());
    let first = ("0001_first.sql", "CREATE TABLE first (id int);");
    let third = ("0003_third.sql", "CREATE TABLE third (id int);");
    migrate(&url, files(&[first, third]).path()).await.unwrap();

    let absent = files(&[]).path().join("absent");
    let absent = said(&migrate(&url, &absent).await.unwrap_err());
    assert!(absent.contains("absent: No such file"), "{absent}");
    let owner = connect(&url).await;
    let role = "CREATE ROLE stranger LOGIN PASSWORD 'stranger'; GRANT CONNECT ON DATABASE flowviz TO stranger";
    owner.batch_execute(role).await.unwrap();
    let (_, address) = url.split_once('@').unwrap();
    let stranger = format!("postgres://stranger:stranger@{address}");
    owner
        .batch_execute("ALTER TABLE schema_migrations RENAME TO hidden")
        .await
        .unwrap();
    let denied = said(&migrate(&stranger, &shipped()).await.unwrap_err());
    assert!(
        denied.contains("permission denied for schema public"),
        "{denied}"
    );
    owner
        .batch_execute("ALTER TABLE hidden RENAME TO schema_migrations")
        .await
        .unwrap();

    let changed = message(&files(&[
        ("0001_first.sql", "CREATE TABLE first (id bigint);"),
        third,
    ]))
    .await;
    assert!(
        changed.contains("0001_first.sql has been changed"),
        "{changed}"
    );
    let late = message(&files(&[first, ("0002_late.sql", "SELECT 1"), third])).await;
    assert!(late.contains("0002_late.sql comes before 0003"), "{late}");
    let gone = message(&files(&[first])).await;
    assert!(gone.contains("0003 third is applied"), "{gone}");
    let twice = message(&files(&[first, third, ("0003_other.sql", "SELECT 1")])).await;
    assert!(
        twice.contains("0003_other.sql and 0003_third.sql"),
        "{twice}"
    );

    // By position, where the parser knows it; by counting, where a constraint fails while running.
    let unknown = (
        "0004_unknown.sql",
        "-- ő; why\nCREATE TABLE fourth (id int);\n\nSELECT nothing\nFROM fourth;\n",
    );
    let error = message(&files(&[first, third, unknown])).await;
    assert!(error.starts_with("0004_unknown.sql, line 4: "), "{error}");
    assert!(
        error.contains("SQLSTATE 42703") && error.contains("nothing"),
        "{error}"
    );
    let constraint = (
        "0004_constraint.sql",
        "CREATE TABLE fourth (id int PRIMARY KEY);\nDO $$ BEGIN NULL; END $$;\nINSERT INTO fourth\nVALUES (1), (1);\n",
    );
    let error = message(&files(&[first, third, constraint])).await;
    assert!(
        error.starts_with("0004_constraint.sql, line 3: "),
        "{error}"
    );
    assert!(
        error.contains("SQLSTATE 23505") && error.contains("(id)=(1)"),
        "{error}"
    );
    let owner = connect(&url).await;
    assert_eq!(
        rows(&owner, "SELECT to_regclass('fourth')").await,
        ["NULL"],
        "rolled back"
    );

    let commits = ("0004_commits.sql", "SELECT 1; COMMIT; SELECT 2");
    let error = message(&files(&[first, third, commits])).await;
    assert!(
        error.contains("0004_commits.sql ends its transaction"),
        "{error}"
    );

    let pooler = migrate(&stack.app_url(), &shipped()).await.unwrap_err();
    assert!(matches!(pooler, MigrateError::Pooler { .. }), "{pooler}");
    let wrong = migrate("postgres://flowviz:hunter2@127.0.0.1:1/flowviz", &shipped())
        .await
        .unwrap_err();
    assert!(wrong.to_string().contains("127.0.0.1:1"), "{wrong}");
    for text in [wrong.to_string(), format!("{wrong:?}"), pooler.to_string()] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[tokio::test]
async fn an_existing_database_ends_up_as_a_fresh_one_does() {
    let stack = Stack::start(StackOptions::temporary()).await.unwrap();
    let url = stack.owner_url();
    migrate(&url, &shipped()).await.unwrap();
    let owner = connect(&url).await;
    let fresh = shape(&owner).await;

    owner
        .batch_execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        .await
        .unwrap();
    owner.batch_execute(EXISTING_DATABASE).await.unwrap();
    migrate(&url, &shipped()).await.unwrap();
    let taken_over = shape(&owner).await;
    let missing: Vec<_> = fresh.difference(&taken_over).collect();
    let left_over: Vec<_> = taken_over.difference(&fresh).collect();
    assert!(
        missing.is_empty() && left_over.is_empty(),
        "{missing:#?} {left_over:#?}"
    );

    let lot = "SELECT lot_code, weight_kg, temperature_c, updated_at = created_at, metadata->>'supplier' FROM lots";
    assert_eq!(rows(&owner, lot).await, ["OLD-1|12.35|3.1|t|SUP-A"]);
    assert_eq!(
        rows(&owner, "SELECT count(*) FROM qc_decisions").await,
        ["1"]
    );
    // A new account needs no row in the other schema any more.
    owner
        .batch_execute("INSERT INTO users (email) VALUES ('new@flowviz.com')")
        .await
        .unwrap();
}

/// Every column, index, constraint, trigger and grant of the schema.
async fn shape(client: &Client) -> BTreeSet<String> {
    rows(
        client,
        "SELECT 'column', table_name, concat_ws(' ', column_name, data_type, numeric_precision, numeric_scale, is_nullable, column_default)
         FROM information_schema.columns WHERE table_schema = 'public'
         UNION ALL SELECT 'index', tablename, indexdef FROM pg_indexes WHERE schemaname = 'public'
         UNION ALL SELECT 'constraint', conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = 'public'::regnamespace
         UNION ALL SELECT 'trigger', tgrelid::regclass::text, pg_get_triggerdef(oid) || tgenabled::text FROM pg_trigger WHERE NOT tgisinternal
         UNION ALL SELECT 'grant', table_name, privilege_type FROM information_schema.role_table_grants WHERE grantee = 'flowviz_app'",
    )
    .await
    .into_iter()
    .collect()
}

#[tokio::test]
async fn reference_and_demonstration_data_are_as_agreed() {
    let stack = Stack::start(StackOptions::temporary()).await.unwrap();
    let url = stack.owner_url();
    let first = migrate_with_demo(&url, None).await;
    let owner = connect(&url).await;

    let gates = rows(
        &owner,
        "SELECT gate_number, is_ccp, min_c, max_c FROM qc_gates ORDER BY gate_number",
    )
    .await;
    assert_eq!(
        gates,
        [
            "1|f|0.0|4.0",
            "3|f|NULL|NULL",
            "4|f|NULL|NULL",
            "5|f|NULL|NULL",
            "6|f|NULL|NULL",
            "6.5|f|NULL|NULL",
            "7|t|NULL|-18.0",
            "8|f|NULL|NULL",
        ]
    );
    let phases = rows(
        &owner,
        "SELECT phase_number, stream_key, gate_number, lot_type FROM phases
         LEFT JOIN streams ON streams.id = stream_id LEFT JOIN qc_gates ON qc_gates.id = qc_gate_id ORDER BY 1",
    )
    .await;
    assert_eq!(
        phases,
        [
            "0|NULL|NULL|NULL",
            "1|A|1|RAW",
            "2|A|3|DEB",
            "3|A|4|BULK",
            "4|B|5|MIX",
            "5|B|6|SKW",
            "6|B|6.5|SKW",
            "7|C|7|FRZ",
            "8|C|8|FG",
            "9|C|8|NULL",
            "10|C|NULL|NULL",
        ]
    );
    for table in ["scenarios", "streams", "qc_gates", "phases"] {
        let named = format!("SELECT count(*) FROM {table} WHERE NOT (name ? 'hu' AND name ? 'en')");
        assert_eq!(rows(&owner, &named).await, ["0"], "{table}");
    }

    let links = rows(
        &owner,
        "SELECT p.lot_code, c.lot_code, quantity_used_kg FROM lot_genealogy
         JOIN lots p ON p.id = parent_lot_id JOIN lots c ON c.id = child_lot_id ORDER BY 1, 2",
    )
    .await;
    assert_eq!(
        links,
        [
            "MIX-BATCH-88|FG-DONER-X1|530.00",
            "RAW-BEEF-001|MIX-BATCH-88|500.00",
            "RAW-SPICE-001|MIX-BATCH-88|40.00"
        ]
    );
    let users = rows(&owner, "SELECT email, role FROM users ORDER BY id").await;
    assert_eq!(
        users,
        [
            "admin@flowviz.com|ADMIN",
            "operator@flowviz.com|OPERATOR",
            "manager@flowviz.com|MANAGER",
            "auditor@flowviz.com|AUDITOR",
            "viewer@flowviz.com|VIEWER",
        ]
    );

    let hashes = "SELECT password_hash FROM users ORDER BY id";
    let generated = rows(&owner, hashes).await;
    let first = first.to_string();
    for (hash, user) in generated.iter().zip(&users) {
        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        let email = user.split('|').next().unwrap();
        let line = first
            .lines()
            .find(|line| line.trim_start().starts_with(email))
            .expect("shown");
        let password = line.split_whitespace().nth(1).unwrap();
        assert!(password.len() >= 16 && verifies(password, hash), "{email}");
    }

    let second = migrate_with_demo(&url, None).await.to_string();
    for line in first.lines().filter(|line| line.contains("@flowviz.com")) {
        let mut words = line.split_whitespace();
        let (email, password) = (words.next().unwrap(), words.next().unwrap());
        assert!(
            second.contains(email) && !second.contains(password),
            "shown once: {second}"
        );
    }
    assert_eq!(rows(&owner, hashes).await, generated);
    let chosen = migrate_with_demo(&url, Some("correct horse"))
        .await
        .to_string();
    assert!(!chosen.contains("correct horse"), "{chosen}");
    for user in &users {
        let email = user.split('|').next().unwrap();
        assert!(
            chosen.lines().any(|line| line.trim() == email),
            "{email}: {chosen}"
        );
    }
    for hash in rows(&owner, hashes).await {
        assert!(verifies("correct horse", &hash));
    }
    assert_eq!(rows(&owner, "SELECT count(*) FROM lots").await, ["4"]);
}

fn verifies(password: &str, hash: &str) -> bool {
    use argon2::{PasswordHash, PasswordVerifier};
    let hash = PasswordHash::new(hash).unwrap();
    argon2::Argon2::default()
        .verify_password(password.as_bytes(), &hash)
        .is_ok()
}

#[tokio::test]
async fn the_functions_role_may_do_what_it_must_and_nobody_changes_a_decision() {
    let stack = Stack::start(StackOptions::temporary()).await.unwrap();
    migrate_with_demo(&stack.owner_url(), None).await;
    let app = connect(&stack.app_url()).await;
    let owner = connect(&stack.owner_url()).await;

    for allowed in [
        format!("UPDATE users SET last_login = now() WHERE id = '{ADMIN}'"),
        "INSERT INTO users (email, role) VALUES ('somebody@flowviz.com', 'VIEWER')".to_owned(),
        "INSERT INTO production_runs (run_code) VALUES ('PRD-20260101-0001')".to_owned(),
        "UPDATE production_runs SET status = 'COMPLETED', ended_at = now()".to_owned(),
        "INSERT INTO lots (lot_code, lot_type, weight_kg) VALUES ('NEW-1', 'MIX', 10)".to_owned(),
        "UPDATE lots SET weight_kg = 11 WHERE lot_code = 'NEW-1'".to_owned(),
        "INSERT INTO lot_genealogy (parent_lot_id, child_lot_id, quantity_used_kg)
         SELECT p.id, c.id, 1 FROM lots p, lots c WHERE p.lot_code = 'RAW-SPICE-001' AND c.lot_code = 'NEW-1'"
            .to_owned(),
        format!("INSERT INTO qc_decisions (lot_id, decision) VALUES ('{BEEF}', 'PASS')"),
        "SELECT * FROM scenarios, streams, qc_gates, phases".to_owned(),
    ] {
        app.batch_execute(&allowed).await.unwrap_or_else(|error| panic!("{allowed}: {error:?}"));
    }

    const NO_PRIVILEGE: &str = "42501";
    for forbidden in [
        "UPDATE qc_decisions SET decision = 'FAIL'",
        "DELETE FROM qc_decisions",
        "TRUNCATE qc_decisions",
        "DELETE FROM lots",
        "DELETE FROM users",
        "UPDATE lot_genealogy SET quantity_used_kg = 0",
        "UPDATE qc_gates SET max_c = 100",
        "DELETE FROM schema_migrations",
        "ALTER TABLE qc_decisions DISABLE TRIGGER ALL",
        "CREATE TABLE mine (id int)",
    ] {
        assert_eq!(refused(&app, forbidden).await, NO_PRIVILEGE, "{forbidden}");
    }

    const APPEND_ONLY: &str = "23001";
    for change in [
        "UPDATE qc_decisions SET notes = 'better so'",
        "DELETE FROM qc_decisions",
        "DELETE FROM qc_decisions WHERE false",
        "TRUNCATE qc_decisions",
        "TRUNCATE lots CASCADE",
    ] {
        assert_eq!(refused(&owner, change).await, APPEND_ONLY, "{change}");
    }
    assert_eq!(
        rows(&owner, "SELECT decision, notes FROM qc_decisions").await,
        ["PASS|NULL"]
    );

    const UNIQUE: &str = "23505";
    let twice = "INSERT INTO users (email) VALUES ('ADMIN@flowviz.com')";
    assert_eq!(refused(&app, twice).await, UNIQUE);
}

/// The database as the older backend's `init.sql` made it: with a mock `auth` schema, integer gate numbers, unlimited decimals,
/// nothing but primary and unique keys, and some rows.
const EXISTING_DATABASE: &str = r#"
CREATE SCHEMA auth;
CREATE TABLE auth.users (id uuid PRIMARY KEY, email text UNIQUE, encrypted_password text, created_at timestamptz DEFAULT now());
CREATE TABLE users (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid() REFERENCES auth.users (id), email text NOT NULL, full_name text,
    role text NOT NULL DEFAULT 'VIEWER' CHECK (role IN ('ADMIN', 'MANAGER', 'AUDITOR', 'OPERATOR', 'VIEWER')),
    created_at timestamptz DEFAULT now(), last_login timestamptz);
CREATE TABLE scenarios (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name jsonb NOT NULL, version text NOT NULL, config jsonb DEFAULT '{}',
    i18n jsonb DEFAULT '{}', is_active boolean DEFAULT false, created_at timestamptz DEFAULT now());
CREATE TABLE streams (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), scenario_id uuid REFERENCES scenarios (id) ON DELETE CASCADE,
    stream_key text NOT NULL CHECK (stream_key IN ('A', 'B', 'C')), name jsonb NOT NULL, color text NOT NULL, sort_order integer NOT NULL);
CREATE TABLE qc_gates (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), scenario_id uuid REFERENCES scenarios (id) ON DELETE CASCADE,
    gate_number integer NOT NULL, name jsonb NOT NULL, gate_type text CHECK (gate_type IN ('CHECKPOINT', 'BLOCKING', 'INFO')),
    is_ccp boolean DEFAULT false, checklist jsonb DEFAULT '[]');
CREATE TABLE phases (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), scenario_id uuid REFERENCES scenarios (id) ON DELETE CASCADE,
    stream_id uuid REFERENCES streams (id), qc_gate_id uuid REFERENCES qc_gates (id), phase_number integer NOT NULL,
    name jsonb NOT NULL, description jsonb NOT NULL);
CREATE TABLE production_runs (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), run_code text UNIQUE NOT NULL, scenario_id uuid REFERENCES scenarios (id),
    operator_id uuid REFERENCES users (id), status text DEFAULT 'ACTIVE' CHECK (status IN ('ACTIVE', 'COMPLETED', 'CANCELLED')),
    daily_target_kg decimal, started_at timestamptz DEFAULT now(), ended_at timestamptz, summary jsonb);
CREATE TABLE lots (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), lot_code text UNIQUE NOT NULL,
    lot_type text CHECK (lot_type IN ('RAW', 'DEB', 'BULK', 'MIX', 'SKW', 'FRZ', 'FG')),
    production_run_id uuid REFERENCES production_runs (id), phase_id uuid REFERENCES phases (id), operator_id uuid REFERENCES users (id),
    weight_kg decimal, temperature_c decimal, metadata json DEFAULT '{}', created_at timestamptz DEFAULT now());
CREATE TABLE lot_genealogy (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), parent_lot_id uuid REFERENCES lots (id), child_lot_id uuid REFERENCES lots (id),
    quantity_used_kg decimal, linked_at timestamptz DEFAULT now());
CREATE TABLE qc_decisions (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(), lot_id uuid REFERENCES lots (id), qc_gate_id uuid REFERENCES qc_gates (id),
    operator_id uuid REFERENCES users (id), decision text CHECK (decision IN ('PASS', 'HOLD', 'FAIL')), notes text,
    temperature_c decimal, digital_signature text, decided_at timestamptz DEFAULT now());
INSERT INTO auth.users (id, email) VALUES ('00000000-0000-0000-0000-000000000001', 'admin@flowviz.com');
INSERT INTO users (id, email, role) VALUES ('00000000-0000-0000-0000-000000000001', 'admin@flowviz.com', 'ADMIN');
INSERT INTO lots (id, lot_code, weight_kg, temperature_c, metadata, created_at)
VALUES ('99999999-0000-0000-0000-000000000001', 'OLD-1', 12.345, 3.14, '{"supplier": "SUP-A"}', '2024-01-01');
INSERT INTO qc_decisions (lot_id, decision) VALUES ('99999999-0000-0000-0000-000000000001', 'PASS');
"#;
