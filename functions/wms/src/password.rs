//! Passwords, hashed with Argon2id.

use argon2::password_hash::SaltString;
use argon2::{Argon2, PasswordHash, PasswordHasher as _, PasswordVerifier as _};
use uuid::Uuid;

/// The hash of a password that nobody knows, with the parameters of real ones (19 MiB, 2 passes, 1 lane): what a user
/// who doesn't exist is checked against, so that the time doesn't tell whether they do.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$NyqktjNZ+COH2yZ4TELt/g$Wekc0hGb8PXwZvHxxzFUquHZIO05u4HdtA+iYyM6nlU";

/// Whether `password` is the one of `hash`, a PHC string. Without a hash: the same work, and no.
pub fn verify(password: &str, hash: Option<&str>) -> bool {
    let known = hash.and_then(|hash| PasswordHash::new(hash).ok());
    let is_known = known.is_some();
    let Ok(hash) = known.map_or_else(|| PasswordHash::new(NOBODY), Ok) else {
        return false;
    };
    let is_theirs = Argon2::default()
        .verify_password(password.as_bytes(), &hash)
        .is_ok();
    is_theirs && is_known
}

/// The hash of a new password, as a PHC string. `None` only if its parameters were wrong, which are constants.
pub fn hash(password: &str) -> Option<String> {
    // 122 random bits: salts have to differ, nothing more.
    let salt = SaltString::encode_b64(Uuid::new_v4().as_bytes()).ok()?;
    let hash = Argon2::default()
        .hash_password(password.as_bytes(), &salt)
        .ok()?;
    Some(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::{Algorithm, Params};

    #[test]
    fn knows_its_own_and_no_other() {
        let hash = hash("jelszó").unwrap();
        assert!(verify("jelszó", Some(&hash)));
        assert!(!verify("jelszo", Some(&hash)));
        assert!(!verify("jelszó", None));
        assert!(!verify("jelszó", Some("not a hash")));
        assert_ne!(super::hash("jelszó").unwrap(), hash);
    }

    #[test]
    fn nobody_costs_what_somebody_costs() {
        let nobody = PasswordHash::new(NOBODY).unwrap();
        assert_eq!(nobody.algorithm, Algorithm::Argon2id.ident());
        let params = Params::try_from(&nobody).unwrap();
        let usual = Params::default();
        assert_eq!(
            (
                params.m_cost(),
                params.t_cost(),
                params.p_cost(),
                params.output_len()
            ),
            (
                usual.m_cost(),
                usual.t_cost(),
                usual.p_cost(),
                Some(Params::DEFAULT_OUTPUT_LEN)
            )
        );
        assert_eq!(
            (usual.m_cost(), usual.t_cost(), usual.p_cost()),
            (19_456, 2, 1)
        );
    }
}
