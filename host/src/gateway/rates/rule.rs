//! One rule of `rate_limits`, with what is known of everybody who asked under it; and how somebody stands.
//!
//! The algorithm is GCRA: `requests` at once, and then one more each `window / requests`. Whoever keeps within a sliding window of
//! that size is never refused; whoever doesn't is told how long to wait, to the second.

use std::fmt;
use std::time::Duration;

use governor::clock::{Clock, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::{Quota, RateLimiter};
use http::{HeaderMap, HeaderName, HeaderValue, Method};

use super::keys::Keys;
use crate::manifest::{Per, RateLimit, include};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STANDING: HeaderName = HeaderName::from_static("ratelimit");

pub struct Rule<C: Clock = DefaultClock> {
    pub per: Per,
    methods: Option<Vec<Method>>,
    requests: u32,
    /// Nanoseconds that one request costs.
    cost: u64,
    limiter: RateLimiter<u64, Keys, C, StateInformationMiddleware>,
    policy: HeaderValue,
}

/// How somebody stands under a rule, after a request.
#[derive(Clone, Copy)]
pub struct Standing<'a, C: Clock = DefaultClock> {
    rule: &'a Rule<C>,
    /// Requests that would be taken now.
    pub left: u32,
    /// Seconds until all of `requests` would be; after a refusal, until one would.
    pub reset: u64,
    pub refused: bool,
}

// === impl Rule ===

impl<C: Clock> Rule<C> {
    pub fn new(limit: &RateLimit, clock: C) -> anyhow::Result<Self> {
        let period = limit.window / limit.requests.get();
        let quota = Quota::with_period(period)
            .ok_or_else(|| anyhow::anyhow!("a request costs no time"))?
            .allow_burst(limit.requests);
        let (requests, seconds) = (limit.requests, limit.window.as_secs());
        Ok(Self {
            per: limit.per.clone(),
            methods: limit.methods.clone(),
            requests: requests.get(),
            cost: u64::try_from(period.as_nanos())?,
            limiter: RateLimiter::new(quota, Keys::default(), clock),
            policy: HeaderValue::try_from(format!("\"{}\";q={requests};w={seconds}", limit.per))?,
        })
    }

    pub fn is_for(&self, method: &Method) -> bool {
        include(self.methods.as_deref(), method)
    }

    /// Counts a request, unless it is one too many.
    pub fn check(&self, key: u64) -> Standing<'_, C> {
        match self.limiter.check_key(&key) {
            Ok(state) => {
                let left = state.remaining_burst_capacity();
                let used = self.requests.saturating_sub(left);
                Standing {
                    rule: self,
                    left,
                    reset: whole_seconds(Duration::from_nanos(
                        self.cost.saturating_mul(used.into()),
                    )),
                    refused: false,
                }
            }
            Err(refused) => Standing {
                rule: self,
                left: 0,
                reset: whole_seconds(refused.wait_time_from(self.limiter.clock().now())).max(1),
                refused: true,
            },
        }
    }

    /// Forgets whoever may ask for as much as one who never did.
    pub fn sweep(&self) {
        self.limiter.retain_recent();
    }
}

impl<C: Clock> fmt::Debug for Rule<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rule")
            .field("policy", &self.policy)
            .field("methods", &self.methods)
            .finish_non_exhaustive()
    }
}

// === impl Standing ===

impl<C: Clock> Standing<'_, C> {
    /// Is there less left to do than in `other`?
    pub fn is_tighter_than(&self, other: &Self) -> bool {
        (self.left, other.reset) < (other.left, self.reset)
    }

    /// Tells the client: the fields of draft-ietf-httpapi-ratelimit-headers.
    pub fn tell(&self, headers: &mut HeaderMap) {
        headers.insert(POLICY, self.rule.policy.clone());
        let (per, left, reset) = (&self.rule.per, self.left, self.reset);
        if let Ok(value) = HeaderValue::try_from(format!("\"{per}\";r={left};t={reset}")) {
            headers.insert(STANDING, value);
        }
    }
}

/// Rounded up: who waits so long has waited long enough.
fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;
    use std::num::NonZeroU32;

    fn rule(requests: u32, seconds: u64) -> (Rule<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let limit = RateLimit {
            methods: None,
            per: Per::User,
            requests: NonZeroU32::new(requests).unwrap(),
            window: Duration::from_secs(seconds),
        };
        (Rule::new(&limit, clock.clone()).unwrap(), clock)
    }

    fn told<C: Clock>(standing: &Standing<'_, C>) -> [String; 2] {
        let mut headers = HeaderMap::new();
        standing.tell(&mut headers);
        [POLICY, STANDING].map(|name| headers[name].to_str().unwrap().to_owned())
    }

    #[test]
    fn as_many_as_may_are_taken_and_the_next_one_waits() {
        let (rule, clock) = rule(60, 60);
        assert_eq!(
            told(&rule.check(1)),
            [r#""user";q=60;w=60"#, r#""user";r=59;t=1"#]
        );
        for _ in 0..58 {
            assert!(!rule.check(1).refused);
        }
        let last = rule.check(1);
        assert_eq!((last.left, last.reset, last.refused), (0, 60, false));
        let refused = rule.check(1);
        assert_eq!((refused.left, refused.reset, refused.refused), (0, 1, true));
        assert_eq!(told(&refused)[1], r#""user";r=0;t=1"#);
        // Nobody else is.
        assert!(!rule.check(2).refused);
        clock.advance(Duration::from_secs(1));
        assert!(!rule.check(1).refused);
        assert!(rule.check(1).refused);
    }

    #[test]
    fn who_waits_as_long_as_told_is_taken() {
        let (rule, clock) = rule(7, 3600);
        for _ in 0..7 {
            assert!(!rule.check(1).refused);
        }
        let refused = rule.check(1);
        assert_eq!(refused.reset, 515);
        clock.advance(Duration::from_secs(514));
        assert_eq!(rule.check(1).reset, 1);
        clock.advance(Duration::from_secs(1));
        assert!(!rule.check(1).refused);
    }

    /// What the manual says of a sliding window.
    #[test]
    fn who_keeps_within_a_sliding_window_is_never_refused_and_nobody_gets_twice_its_size() {
        let (rule, clock) = rule(5, 10);
        let mut taken: Vec<u64> = Vec::new();
        let mut random = 1u64;
        for second in 0..5000 {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            // Key 1 never asks for more than 5 in 10 s; key 2 always does.
            for _ in 0..(random >> 60) {
                if taken.iter().filter(|then| **then + 10 > second).count() < 5 {
                    assert!(!rule.check(1).refused, "at {second} s");
                    taken.push(second);
                }
            }
            clock.advance(Duration::from_secs(1));
        }
        let mut greedy = Vec::new();
        for second in 0..100u64 {
            while !rule.check(2).refused {
                greedy.push(second);
            }
            clock.advance(Duration::from_secs(1));
        }
        let most = greedy
            .iter()
            .map(|start| {
                greedy
                    .iter()
                    .filter(|at| (*start..start + 10).contains(at))
                    .count()
            })
            .max();
        assert!(most < Some(2 * 5), "{most:?} in a window");
    }

    #[test]
    fn what_counts_no_more_is_forgotten() {
        let (rule, clock) = rule(10, 10);
        for key in 0..100 {
            rule.check(key);
        }
        rule.sweep();
        assert_eq!(rule.limiter.len(), 100);
        clock.advance(Duration::from_secs(2));
        rule.check(7);
        rule.sweep();
        assert_eq!(rule.limiter.len(), 1);
    }

    #[test]
    fn the_tightest_has_least_left_and_then_longest_to_wait() {
        let ((a, _), (b, _)) = (rule(3, 10), rule(9, 10));
        let (few, many) = (a.check(1), b.check(1));
        assert!(few.is_tighter_than(&many) && !many.is_tighter_than(&few));
        let (c, _) = rule(3, 100);
        let slow = c.check(1);
        assert!(slow.is_tighter_than(&few) && !few.is_tighter_than(&slow));
    }
}
