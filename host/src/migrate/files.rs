//! The files of a directory, and which of them are still to be applied. No database here.

use std::fmt::Write;
use std::path::Path;

use sha2::{Digest, Sha256};

use super::error::MigrateError;

#[derive(Debug, Clone)]
pub(super) struct Migration {
    pub version: i32,
    pub name: String,
    /// The file's name, for messages.
    pub file: String,
    pub sql: String,
    /// SHA-256 of the file, in hexadecimal.
    pub checksum: String,
}

/// A row of `schema_migrations`.
#[derive(Debug, Clone)]
pub(super) struct AppliedMigration {
    pub version: i32,
    pub name: String,
    pub checksum: String,
}

/// All the migrations in `dir`, by version.
pub(super) fn read(dir: &Path) -> Result<Vec<Migration>, MigrateError> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |error| MigrateError::File { path, error }
    };
    let mut migrations = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(unreadable(dir))? {
        let path = entry.map_err(unreadable(dir))?.path();
        if path.extension().is_none_or(|extension| extension != "sql") {
            continue;
        }
        let file = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let (version, name) =
            parse_name(&file).ok_or_else(|| MigrateError::FileName { file: file.clone() })?;
        let sql = std::fs::read_to_string(&path).map_err(unreadable(&path))?;
        migrations.push(Migration {
            version,
            name,
            checksum: checksum(&sql),
            file,
            sql,
        });
    }
    if migrations.is_empty() {
        return Err(MigrateError::NoMigrations {
            dir: dir.to_owned(),
        });
    }
    migrations.sort_by(|a, b| (a.version, &a.file).cmp(&(b.version, &b.file)));
    for (one, next) in migrations.iter().zip(migrations.iter().skip(1)) {
        if one.version == next.version {
            return Err(MigrateError::SameVersion {
                one: one.file.clone(),
                other: next.file.clone(),
            });
        }
    }
    Ok(migrations)
}

/// What is to be applied, in order, if files and history fit together.
pub(super) fn pending(
    migrations: Vec<Migration>,
    history: &[AppliedMigration],
) -> Result<Vec<Migration>, MigrateError> {
    for applied in history {
        match migrations
            .iter()
            .find(|migration| migration.version == applied.version)
        {
            None => {
                return Err(MigrateError::UnknownApplied {
                    version: applied.version,
                    name: applied.name.clone(),
                });
            }
            Some(migration) if migration.checksum != applied.checksum => {
                return Err(MigrateError::Changed {
                    file: migration.file.clone(),
                });
            }
            Some(_) => {}
        }
    }
    let newest = history
        .iter()
        .map(|applied| applied.version)
        .max()
        .unwrap_or(0);
    let is_applied = |migration: &Migration| {
        history
            .iter()
            .any(|applied| applied.version == migration.version)
    };
    let pending: Vec<Migration> = migrations
        .into_iter()
        .filter(|migration| !is_applied(migration))
        .collect();
    match pending.iter().find(|migration| migration.version < newest) {
        Some(late) => Err(MigrateError::OutOfOrder {
            file: late.file.clone(),
            newest,
        }),
        None => Ok(pending),
    }
}

/// `0002_foundations.sql` -> 2, "foundations".
fn parse_name(file: &str) -> Option<(i32, String)> {
    let (digits, name) = file.strip_suffix(".sql")?.split_once('_')?;
    let four_digits = digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_digit());
    let version = digits
        .parse()
        .ok()
        .filter(|version| four_digits && *version > 0)?;
    (!name.is_empty()).then(|| (version, name.to_owned()))
}

fn checksum(sql: &str) -> String {
    Sha256::digest(sql.as_bytes())
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn migration(version: i32, sql: &str) -> Migration {
        Migration {
            version,
            name: "name".to_owned(),
            file: format!("{version:04}_name.sql"),
            sql: sql.to_owned(),
            checksum: checksum(sql),
        }
    }

    fn applied(migration: &Migration) -> AppliedMigration {
        AppliedMigration {
            version: migration.version,
            name: migration.name.clone(),
            checksum: migration.checksum.clone(),
        }
    }

    fn versions(migrations: &[Migration]) -> Vec<i32> {
        migrations
            .iter()
            .map(|migration| migration.version)
            .collect()
    }

    #[test]
    fn a_name_is_four_digits_and_words() {
        assert_eq!(
            parse_name("0010_reference_data.sql"),
            Some((10, "reference_data".to_owned()))
        );
        for bad in [
            "10_x.sql",
            "0001.sql",
            "0001_.sql",
            "0000_x.sql",
            "+001_x.sql",
            "0001_x.sql.old",
        ] {
            assert_eq!(parse_name(bad), None, "{bad}");
        }
    }

    #[test]
    fn pending_is_what_comes_after_the_history_and_numbers_may_be_left_out() {
        let all = vec![migration(1, "a"), migration(2, "b"), migration(10, "c")];
        assert_eq!(versions(&pending(all.clone(), &[]).unwrap()), [1, 2, 10]);
        let history = [applied(&all[0]), applied(&all[1])];
        assert_eq!(versions(&pending(all.clone(), &history).unwrap()), [10]);
    }

    #[test]
    fn a_history_that_does_not_fit_is_refused() {
        let (one, two, ten) = (migration(1, "a"), migration(2, "b"), migration(10, "c"));
        let refused = |files: &[&Migration], history: &[&Migration]| {
            let files = files.iter().copied().cloned().collect();
            let history: Vec<_> = history.iter().copied().map(applied).collect();
            pending(files, &history).unwrap_err().to_string()
        };
        let changed = refused(&[&migration(1, "a changed")], &[&one]);
        assert!(
            changed.contains("0001_name.sql") && changed.contains("changed"),
            "{changed}"
        );
        let late = refused(&[&one, &two, &ten], &[&one, &ten]);
        assert!(
            late.contains("0002_name.sql") && late.contains("0010"),
            "{late}"
        );
        let gone = refused(&[&one], &[&one, &two]);
        assert!(gone.contains("0002"), "{gone}");
    }
}
