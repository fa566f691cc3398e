//! Who calls. The token says which user; the database says, on every call, whether that user exists and with which role.

use crate::{Database, Faults, Name as _, Problem, Row, names, settings, token};
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
        let id = token::verify(token, &secret, now()).ok_or_else(Problem::unauthenticated)?;
        Ok(Self { id })
    }

    /// Lets the caller pass, if the row that names the role was found, the role is one of `roles`, and the caller signs
    /// as oneself or may sign for another.
    pub fn admit(
        self,
        row: Option<&Row>,
        roles: &[Role],
        operator: Option<Uuid>,
    ) -> Result<(), Problem> {
        let role = row
            .ok_or_else(Problem::unauthenticated)?
            .name::<Role>("role")?;
        self.judge(role, roles, operator)
    }

    /// The rows of a list that every role may read. A query with faults runs nothing, and is told of them after the role.
    pub async fn list(
        self,
        statement: &str,
        parameters: Vec<ParameterValue>,
        faults: Faults,
    ) -> Result<Vec<Row>, Problem> {
        let database = Database::connect().await?;
        if !faults.is_empty() {
            self.admit(database.role(self.id).await?.first(), Role::ALL, None)?;
            return Err(Problem::invalid(faults));
        }
        let rows = database.query(statement, parameters).await?;
        self.admit(rows.first(), Role::ALL, None)?;
        Ok(rows)
    }

    fn judge(self, role: Role, roles: &[Role], operator: Option<Uuid>) -> Result<(), Problem> {
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

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
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
