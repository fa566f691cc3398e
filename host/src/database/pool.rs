//! The pools of the process, one per address.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use deadpool::Runtime;
use deadpool::managed::{
    self, Manager, Metrics, PoolConfig, PoolError, QueueMode, RecycleError, RecycleResult,
    TimeoutType, Timeouts,
};

use super::Settings;
use super::address::Address;
use super::error::DatabaseError;
use super::lease::Lease;
use super::server::Server;
use super::types::AddedTypes;
use crate::telemetry::database::{DatabaseMetrics, PoolLoad, PoolMetrics, PoolSize};

/// Every pool of the process, by address.
#[derive(Debug)]
pub struct Pools {
    settings: Settings,
    metrics: DatabaseMetrics,
    pools: Mutex<HashMap<Arc<Address>, Arc<Pool>>>,
}

/// The connections to one database.
#[derive(Debug)]
pub struct Pool {
    connections: managed::Pool<Connector>,
    wait: Duration,
    metrics: PoolMetrics,
    pub(super) types: AddedTypes,
}

/// Makes and checks connections for the pool.
#[derive(Debug)]
pub(super) struct Connector {
    address: Arc<Address>,
    max_lifetime: Duration,
}

// === impl Pools ===

impl Pools {
    pub fn new(settings: Settings, metrics: DatabaseMetrics) -> Self {
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
        if pools.len() >= self.settings.max_pools {
            // One that nobody holds, and that has no connection, is missed by nobody.
            pools.retain(|_, pool| {
                Arc::strong_count(pool) > 1 || pool.connections.status().size > 0
            });
            if pools.len() >= self.settings.max_pools {
                return Err(DatabaseError::TooManyPools);
            }
        }
        let address = Arc::new(address);
        let pool = Pool::new(&self.settings, Arc::clone(&address), &self.metrics)?;
        pools.insert(address, Arc::clone(&pool));
        Ok(pool)
    }

    /// Whether a database answers `SELECT 1` through its pool within the deadline, and if not, why.
    pub async fn check(&self, address: &str, deadline: Duration) -> Result<(), DatabaseError> {
        let pool = self.pool(Address::parse(address)?)?;
        tokio::time::timeout(deadline, async {
            pool.get(deadline).await?.rows("SELECT 1").await?;
            Ok(())
        })
        .await
        .unwrap_or(Err(DatabaseError::Deadline(deadline)))
    }
}

// === impl Pool ===

impl Pool {
    fn new(
        settings: &Settings,
        address: Arc<Address>,
        metrics: &DatabaseMetrics,
    ) -> Result<Arc<Self>, DatabaseError> {
        let name = address.database().to_owned();
        let connector = Connector {
            address,
            max_lifetime: settings.max_lifetime,
        };
        let connections = managed::Pool::builder(connector)
            .config(PoolConfig {
                max_size: settings.max_size,
                timeouts: Timeouts {
                    wait: Some(settings.wait),
                    create: Some(settings.connect_timeout),
                    recycle: None,
                },
                // The connection used last is the one least likely to have been closed, and idle ones grow old.
                queue_mode: QueueMode::Lifo,
            })
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| DatabaseError::Connect(error.to_string()))?;
        Ok(Arc::new_cyclic(|pool: &Weak<Self>| Self {
            connections,
            wait: settings.wait,
            metrics: metrics.for_pool(&name, pool.clone()),
            types: AddedTypes::default(),
        }))
    }

    /// Waits for a connection on a function's behalf, for as long as the settings say, or less if `limit` is less.
    pub(super) async fn lease(&self, limit: Duration) -> Result<Lease, DatabaseError> {
        let started = Instant::now();
        let leased = self.get(limit).await;
        self.metrics.waited(started.elapsed());
        if let Err(DatabaseError::PoolTimeout(_)) = leased {
            self.metrics.timed_out();
        }
        leased
    }

    /// The same, unobserved: the host's own questions would hide how the functions wait.
    async fn get(&self, limit: Duration) -> Result<Lease, DatabaseError> {
        // Ends a little before the caller's own patience does, so that a pool without a free connection is told as that.
        let wait = self.wait.min(limit.mul_f64(0.9));
        let timeouts = Timeouts {
            wait: Some(wait),
            ..self.connections.timeouts()
        };
        match self.connections.timeout_get(&timeouts).await {
            Ok(object) => Ok(Lease::new(object)),
            Err(PoolError::Timeout(TimeoutType::Wait)) => Err(DatabaseError::PoolTimeout(wait)),
            Err(PoolError::Timeout(_)) => {
                Err(DatabaseError::Connect("connection timed out".to_owned()))
            }
            Err(PoolError::Backend(error)) => Err(error),
            Err(error) => Err(DatabaseError::Connect(error.to_string())),
        }
    }
}

impl PoolLoad for Pool {
    fn size(&self) -> PoolSize {
        let status = self.connections.status();
        PoolSize {
            busy: status.size.saturating_sub(status.available),
            idle: status.available,
            waiting: status.waiting,
        }
    }
}

// === impl Connector ===

impl Manager for Connector {
    type Type = Server;
    type Error = DatabaseError;

    async fn create(&self) -> Result<Server, DatabaseError> {
        Server::connect(&self.address, jittered(self.max_lifetime)).await
    }

    async fn recycle(&self, server: &mut Server, _: &Metrics) -> RecycleResult<DatabaseError> {
        if server.is_fresh() {
            Ok(())
        } else {
            Err(RecycleError::message("closed or old"))
        }
    }
}

/// Within a fifth of `lifetime`, either way.
fn jittered(lifetime: Duration) -> Duration {
    // Each `RandomState` has other keys, which is all the randomness that this needs.
    let random = RandomState::new().hash_one(()) % 1000;
    lifetime.mul_f64(0.8 + 0.4 * random as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes_are_spread_but_bounded() {
        let hour = Duration::from_secs(3600);
        let seen: std::collections::HashSet<_> = (0..50)
            .map(|_| jittered(hour))
            .inspect(|life| assert!((hour.mul_f64(0.8)..=hour.mul_f64(1.2)).contains(life)))
            .collect();
        assert!(seen.len() > 10);
    }

    /// The readiness check asks every two seconds, for ever: counted, it would be most of what the histogram shows.
    #[tokio::test]
    async fn the_hosts_own_checks_are_not_waits_of_functions() {
        let registry = prometheus::Registry::new();
        let metrics = DatabaseMetrics::register(&registry).unwrap();
        let pools = Pools::new(Settings::default(), metrics);
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
        let refused = pools.check(&address, Duration::from_secs(60)).await;
        assert!(matches!(refused, Err(DatabaseError::Connect(_))));
        assert_eq!(waits(), 0);
        let pool = pools.pool(Address::parse(&address).unwrap()).unwrap();
        assert!(pool.lease(Duration::from_secs(60)).await.is_err());
        assert_eq!(waits(), 1);
    }

    #[test]
    fn unused_pools_make_room_and_used_ones_do_not() {
        let settings = Settings {
            max_pools: 1,
            ..Settings::default()
        };
        let pools = Pools::new(
            settings,
            DatabaseMetrics::register(&prometheus::Registry::new()).unwrap(),
        );
        let address = |name: &str| Address::parse(&format!("host=h user=u dbname={name}")).unwrap();
        let first = pools.pool(address("a")).unwrap();
        assert!(Arc::ptr_eq(&first, &pools.pool(address("a")).unwrap()));
        assert_eq!(
            pools.pool(address("b")).err(),
            Some(DatabaseError::TooManyPools)
        );
        drop(first);
        assert!(pools.pool(address("b")).is_ok());
    }
}
