//! Who asks: the bearer token is checked here, the role is what the statement's first row says, as in the functions.

use http::HeaderMap;
use tokio_postgres::Row;
use uuid::Uuid;
use wms::{Caller, Name as _, Problem, Role};

use super::Native;

const SEEN: &str = include_str!("../../../../functions/wms/src/seen.sql");

impl Native {
    pub(super) fn caller(&self, headers: &HeaderMap) -> Result<Caller, Problem> {
        let id = wms::caller::bearer(headers)
            .and_then(|token| self.verifier.verify(token, wms::caller::now()));
        let id = id.ok_or_else(Problem::unauthenticated)?;
        Ok(Caller { id })
    }

    /// Lets the caller pass, if the first row says that the user exists and has one of `roles`, and that the caller may sign as
    /// `operator`. Notes that the user is at work.
    pub(super) async fn admit<'r>(
        &self,
        caller: Caller,
        rows: &'r [Row],
        roles: &[Role],
        operator: Option<Uuid>,
    ) -> Result<&'r Row, Problem> {
        let row = rows.first().ok_or_else(Problem::unauthenticated)?;
        if row.try_get("unseen").unwrap_or(false) {
            let id = caller.id.to_string();
            // Nobody's request fails for it.
            drop(self.pool.query(SEEN, &[Some(&id)]).await);
        }
        let role = row.try_get("role").ok().and_then(Role::parse);
        let role = role.ok_or_else(|| Problem::forbidden(roles))?;
        caller.judge(role, roles, operator)?;
        Ok(row)
    }
}
