//! A write: one statement that looks at who asks, takes the request's idempotency key, checks, writes, and keeps the audit event and the
//! answer. Either all of it is committed, or nothing is.

use crate::database::{self, Database, list, text};
use crate::{Caller, Faults, Kind, Problem, Reply, Role, Submission, names};
use http::StatusCode;
use http::header::HeaderName;
use serde::Serialize;
use serde::de::DeserializeOwned;
use uuid::Uuid;

const HEAD: &str = include_str!("write_head.sql");
const TAIL: &str = include_str!("write_tail.sql");

/// One kind of write.
#[derive(Clone, Copy, Debug)]
pub struct Write {
    /// The method and the route: what idempotency keys are kept for.
    pub route: &'static str,
    /// Who may.
    pub roles: &'static [Role],
    /// The function's own part of the statement, between write_head.sql and write_tail.sql.
    pub statement: &'static str,
}

/// What the statement found, whether it wrote or not: the row of its `facts`.
pub trait Facts<T>: DeserializeOwned {
    /// Notes what the draft refers to and isn't there.
    fn find_faults(&self, draft: &T, faults: &mut Faults);

    /// What stood in the way of a sound draft.
    fn conflict(self, draft: T) -> Problem;
}

/// What was written, now or when the same request came before.
#[derive(Debug)]
pub struct Written<D, F> {
    pub document: D,
    /// `None`: it was written before.
    pub facts: Option<F>,
}

names! {
    /// The state of a request's key (migration 14).
    pub enum Claim {
        None = "none",
        New = "new",
        Running = "running",
        Reused = "reused",
        Replayed = "replayed",
    }
}

// === impl Write ===

impl Write {
    /// Writes the draft, for a caller who has one of the roles and may sign as `operator`.
    pub async fn run<T, D, F>(
        &self,
        caller: Caller,
        submission: Submission<T>,
        operator: Option<Uuid>,
    ) -> Result<Written<D, F>, Problem>
    where
        T: Serialize,
        D: DeserializeOwned,
        F: Facts<T>,
    {
        let database = Database::connect().await?;
        self.run_on(&database, caller, submission, operator).await
    }

    /// As [`Write::run`], for several writes of one request.
    pub async fn run_on<T, D, F>(
        &self,
        database: &Database,
        caller: Caller,
        submission: Submission<T>,
        operator: Option<Uuid>,
    ) -> Result<Written<D, F>, Problem>
    where
        T: Serialize,
        D: DeserializeOwned,
        F: Facts<T>,
    {
        let statement = [HEAD, self.statement, TAIL].concat();
        let parameters = vec![
            text(caller.id),
            list(self.roles),
            database::json(&submission.draft)?,
            text(submission.is_sound()),
            database::json(&submission.stamp)?,
        ];
        let rows = database.write(&statement, parameters).await?;
        let row = caller.admit(database, &rows, self.roles, operator).await?;

        let facts: Option<F> = row.document("facts")?;
        let document: Option<D> = row.document("written")?;
        Written::of(row.name("state")?, document, facts, submission)
    }
}

// === impl Written ===

impl<D, F> Written<D, F> {
    /// What came of a submission, by what its statement tells.
    pub fn of<T>(
        claim: Claim,
        document: Option<D>,
        facts: Option<F>,
        mut submission: Submission<T>,
    ) -> Result<Self, Problem>
    where
        F: Facts<T>,
    {
        match (claim, document, facts) {
            (Claim::Running, ..) => Err(Kind::IdempotencyKeyInUse
                .because("The request with this Idempotency-Key is still running.")),
            (Claim::Reused, ..) => Err(Kind::IdempotencyKeyReused
                .because("This Idempotency-Key was used for another request.")),
            (Claim::Replayed, Some(document), _) => Ok(Self {
                document,
                facts: None,
            }),
            (_, Some(document), facts) => Ok(Self { document, facts }),
            (_, None, Some(facts)) => {
                facts.find_faults(&submission.draft, &mut submission.faults);
                Err(facts.conflict(submission.accept()?))
            }
            (_, None, None) => Err(database::internal(
                "a write has neither written nor said why",
            )),
        }
    }
}

impl<D: Serialize, F> Written<D, F> {
    /// The answer. One that was given before says so.
    pub fn reply(&self, status: StatusCode) -> Reply {
        let reply = Reply::json(status, &self.document);
        match self.facts {
            Some(_) => reply,
            None => reply.header(HeaderName::from_static("idempotency-replayed"), "true"),
        }
    }
}
