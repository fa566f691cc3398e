//! What the columns of a result hold. PostgreSQL's own types are known by their number; those that a database adds (enums,
//! extensions' types) are looked up once per pool, by an unnamed statement like any other.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_postgres::types::Type;

use super::message::{Field, Row};
use super::reader::Malformed;

/// More types than a sensible database adds; beyond it the cache starts anew.
const MAX_TYPES: usize = 1024;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub kind: ColumnType,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnType {
    Known(Type),
    /// An enum, or another type whose binary format is its text, such as `citext`.
    Text(Arc<str>),
    /// An array of such.
    TextArray(Arc<str>),
    Other(Arc<str>),
}

/// The types that one database has added.
#[derive(Debug, Default)]
pub(super) struct AddedTypes(Mutex<HashMap<u32, ColumnType>>);

// === impl AddedTypes ===

impl AddedTypes {
    /// The columns, or the types among them that have to be looked up first.
    pub fn columns(&self, fields: &[Field]) -> Result<Vec<Column>, Vec<u32>> {
        let mut unknown = Vec::new();
        let mut added = None;
        let columns = fields
            .iter()
            .filter_map(|field| {
                let kind = match Type::from_oid(field.type_oid) {
                    Some(known) => ColumnType::Known(known),
                    None => {
                        let added = added.get_or_insert_with(|| {
                            self.0.lock().unwrap_or_else(PoisonError::into_inner)
                        });
                        let Some(kind) = added.get(&field.type_oid) else {
                            unknown.push(field.type_oid);
                            return None;
                        };
                        kind.clone()
                    }
                };
                Some(Column {
                    name: field.name.clone(),
                    kind,
                })
            })
            .collect();
        if unknown.is_empty() {
            Ok(columns)
        } else {
            Err(unknown)
        }
    }

    /// The statement that looks types up. Its rows are for [`Self::learn`].
    pub fn look_up(oids: &[u32]) -> String {
        // `typcategory` S: a string type. Arrays are category A, and say what they are of.
        let mut statement = "SELECT t.oid::int8, t.typname::text, CASE \
             WHEN t.typtype = 'e' OR t.typcategory = 'S' THEN 'text' \
             WHEN t.typcategory = 'A' AND (e.typtype = 'e' OR e.typcategory = 'S') THEN 'array' \
             ELSE 'other' END \
             FROM pg_catalog.pg_type t LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem \
             WHERE t.oid IN (0"
            .to_owned();
        for oid in oids {
            let _ = write!(statement, ", {oid}");
        }
        statement.push(')');
        statement
    }

    pub fn learn(&self, oids: &[u32], rows: &[Row]) -> Result<(), Malformed> {
        let mut added = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if added.len() + oids.len() > MAX_TYPES {
            added.clear();
        }
        // What another connection can't see yet has a number at least.
        for oid in oids {
            added.insert(*oid, ColumnType::Other(format!("oid {oid}").into()));
        }
        for row in rows {
            let mut values = row.values()?;
            let mut value = || {
                values
                    .next()
                    .transpose()
                    .map(|v| v.flatten().unwrap_or_default())
            };
            let oid = value()?
                .first_chunk::<8>()
                .map(|bytes| i64::from_be_bytes(*bytes));
            let Some(oid) = oid.and_then(|oid| u32::try_from(oid).ok()) else {
                return Err(Malformed("a type without a number"));
            };
            let name: Arc<str> = String::from_utf8_lossy(value()?).into();
            added.insert(
                oid,
                match value()? {
                    b"text" => ColumnType::Text(name),
                    b"array" => ColumnType::TextArray(name),
                    _ => ColumnType::Other(name),
                },
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str, type_oid: u32) -> Field {
        Field {
            name: name.to_owned(),
            type_oid,
        }
    }

    #[test]
    fn known_types_need_no_look_up() {
        let columns = AddedTypes::default()
            .columns(&[field("a", 23), field("b", 25)])
            .unwrap();
        assert_eq!(columns[0].kind, ColumnType::Known(Type::INT4));
        assert_eq!(columns[1].kind, ColumnType::Known(Type::TEXT));
    }

    #[test]
    fn an_added_type_is_unknown_once() {
        let types = AddedTypes::default();
        let fields = [field("a", 90_000), field("b", 23)];
        assert_eq!(types.columns(&fields), Err(vec![90_000]));
        assert!(AddedTypes::look_up(&[90_000]).ends_with("IN (0, 90000)"));
        types.learn(&[90_000], &[]).unwrap();
        let columns = types.columns(&fields).unwrap();
        assert_eq!(columns[0].kind, ColumnType::Other("oid 90000".into()));
    }
}
