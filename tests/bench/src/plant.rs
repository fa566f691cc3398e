//! The plant that is asked: a stack of its own, a day's lots, and a stock that nobody uses up.

use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};
use flowviz_stack::{DatabaseUrl, Options, Stack};
use plant_day::Plan;
use token::Claims;
use tokio::process::Command;
use tokio_postgres::{Client, NoTls, SimpleQueryMessage};
use uuid::Uuid;

use crate::manifest::root;

/// Lots of a plant day: what is read.
const LOTS: u64 = 20_000;
const SEED: u64 = 1;

/// The demonstration data's operator and viewer.
const OPERATOR: Uuid = Uuid::from_u128(2);
const VIEWER: Uuid = Uuid::from_u128(5);

/// Raw lots of 10 t each: the parents of what the mix registers. Finished goods: what its HOLD and FAIL are about, since nobody uses
/// them any further.
const STOCK: &str = "
    INSERT INTO lots (id, lot_code, lot_type, weight_kg, temperature_c, metadata)
    SELECT gen_random_uuid(), kind || '-BENCH-' || n, kind, 10000, 3.0, '{}'
    FROM (VALUES ('RAW', 20000), ('FG', 5000)) AS stock (kind, lots), generate_series(1, lots) AS n
    RETURNING id, lot_code, lot_type";

/// `INSERT INTO` the running day's production run.
const RUN: &str = "
    INSERT INTO production_runs (id, run_code, scenario_id, status)
    SELECT gen_random_uuid(), 'PRD-20260115-BNCH', id, 'ACTIVE' FROM scenarios LIMIT 1
    RETURNING id";

#[derive(Debug)]
pub struct Plant {
    pub stack: Stack,
    pub data: Arc<Data>,
    pub jwt_secret: String,
    /// Past the pooler.
    direct: bool,
    owner: Client,
}

/// What requests are about.
#[derive(Debug)]
pub struct Data {
    /// Codes of a plant day's lots.
    pub lots: Vec<String>,
    pub stock: Vec<Lot>,
    pub goods: Vec<Lot>,
    pub run: Uuid,
}

#[derive(Debug)]
pub struct Lot {
    pub id: Uuid,
    pub code: String,
}

/// Who asks.
#[derive(Clone, Copy, Debug)]
pub enum User {
    Operator,
    Viewer,
}

// === impl Plant ===

impl Plant {
    pub async fn start(host: &Path, direct: bool) -> Result<Self> {
        let stack = Stack::start(Options::temporary()).await?;
        migrate(host, &stack.owner_url()).await?;
        let data = Arc::new(Data::load(&stack.owner_url(), LOTS).await?);
        let owner = connect(&stack.owner_url()).await?;
        Ok(Self {
            stack,
            data,
            jwt_secret: [Uuid::new_v4(), Uuid::new_v4()]
                .map(|half| half.simple().to_string())
                .concat(),
            direct,
            owner,
        })
    }

    /// How both systems connect.
    pub fn database_url(&self) -> DatabaseUrl {
        if self.direct {
            self.stack.app_direct_url()
        } else {
            self.stack.app_url()
        }
    }

    /// A token that holds for half an hour.
    pub fn token(&self, user: User) -> Result<String> {
        user.token(&self.jwt_secret)
    }

    /// Connections of the functions' role that PostgreSQL serves at this moment.
    pub async fn server_connections(&self) -> Result<u64> {
        let count = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'flowviz_app'";
        let count: i64 = self.owner.query_one(count, &[]).await?.get(0);
        Ok(count.unsigned_abs())
    }

    /// PgBouncer lets go of the connections that it keeps for later: what is there afterwards was needed.
    pub async fn forget_server_connections(&self) -> Result<()> {
        let console = connect(&self.stack.pgbouncer_admin_url()).await?;
        console.simple_query("RECONNECT").await?;
        Ok(())
    }

    /// As between two tests: what one of them has written is no work for the next.
    pub async fn tidy(&self) -> Result<()> {
        Ok(self.owner.batch_execute("VACUUM (ANALYZE) lots, lot_genealogy, qc_decisions, audit_events, idempotency_keys").await?)
    }

    pub async fn postgres_version(&self) -> Result<String> {
        Ok(self
            .owner
            .query_one("SHOW server_version", &[])
            .await?
            .get(0))
    }

    pub async fn pgbouncer_version(&self) -> Result<String> {
        let console = connect(&self.stack.pgbouncer_stats_url()).await?;
        let said = console.simple_query("SHOW VERSION").await?;
        let version = said.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        Ok(version.unwrap_or_default().to_owned())
    }
}

async fn migrate(host: &Path, owner_url: &str) -> Result<()> {
    let output = Command::new(host)
        .args(["migrate", "--demo", "--dir"])
        .arg(root().join("infra/postgres/migrations"))
        .env("DATABASE_URL", owner_url)
        .kill_on_drop(true)
        .output()
        .await
        .with_context(|| host.display().to_string())?;
    ensure!(
        output.status.success(),
        "flowviz migrate: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

async fn connect(url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

// === impl Data ===

impl Data {
    /// Loads so many lots of a plant day, and the stock, as the owner of a database that was migrated with the demonstration data.
    pub async fn load(owner_url: &str, lots: u64) -> Result<Self> {
        let plan = Plan::of(lots, SEED);
        plant_day::bulk::load(&plan, &owner_url.parse()?, "operator@flowviz.com", |_| ()).await?;
        let owner = connect(owner_url).await?;
        let (mut stock, mut goods) = (Vec::new(), Vec::new());
        for row in owner.query(STOCK, &[]).await? {
            let lot = Lot {
                id: row.get("id"),
                code: row.get("lot_code"),
            };
            match row.get("lot_type") {
                "RAW" => stock.push(lot),
                _ => goods.push(lot),
            }
        }
        Ok(Self {
            lots: plan.lots().map(|lot| lot.code).collect(),
            stock,
            goods,
            run: owner.query_one(RUN, &[]).await?.get("id"),
        })
    }
}

// === impl User ===

impl User {
    pub fn token(self, jwt_secret: &str) -> Result<String> {
        let (id, role) = match self {
            Self::Operator => (OPERATOR, "OPERATOR"),
            Self::Viewer => (VIEWER, "VIEWER"),
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        Claims::new(id, role, now)
            .sign(jwt_secret)
            .context("no token can be signed")
    }
}
