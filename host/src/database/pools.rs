//! The pools of the process, one per address.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::address::Address;
use super::error::DatabaseError;
use super::pool::Pool;
use super::share::Share;
use crate::manifest::{Limits, PoolSettings};
use crate::telemetry::database::DatabaseMetrics;

/// Pools in the process. The addresses come from the guests, so their number must have an end.
const MAX_POOLS: usize = 64;

#[derive(Debug)]
pub struct Pools {
    settings: PoolSettings,
    metrics: DatabaseMetrics,
    pools: Mutex<HashMap<Arc<Address>, Arc<Pool>>>,
}

// === impl Pools ===

impl Pools {
    pub fn new(settings: PoolSettings, metrics: DatabaseMetrics) -> Self {
        Self {
            settings,
            metrics,
            pools: Mutex::default(),
        }
    }

    /// The pool for an address. Connects nowhere: the first statement does.
    pub fn pool(&self, address: Address) -> Result<Arc<Pool>, DatabaseError> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(&address) {
            return Ok(Arc::clone(pool));
        }
        if pools.len() >= MAX_POOLS {
            // One that nobody holds, and that nobody has used lately, is missed by nobody.
            pools.retain(|_, pool| Arc::strong_count(pool) > 1 || !pool.is_forgotten());
            if pools.len() >= MAX_POOLS {
                return Err(DatabaseError::TooManyPools);
            }
        }
        let name = address.database().to_owned();
        let address = Arc::new(address);
        let pool = Arc::new_cyclic(|pool: &Weak<Pool>| {
            let metrics = self.metrics.for_pool(&name, pool.clone());
            Pool::new(&self.settings, Arc::clone(&address), metrics)
        });
        pools.insert(address, Arc::clone(&pool));
        Ok(pool)
    }

    /// A function's part of all pools.
    pub fn share(&self, limits: &Limits) -> Share {
        let quota = limits.db_quota.unwrap_or(self.settings.default_quota());
        let buffer = usize::try_from(limits.db_buffer).unwrap_or(usize::MAX);
        Share::new(quota.min(self.settings.size), limits.db_wait, buffer)
    }

    /// Whether a database answers `SELECT 1` through its pool within the deadline, and if not, why.
    pub async fn check(&self, address: &str, deadline: Duration) -> Result<(), DatabaseError> {
        let pool = self.pool(Address::parse(address)?)?;
        let answered = async {
            let mut lease = pool.get(deadline.mul_f64(0.9), None).await?;
            lease.rows("SELECT 1").await.map(drop)
        };
        let answered = tokio::time::timeout(deadline, answered)
            .await
            .unwrap_or(Err(DatabaseError::Deadline(deadline)));
        answered.inspect_err(|error| pool.saw(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The readiness check asks every two seconds, for ever: counted, it would be most of what the histogram shows.
    #[tokio::test]
    async fn the_hosts_own_checks_are_not_waits_of_functions() {
        let registry = prometheus::Registry::new();
        let metrics = DatabaseMetrics::register(&registry).unwrap();
        let pools = Pools::new(PoolSettings::default(), metrics);
        // A port that nobody listens on.
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .unwrap()
            .port();
        let address = format!("host=127.0.0.1 port={port} user=u dbname=d");
        let waits = || {
            let families = registry.gather();
            let family = families
                .iter()
                .find(|family| family.name() == "flowviz_db_pool_wait_seconds");
            family.unwrap().get_metric()[0]
                .get_histogram()
                .get_sample_count()
        };
        let refused = pools.check(&address, Duration::from_millis(100)).await;
        assert!(
            matches!(refused, Err(DatabaseError::Connect(_))),
            "{refused:?}"
        );
        assert_eq!(waits(), 0);
        let pool = pools.pool(Address::parse(&address).unwrap()).unwrap();
        let share = pools.share(&Limits::default());
        let refused = pool.lease(&share, Duration::from_millis(100)).await;
        assert!(
            matches!(refused, Err(DatabaseError::Connect(_))),
            "{refused:?}"
        );
        assert_eq!(waits(), 1);
    }

    #[test]
    fn unused_pools_make_room_and_used_ones_do_not() {
        let metrics = DatabaseMetrics::register(&prometheus::Registry::new()).unwrap();
        let pools = Pools::new(PoolSettings::default(), metrics);
        let pool = |number: usize| {
            pools.pool(Address::parse(&format!("host=h user=u dbname=d{number}")).unwrap())
        };
        let mut used: Vec<_> = (0..MAX_POOLS).map(|number| pool(number).unwrap()).collect();
        assert!(Arc::ptr_eq(&used[0], &pool(0).unwrap()));
        assert_eq!(pool(MAX_POOLS).err(), Some(DatabaseError::TooManyPools));
        used.pop();
        assert!(pool(MAX_POOLS).is_ok());
    }
}
