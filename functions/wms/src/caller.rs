//! Who calls. The token says which user; the database says, on every call, whether that user exists and with which role.

use crate::database::text;
use crate::{Database, Faults, Problem, Row, names, settings, token};
use http::HeaderMap;
use http::header::AUTHORIZATION;
use spin_sdk::pg::ParameterValue;
use std::time::{SystemTime, UNIX_EPOCH};
use uuid::Uuid;

names! {
    /// A user's role.
    pub enum Role {
        Admin = "ADMIN",
        Manager = "MANAGER",
        Auditor = "AUDITOR",
        Operator = "OPERATOR",
        Viewer = "VIEWER",
    }
}

/// Who may sign for another.
const MAY_ACT_FOR_OTHERS: &[Role] = &[Role::Admin, Role::Manager];

const CALLER: &str = include_str!("caller.sql");
const ROLE: &str = include_str!("role.sql");
const SEEN: &str = include_str!("seen.sql");

/// A user who has shown a valid token, and is not looked up yet.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    pub id: Uuid,
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}

// === impl Caller ===

impl Caller {
    /// Checks the request's token.
    pub async fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let token = bearer(headers).ok_or_else(Problem::unauthenticated)?;
        let secret = settings::jwt_secret().await?;
        let id = token::verify(token, secret, now()).ok_or_else(Problem::unauthenticated)?;
        Ok(Self { id })
    }

    /// Lets the caller pass, if the first of `rows` says that the user exists, the role is one of `roles`, and the caller signs
    /// as oneself or may sign for another. Notes that the user is at work. Gives the row.
    pub async fn admit<'r>(
        self,
        database: &Database,
        rows: &'r [Row],
        roles: &[Role],
        operator: Option<Uuid>,
    ) -> Result<&'r Row, Problem> {
        let row = rows.first().ok_or_else(Problem::unauthenticated)?;
        if row.flag("unseen")? {
            let seen = database.query(SEEN, vec![text(self.id)]).await;
            // Nobody's request fails for it.
            drop(seen);
        }
        self.judge(row.name("role")?, roles, operator)?;
        Ok(row)
    }

    /// The row of the caller's role, for a request that has nothing else to ask.
    pub async fn role(self, database: &Database) -> Result<Vec<Row>, Problem> {
        let statement = [CALLER, ROLE].concat();
        database.query(&statement, vec![text(self.id)]).await
    }

    /// The rows of a statement that reads, for a caller with one of `roles`: `statement` follows caller.sql, and its own parameters begin
    /// with $2. A request with faults reads nothing, and is told of them after the role.
    pub async fn read(
        self,
        roles: &[Role],
        statement: &str,
        parameters: impl IntoIterator<Item = ParameterValue>,
        faults: Faults,
    ) -> Result<Vec<Row>, Problem> {
        let database = Database::connect().await?;
        if !faults.is_empty() {
            let rows = self.role(&database).await?;
            self.admit(&database, &rows, roles, None).await?;
            return Err(Problem::invalid(faults));
        }
        let parameters = [text(self.id)].into_iter().chain(parameters).collect();
        let rows = database
            .query(&[CALLER, statement].concat(), parameters)
            .await?;
        self.admit(&database, &rows, roles, None).await?;
        Ok(rows)
    }

    /// Whether somebody of this role may do what `roles` may, and sign as `operator`.
    pub fn judge(self, role: Role, roles: &[Role], operator: Option<Uuid>) -> Result<(), Problem> {
        if !roles.contains(&role) {
            return Err(Problem::forbidden(roles));
        }
        if operator.is_some_and(|operator| operator != self.id)
            && !MAY_ACT_FOR_OTHERS.contains(&role)
        {
            return Err(Problem::forbidden(MAY_ACT_FOR_OTHERS));
        }
        Ok(())
    }
}

/// The token of the `Authorization` header.
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kind, Name as _};
    use http::HeaderValue;

    const ONESELF: Caller = Caller { id: Uuid::nil() };

    fn refusal(role: Role, operator: Option<Uuid>) -> Option<Problem> {
        ONESELF
            .judge(role, &[Role::Admin, Role::Operator], operator)
            .err()
    }

    #[test]
    fn the_role_comes_before_the_signature() {
        assert_eq!(refusal(Role::Operator, None), None);
        assert_eq!(refusal(Role::Operator, Some(ONESELF.id)), None);
        assert_eq!(
            refusal(Role::Operator, Some(Uuid::max())),
            Some(Problem::forbidden(MAY_ACT_FOR_OTHERS))
        );
        assert_eq!(refusal(Role::Admin, Some(Uuid::max())), None);
        assert_eq!(
            refusal(Role::Viewer, Some(Uuid::max())),
            Some(Problem::forbidden(&[Role::Admin, Role::Operator]))
        );
        assert_eq!(
            refusal(Role::Viewer, None).map(|problem| problem.kind()),
            Some(Kind::Forbidden)
        );
    }

    #[test]
    fn reads_the_scheme_in_any_case() {
        let token = |value| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, HeaderValue::from_static(value))]);
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(token("Bearer abc").as_deref(), Some("abc"));
        assert_eq!(token("bearer  abc").as_deref(), Some("abc"));
        assert_eq!(token("Basic abc"), None);
        assert_eq!(token("abc"), None);
        assert_eq!(bearer(&HeaderMap::new()), None);
    }

    #[test]
    fn roles_are_case_sensitive() {
        assert_eq!(Role::parse("ADMIN"), Some(Role::Admin));
        assert_eq!(Role::parse("admin"), None);
    }
}
