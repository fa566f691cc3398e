//! Rate limits: how often one user, one address or one text in a body may ask a function.
//!
//! A request is checked against every rule that is for its method, first those that its head decides, then those that want its
//! body, until one refuses it. It costs what it was granted until then, so whoever is refused by address can't use up another's
//! share of a text in the body. A function without rules has none of this.

mod keys;
mod rule;
mod subject;

use std::net::IpAddr;

use governor::clock::DefaultClock;
use http::{HeaderMap, Method};
use token::Verifier;

use rule::{Rule, Standing};
use subject::Subjects;

use crate::manifest::{Identity, Per, RateLimit};

/// One function's rules.
#[derive(Debug)]
pub struct RateLimits {
    rules: Vec<Rule>,
    /// `None`: every request counts for its address.
    verifier: Option<Verifier>,
    subjects: Subjects,
}

/// One request under the rules that are for it.
pub struct Rated<'a> {
    limits: &'a RateLimits,
    method: &'a Method,
    /// Under the tightest of the rules so far.
    standing: Option<Standing<'a>>,
}

/// One request too many. Seconds until the next one is taken: at least 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany(pub u64);

// === impl RateLimits ===

impl RateLimits {
    /// `None` where there is no rule.
    pub fn new(limits: &[RateLimit], identity: Option<&Identity>) -> anyhow::Result<Option<Self>> {
        if limits.is_empty() {
            return Ok(None);
        }
        let rules = limits
            .iter()
            .map(|limit| Rule::new(limit, DefaultClock::default()))
            .collect::<anyhow::Result<_>>()?;
        Ok(Some(Self {
            rules,
            verifier: identity.and_then(|identity| Verifier::new(identity.jwt_secret.expose())),
            subjects: Subjects::default(),
        }))
    }

    pub fn rate<'a>(&'a self, method: &'a Method) -> Rated<'a> {
        Rated {
            limits: self,
            method,
            standing: None,
        }
    }

    /// Forgets whoever counts no more.
    pub fn sweep(&self) {
        self.rules.iter().for_each(Rule::sweep);
    }

    fn user_or_address(&self, headers: &HeaderMap, client: IpAddr) -> u64 {
        self.verifier
            .as_ref()
            .and_then(|verifier| subject::user(headers, verifier))
            .map_or_else(
                || self.subjects.address(client),
                |user| self.subjects.user(user),
            )
    }
}

// === impl Rated ===

impl<'a> Rated<'a> {
    /// Counts the request under every rule that its head decides.
    pub fn check_head(&mut self, headers: &HeaderMap, client: IpAddr) -> Result<(), TooMany> {
        let limits = self.limits;
        let mut user = None;
        for rule in self.rules() {
            let key = match rule.per {
                Per::Address => limits.subjects.address(client),
                // A token is verified once.
                Per::User => *user.get_or_insert_with(|| limits.user_or_address(headers, client)),
                Per::Field(_) => continue,
            };
            self.count(rule.check(key))?;
        }
        Ok(())
    }

    /// Must the body be here, whole, before the function may have the request?
    pub fn wants_body(&self) -> bool {
        self.rules().any(|rule| matches!(rule.per, Per::Field(_)))
    }

    /// Counts the request under every rule that its body decides.
    pub fn check_body(&mut self, body: &[u8]) -> Result<(), TooMany> {
        for rule in self.rules() {
            if let Per::Field(field) = &rule.per
                && let Some(key) = self.limits.subjects.field(field, body)
            {
                self.count(rule.check(key))?;
            }
        }
        Ok(())
    }

    /// Tells the client how it stands, if a rule is for this request.
    pub fn tell(&self, headers: &mut HeaderMap) {
        if let Some(standing) = &self.standing {
            standing.tell(headers);
        }
    }

    fn rules(&self) -> impl Iterator<Item = &'a Rule> + use<'a> {
        let method = self.method;
        self.limits
            .rules
            .iter()
            .filter(move |rule| rule.is_for(method))
    }

    fn count(&mut self, standing: Standing<'a>) -> Result<(), TooMany> {
        let is_tightest = self
            .standing
            .as_ref()
            .is_none_or(|other| standing.is_tighter_than(other));
        let refused = standing.refused.then_some(TooMany(standing.reset));
        // A refusal is what the client must know, and nothing is tighter.
        if is_tightest || refused.is_some() {
            self.standing = Some(standing);
        }
        refused.map_or(Ok(()), Err)
    }
}
