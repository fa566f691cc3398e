//! The component's variables, as the manifest gives them. Each is asked for once in an instance's life: what a manifest says doesn't
//! change under an instance.

use std::sync::OnceLock;

use crate::{Kind, Problem};

/// A secret shorter than this could be guessed from one token.
const SECRET_MIN_BYTES: usize = 32;

static DATABASE_URL: OnceLock<String> = OnceLock::new();
static JWT_SECRET: OnceLock<String> = OnceLock::new();

/// Where the database is, with the application's credentials.
pub async fn database_url() -> Result<&'static str, Problem> {
    variable(&DATABASE_URL, "database_url").await
}

/// What signs the tokens.
pub async fn jwt_secret() -> Result<&'static str, Problem> {
    let secret = variable(&JWT_SECRET, "jwt_secret").await?;
    if secret.len() < SECRET_MIN_BYTES {
        eprintln!("jwt_secret is shorter than {SECRET_MIN_BYTES} bytes");
        return Err(misconfigured());
    }
    Ok(secret)
}

async fn variable(known: &'static OnceLock<String>, name: &str) -> Result<&'static str, Problem> {
    if let Some(value) = known.get() {
        return Ok(value);
    }
    let value = spin_sdk::variables::get(name).await.map_err(|_| {
        // The error may quote a provider's address: the name says enough.
        eprintln!("the variable {name} can't be read");
        misconfigured()
    })?;
    Ok(known.get_or_init(|| value))
}

fn misconfigured() -> Problem {
    Kind::Misconfigured.because("The service is not set up; its log says what is missing.")
}
