//! The store: one file of keys and values, that every function which is granted it shares.
//!
//! A write is on the disk when it is acknowledged. Disk work is done where no request waits for a thread.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context as _, Result};
use redb::{Database, ReadableDatabase as _, ReadableTable as _, TableDefinition};

const TABLE: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("default");

/// Bytes.
const MAX_KEY: usize = 1024;
const MAX_VALUE: usize = 4 * 1024 * 1024;
/// Bytes of keys in one list.
const MAX_KEYS: usize = 16 * 1024 * 1024;

/// Where the file is, and the file once a function is granted it.
#[derive(Debug)]
pub struct KeyValueFile {
    path: PathBuf,
    store: Mutex<Option<Store>>,
}

/// Cheap to clone: clones are the same store.
#[derive(Clone)]
pub struct Store(Arc<Database>);

/// What the interfaces call `other`.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("a key may have {MAX_KEY} bytes")]
    LongKey,
    #[error("a value may have {MAX_VALUE} bytes")]
    LargeValue,
    #[error("there are more keys than a list may hold")]
    ManyKeys,
    #[error("the value is no integer of 8 bytes, or would no longer be one")]
    NoInteger,
    /// The details are in the log.
    #[error("the store failed")]
    Failed,
}

// === impl KeyValueFile ===

impl KeyValueFile {
    pub fn at(path: PathBuf) -> Self {
        Self {
            path,
            store: Mutex::default(),
        }
    }

    /// Opens the file, or makes it, when the first function is granted it.
    pub fn open(&self) -> Result<Store> {
        // Functions are loaded at the same time, and the file can be opened once.
        let mut store = self.store.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = &*store {
            return Ok(store.clone());
        }
        let opened = open(&self.path).with_context(|| {
            format!(
                "the key-value store {} can't be opened; name another file with --key-value-file",
                self.path.display()
            )
        })?;
        Ok(store.insert(opened).clone())
    }
}

fn open(path: &Path) -> Result<Store> {
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir)?;
    }
    let database = Database::create(path)?;
    // Whoever reads finds a table.
    let transaction = database.begin_write()?;
    transaction.open_table(TABLE)?;
    transaction.commit()?;
    Ok(Store(Arc::new(database)))
}

// === impl Store ===

impl Store {
    pub async fn get(&self, key: String) -> Result<Option<Vec<u8>>, StoreError> {
        check_key(&key)?;
        self.blocking(move |database| {
            let table = database.begin_read()?.open_table(TABLE)?;
            Ok(table.get(&*key)?.map(|value| value.value().to_vec()))
        })
        .await
    }

    pub async fn set(&self, pairs: Vec<(String, Vec<u8>)>) -> Result<(), StoreError> {
        for (key, value) in &pairs {
            check_key(key)?;
            check_value(value)?;
        }
        self.blocking(move |database| {
            let transaction = database.begin_write()?;
            {
                let mut table = transaction.open_table(TABLE)?;
                for (key, value) in &pairs {
                    table.insert(&**key, &**value)?;
                }
            }
            Ok(transaction.commit()?)
        })
        .await
    }

    pub async fn delete(&self, keys: Vec<String>) -> Result<(), StoreError> {
        for key in &keys {
            check_key(key)?;
        }
        self.blocking(move |database| {
            let transaction = database.begin_write()?;
            {
                let mut table = transaction.open_table(TABLE)?;
                for key in &keys {
                    table.remove(&**key)?;
                }
            }
            Ok(transaction.commit()?)
        })
        .await
    }

    pub async fn exists(&self, key: String) -> Result<bool, StoreError> {
        Ok(self.get(key).await?.is_some())
    }

    /// All of them, in order.
    pub async fn keys(&self) -> Result<Vec<String>, StoreError> {
        let keys = self.blocking(move |database| {
            let table = database.begin_read()?.open_table(TABLE)?;
            let (mut keys, mut bytes) = (Vec::new(), 0);
            for entry in table.iter()? {
                let key = entry?.0.value().to_owned();
                bytes += key.len();
                if bytes > MAX_KEYS {
                    return Ok(None);
                }
                keys.push(key);
            }
            Ok(Some(keys))
        });
        keys.await?.ok_or(StoreError::ManyKeys)
    }

    /// Adds to an integer, which is 0 where there is none. It is kept as 8 bytes, the lowest first.
    pub async fn increment(&self, key: String, delta: i64) -> Result<i64, StoreError> {
        check_key(&key)?;
        let sum = self.blocking(move |database| {
            let transaction = database.begin_write()?;
            let sum = {
                let mut table = transaction.open_table(TABLE)?;
                let before = match table.get(&*key)? {
                    Some(value) => value.value().try_into().ok().map(i64::from_le_bytes),
                    None => Some(0),
                };
                let sum = before.and_then(|before| before.checked_add(delta));
                if let Some(sum) = sum {
                    table.insert(&*key, &sum.to_le_bytes()[..])?;
                }
                sum
            };
            transaction.commit()?;
            Ok(sum)
        });
        sum.await?.ok_or(StoreError::NoInteger)
    }

    /// Sets the value if it is still the one that was seen. Otherwise gives the one that is there.
    pub async fn swap(
        &self,
        key: String,
        seen: Option<Vec<u8>>,
        value: Vec<u8>,
    ) -> Result<Result<(), Option<Vec<u8>>>, StoreError> {
        check_key(&key)?;
        check_value(&value)?;
        self.blocking(move |database| {
            let transaction = database.begin_write()?;
            let outcome = {
                let mut table = transaction.open_table(TABLE)?;
                let there = table.get(&*key)?.map(|value| value.value().to_vec());
                if there == seen {
                    table.insert(&*key, &*value)?;
                    Ok(())
                } else {
                    Err(there)
                }
            };
            transaction.commit()?;
            Ok(outcome)
        })
        .await
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Database) -> Result<T, redb::Error> + Send + 'static,
    ) -> Result<T, StoreError> {
        let database = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || work(&database)).await;
        match done {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the key-value store failed");
                Err(StoreError::Failed)
            }
            Err(_) => Err(StoreError::Failed),
        }
    }
}

fn check_key(key: &str) -> Result<(), StoreError> {
    if key.len() > MAX_KEY {
        return Err(StoreError::LongKey);
    }
    Ok(())
}

fn check_value(value: &[u8]) -> Result<(), StoreError> {
    if value.len() > MAX_VALUE {
        return Err(StoreError::LargeValue);
    }
    Ok(())
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Store")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_set_is_there_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("below/store.redb");
        let key = || "k".to_owned();
        {
            let store = KeyValueFile::at(path.clone()).open().unwrap();
            assert_eq!(store.get(key()).await.unwrap(), None);
            store
                .set(vec![(key(), b"v".to_vec()), ("a".to_owned(), vec![])])
                .await
                .unwrap();
            assert_eq!(store.keys().await.unwrap(), ["a", "k"]);
        }
        let store = KeyValueFile::at(path).open().unwrap();
        assert_eq!(store.get(key()).await.unwrap().as_deref(), Some(&b"v"[..]));
        store.delete(vec![key(), "never".to_owned()]).await.unwrap();
        assert!(!store.exists(key()).await.unwrap());
        assert!(store.get("x".repeat(MAX_KEY + 1)).await.is_err());
        let large = vec![0; MAX_VALUE + 1];
        assert!(store.set(vec![(key(), large)]).await.is_err());
    }

    #[tokio::test]
    async fn of_two_writers_each_counts() {
        let dir = tempfile::tempdir().unwrap();
        let store = KeyValueFile::at(dir.path().join("store.redb"))
            .open()
            .unwrap();
        let key = || "n".to_owned();
        let all = futures::future::join_all((0..20).map(|_| store.increment(key(), 2)));
        let mut sums: Vec<_> = all.await.into_iter().map(Result::unwrap).collect();
        sums.sort_unstable();
        assert_eq!(sums.last(), Some(&40));
        let seen = store.get(key()).await.unwrap();
        assert_eq!(store.increment(key(), -41).await.unwrap(), -1);
        let late = store.swap(key(), seen, b"x".to_vec()).await.unwrap();
        let there = late.unwrap_err();
        assert_eq!(there, Some((-1_i64).to_le_bytes().to_vec()));
        store
            .swap(key(), there, b"x".to_vec())
            .await
            .unwrap()
            .unwrap();
        assert!(store.increment(key(), 1).await.is_err());
    }
}
