//! The component's variables, as the manifest gives them.

use crate::{Kind, Problem};

/// A secret shorter than this could be guessed from one token.
const SECRET_MIN_BYTES: usize = 32;

/// Where the database is, with the application's credentials.
pub async fn database_url() -> Result<String, Problem> {
    variable("database_url").await
}

/// What signs the tokens.
pub async fn jwt_secret() -> Result<String, Problem> {
    let secret = variable("jwt_secret").await?;
    if secret.len() < SECRET_MIN_BYTES {
        eprintln!("jwt_secret is shorter than {SECRET_MIN_BYTES} bytes");
        return Err(misconfigured());
    }
    Ok(secret)
}

async fn variable(name: &str) -> Result<String, Problem> {
    spin_sdk::variables::get(name).await.map_err(|_| {
        // The error may quote a provider's address: the name says enough.
        eprintln!("the variable {name} can't be read");
        misconfigured()
    })
}

fn misconfigured() -> Problem {
    Kind::Misconfigured.because("The service is not set up; its log says what is missing.")
}
