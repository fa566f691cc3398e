//! Demonstration data for `make up` and tests: five users, one for each role, and a small genealogy. Loading it again changes nothing.

use std::fmt;
use std::path::{Path, PathBuf};

use argon2::password_hash::rand_core::OsRng;
use argon2::password_hash::{PasswordHash, PasswordHasher, PasswordVerifier, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use tokio_postgres::Client;
use uuid::Uuid;

use super::error::MigrateError;
use super::execute_file;

/// One password for all the demonstration users, instead of a generated one for each.
pub const PASSWORD_VARIABLE: &str = "FLOWVIZ_DEMO_PASSWORD";

/// Argon2id as OWASP advises it at the least: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19_456;
const PASSES: u32 = 2;
const LANES: u32 = 1;

const GENERATED_LENGTH: usize = 20;

struct User {
    id: Uuid,
    email: &'static str,
    full_name: &'static str,
    role: &'static str,
}

const USERS: [User; 5] = [
    user(1, "admin@flowviz.com", "System Admin", "ADMIN"),
    user(2, "operator@flowviz.com", "John Operator", "OPERATOR"),
    user(3, "manager@flowviz.com", "Mary Manager", "MANAGER"),
    user(4, "auditor@flowviz.com", "Anna Auditor", "AUDITOR"),
    user(5, "viewer@flowviz.com", "Victor Viewer", "VIEWER"),
];

const fn user(
    number: u128,
    email: &'static str,
    full_name: &'static str,
    role: &'static str,
) -> User {
    User {
        id: Uuid::from_u128(number),
        email,
        full_name,
        role,
    }
}

pub struct Demo {
    /// `demo.sql`.
    pub sql: PathBuf,
    /// For all the users, whatever theirs was; `None` generates one for each user that has none.
    pub password: Option<String>,
}

/// What was loaded. `Display` shows the users, with the passwords that were generated: those are kept nowhere else.
pub struct DemoReport {
    /// By email, each with the password that was generated for it now.
    users: Vec<(&'static str, Option<String>)>,
    chosen: bool,
}

// === impl Demo ===

impl Demo {
    /// `demo.sql` lies beside the directory of the migrations; the password comes from `FLOWVIZ_DEMO_PASSWORD`, if that is set.
    pub fn from_env(migrations: &Path) -> Self {
        Self {
            sql: migrations.with_file_name("demo.sql"),
            password: std::env::var(PASSWORD_VARIABLE)
                .ok()
                .filter(|password| !password.is_empty()),
        }
    }

    pub(super) async fn load(&self, client: &mut Client) -> Result<DemoReport, MigrateError> {
        let sql = std::fs::read_to_string(&self.sql).map_err(|error| MigrateError::File {
            path: self.sql.clone(),
            error,
        })?;
        let transaction = client.transaction().await?;
        let mut users = Vec::with_capacity(USERS.len());
        for user in &USERS {
            transaction
                .execute(
                    "INSERT INTO users (id, email, full_name, role) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
                    &[&user.id, &user.email, &user.full_name, &user.role],
                )
                .await?;
            let current: Option<String> = match transaction
                .query_opt("SELECT password_hash FROM users WHERE id = $1", &[&user.id])
                .await?
            {
                Some(row) => row.try_get(0)?,
                // The email belongs to another account: leave that alone.
                None => continue,
            };
            let generated = match (&self.password, &current) {
                (None, None) => Some(generate()),
                _ => None,
            };
            let new = match (&self.password, &current) {
                (Some(chosen), Some(hash)) if verifies(chosen, hash) => None,
                (chosen, _) => chosen.as_ref().or(generated.as_ref()),
            };
            if let Some(password) = new {
                transaction
                    .execute(
                        "UPDATE users SET password_hash = $2 WHERE id = $1",
                        &[&user.id, &hash(password)?],
                    )
                    .await?;
            }
            users.push((user.email, generated));
        }
        execute_file(transaction.client(), "demo.sql", &sql).await?;
        transaction.commit().await?;
        Ok(DemoReport {
            users,
            chosen: self.password.is_some(),
        })
    }
}

fn generate() -> String {
    let random = Uuid::new_v4().simple().to_string();
    random.chars().take(GENERATED_LENGTH).collect()
}

fn hash(password: &str) -> Result<String, MigrateError> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)
        .map_err(|error| MigrateError::Password(error.into()))?;
    let salt = SaltString::generate(&mut OsRng);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password(password.as_bytes(), &salt)
        .map(|hash| hash.to_string())
        .map_err(MigrateError::Password)
}

fn verifies(password: &str, hash: &str) -> bool {
    PasswordHash::new(hash).is_ok_and(|hash| {
        Argon2::default()
            .verify_password(password.as_bytes(), &hash)
            .is_ok()
    })
}

impl fmt::Debug for Demo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Demo")
            .field("sql", &self.sql)
            .finish_non_exhaustive()
    }
}

// === impl DemoReport ===

impl fmt::Debug for DemoReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DemoReport")
            .field("chosen", &self.chosen)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for DemoReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("demonstration data is loaded. Its users")?;
        if self.chosen {
            write!(f, ", whose password is that of {PASSWORD_VARIABLE}:")?;
        } else if self.users.iter().any(|(_, generated)| generated.is_some()) {
            f.write_str(", with passwords that are shown this once:")?;
        } else {
            write!(
                f,
                ", whose passwords were shown when they were made ({PASSWORD_VARIABLE} sets a new one):"
            )?;
        }
        for (email, generated) in &self.users {
            match generated {
                Some(password) => write!(f, "\n  {email:<22} {password}")?,
                None => write!(f, "\n  {email}")?,
            }
        }
        Ok(())
    }
}
