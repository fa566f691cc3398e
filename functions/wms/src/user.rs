//! A user, as it leaves the API, and what an email address and a password must be.

use crate::cursor::Cursor;
use crate::page::Listed;
use crate::scalar::Timestamp;
use crate::{Form, Role};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The longest address that mail can be sent to.
const EMAIL_MAX_CHARS: usize = 254;

/// A longer password adds work for us and nothing for its owner.
pub const PASSWORD_MAX_CHARS: usize = 1024;

/// A user: `user_json` of migration 11.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct User {
    pub id: Uuid,
    pub email: String,
    pub full_name: Option<String>,
    pub role: Role,
    pub created_at: Timestamp,
    pub last_login: Option<Timestamp>,
}

impl Listed for User {
    fn cursor(&self) -> Option<Cursor> {
        Cursor::new(self.created_at.as_str(), self.id)
    }
}

/// Reads an email address.
pub fn email(form: &mut Form<'_>) -> Option<String> {
    let email = form.text("email", 1..=EMAIL_MAX_CHARS);
    if email.as_deref().is_some_and(|email| !is_address(email)) {
        form.fault("email", "value_error", "must be an email address");
    }
    form.required("email", email)
}

/// One `@` between two parts without spaces: what tells a slip from an address. Only a mail that arrives tells the rest.
fn is_address(text: &str) -> bool {
    let parts = text.split_once('@');
    parts.is_some_and(|(name, domain)| {
        [name, domain].iter().all(|part| {
            !part.is_empty()
                && !part.contains(|letter: char| {
                    letter == '@' || letter.is_whitespace() || letter.is_control()
                })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_an_address_from_a_slip() {
        assert!(is_address("admin@flowviz.com"));
        for slip in ["admin", "@b", "a@", "a@b@c", "a b@c", "a@b c"] {
            assert!(!is_address(slip), "{slip}");
        }
    }
}
