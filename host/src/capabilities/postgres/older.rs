//! `spin:postgres@3.0.0` and `fermyon:spin/postgres@2.0.0`, which components of other SDKs import: the same connections, pools and
//! rules, with fewer types. What an older interface has no type for reaches the guest as text where there is one that says all of it
//! (uuid, numeric, jsonb), and as `unsupported` otherwise.

use wasmtime::component::Resource;

use super::{
    Connection, DbDataType, DbValue, Error, ParameterValue, PostgresView, QueryError, RowSet,
};
use crate::capabilities::bindings::older::fermyon::spin::{
    postgres as v2, rdbms_types as v2_types,
};
use crate::capabilities::bindings::older::spin::postgres::postgres as v3;

impl v3::Host for PostgresView<'_> {}
impl v2::Host for PostgresView<'_> {}
impl v2_types::Host for PostgresView<'_> {}

impl v3::HostConnection for PostgresView<'_> {
    async fn open(
        &mut self,
        address: String,
    ) -> wasmtime::Result<Result<Resource<Connection>, v3::Error>> {
        Ok(self.open(&address)?.map_err(v3::Error::from))
    }

    async fn query(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<v3::ParameterValue>,
    ) -> wasmtime::Result<Result<v3::RowSet, v3::Error>> {
        let connection = self.connection(&connection)?;
        let parameters = parameters.into_iter().map(ParameterValue::from).collect();
        let rows = connection.rows(statement, parameters).await;
        Ok(rows.map(v3::RowSet::from).map_err(v3::Error::from))
    }

    async fn execute(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<v3::ParameterValue>,
    ) -> wasmtime::Result<Result<u64, v3::Error>> {
        let connection = self.connection(&connection)?;
        let parameters = parameters.into_iter().map(ParameterValue::from).collect();
        let touched = connection.execute(statement, parameters).await;
        Ok(touched.map_err(v3::Error::from))
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

impl v2::HostConnection for PostgresView<'_> {
    async fn open(
        &mut self,
        address: String,
    ) -> wasmtime::Result<Result<Resource<Connection>, v2_types::Error>> {
        Ok(self.open(&address)?.map_err(v2_types::Error::from))
    }

    async fn query(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<v2_types::ParameterValue>,
    ) -> wasmtime::Result<Result<v2_types::RowSet, v2_types::Error>> {
        let connection = self.connection(&connection)?;
        let parameters = match signed(parameters) {
            Ok(parameters) => parameters,
            Err(error) => return Ok(Err(error)),
        };
        let rows = connection.rows(statement, parameters).await;
        Ok(rows
            .map(v2_types::RowSet::from)
            .map_err(v2_types::Error::from))
    }

    async fn execute(
        &mut self,
        connection: Resource<Connection>,
        statement: String,
        parameters: Vec<v2_types::ParameterValue>,
    ) -> wasmtime::Result<Result<u64, v2_types::Error>> {
        let connection = self.connection(&connection)?;
        let parameters = match signed(parameters) {
            Ok(parameters) => parameters,
            Err(error) => return Ok(Err(error)),
        };
        let touched = connection.execute(statement, parameters).await;
        Ok(touched.map_err(v2_types::Error::from))
    }

    async fn drop(&mut self, connection: Resource<Connection>) -> wasmtime::Result<()> {
        self.table.delete(connection)?;
        Ok(())
    }
}

/// PostgreSQL has no unsigned integers.
fn signed(
    parameters: Vec<v2_types::ParameterValue>,
) -> Result<Vec<ParameterValue>, v2_types::Error> {
    use v2_types::ParameterValue as V;
    let parameters = (1..).zip(parameters).map(|(number, value)| {
        Ok(match value {
            V::Boolean(v) => ParameterValue::Boolean(v),
            V::Int8(v) => ParameterValue::Int8(v),
            V::Int16(v) => ParameterValue::Int16(v),
            V::Int32(v) => ParameterValue::Int32(v),
            V::Int64(v) => ParameterValue::Int64(v),
            V::Floating32(v) => ParameterValue::Floating32(v),
            V::Floating64(v) => ParameterValue::Floating64(v),
            V::Str(v) => ParameterValue::Str(v),
            V::Binary(v) => ParameterValue::Binary(v),
            V::DbNull => ParameterValue::DbNull,
            V::Uint8(_) | V::Uint16(_) | V::Uint32(_) | V::Uint64(_) => {
                let what = format!("${number} is unsigned, which PostgreSQL has no type for");
                return Err(v2_types::Error::BadParameter(what));
            }
        })
    });
    parameters.collect()
}

impl From<v3::ParameterValue> for ParameterValue {
    fn from(value: v3::ParameterValue) -> Self {
        use v3::ParameterValue as V;
        match value {
            V::Boolean(v) => Self::Boolean(v),
            V::Int8(v) => Self::Int8(v),
            V::Int16(v) => Self::Int16(v),
            V::Int32(v) => Self::Int32(v),
            V::Int64(v) => Self::Int64(v),
            V::Floating32(v) => Self::Floating32(v),
            V::Floating64(v) => Self::Floating64(v),
            V::Str(v) => Self::Str(v),
            V::Binary(v) => Self::Binary(v),
            V::Date(v) => Self::Date(v),
            V::Time(v) => Self::Time(v),
            V::Datetime(v) => Self::Datetime(v),
            V::Timestamp(v) => Self::Timestamp(v),
            V::DbNull => Self::DbNull,
        }
    }
}

impl From<RowSet> for v3::RowSet {
    fn from(rows: RowSet) -> Self {
        let column = |column: super::Column| v3::Column {
            name: column.name,
            data_type: column.data_type.into(),
        };
        let row = |row: Vec<DbValue>| row.into_iter().map(v3::DbValue::from).collect();
        Self {
            columns: rows.columns.into_iter().map(column).collect(),
            rows: rows.rows.into_iter().map(row).collect(),
        }
    }
}

impl From<RowSet> for v2_types::RowSet {
    fn from(rows: RowSet) -> Self {
        let column = |column: super::Column| v2_types::Column {
            name: column.name,
            data_type: column.data_type.into(),
        };
        let row = |row: Vec<DbValue>| row.into_iter().map(v2_types::DbValue::from).collect();
        Self {
            columns: rows.columns.into_iter().map(column).collect(),
            rows: rows.rows.into_iter().map(row).collect(),
        }
    }
}

impl From<DbDataType> for v3::DbDataType {
    fn from(data_type: DbDataType) -> Self {
        use DbDataType as T;
        match data_type {
            T::Boolean => Self::Boolean,
            T::Int8 => Self::Int8,
            T::Int16 => Self::Int16,
            T::Int32 => Self::Int32,
            T::Int64 => Self::Int64,
            T::Floating32 => Self::Floating32,
            T::Floating64 => Self::Floating64,
            T::Str | T::Uuid | T::Jsonb | T::Decimal => Self::Str,
            T::Binary => Self::Binary,
            T::Date => Self::Date,
            T::Time => Self::Time,
            T::Datetime => Self::Datetime,
            T::Timestamp => Self::Timestamp,
            _ => Self::Other,
        }
    }
}

impl From<DbDataType> for v2_types::DbDataType {
    fn from(data_type: DbDataType) -> Self {
        use DbDataType as T;
        match data_type {
            T::Boolean => Self::Boolean,
            T::Int8 => Self::Int8,
            T::Int16 => Self::Int16,
            T::Int32 => Self::Int32,
            T::Int64 => Self::Int64,
            T::Floating32 => Self::Floating32,
            T::Floating64 => Self::Floating64,
            T::Str | T::Uuid | T::Jsonb | T::Decimal => Self::Str,
            T::Binary => Self::Binary,
            _ => Self::Other,
        }
    }
}

impl From<DbValue> for v3::DbValue {
    fn from(value: DbValue) -> Self {
        use DbValue as V;
        match value {
            V::Boolean(v) => Self::Boolean(v),
            V::Int8(v) => Self::Int8(v),
            V::Int16(v) => Self::Int16(v),
            V::Int32(v) => Self::Int32(v),
            V::Int64(v) => Self::Int64(v),
            V::Floating32(v) => Self::Floating32(v),
            V::Floating64(v) => Self::Floating64(v),
            V::Str(v) | V::Uuid(v) | V::Decimal(v) => Self::Str(v),
            V::Jsonb(v) => text(v).map_or(Self::Unsupported, Self::Str),
            V::Binary(v) => Self::Binary(v),
            V::Date(v) => Self::Date(v),
            V::Time(v) => Self::Time(v),
            V::Datetime(v) => Self::Datetime(v),
            V::Timestamp(v) => Self::Timestamp(v),
            V::DbNull => Self::DbNull,
            _ => Self::Unsupported,
        }
    }
}

impl From<DbValue> for v2_types::DbValue {
    fn from(value: DbValue) -> Self {
        use DbValue as V;
        match value {
            V::Boolean(v) => Self::Boolean(v),
            V::Int8(v) => Self::Int8(v),
            V::Int16(v) => Self::Int16(v),
            V::Int32(v) => Self::Int32(v),
            V::Int64(v) => Self::Int64(v),
            V::Floating32(v) => Self::Floating32(v),
            V::Floating64(v) => Self::Floating64(v),
            V::Str(v) | V::Uuid(v) | V::Decimal(v) => Self::Str(v),
            V::Jsonb(v) => text(v).map_or(Self::Unsupported, Self::Str),
            V::Binary(v) => Self::Binary(v),
            V::DbNull => Self::DbNull,
            _ => Self::Unsupported,
        }
    }
}

/// JSON is UTF-8.
fn text(json: Vec<u8>) -> Option<String> {
    String::from_utf8(json).ok()
}

impl From<Error> for v3::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::ConnectionFailed(text) => Self::ConnectionFailed(text),
            Error::BadParameter(text) => Self::BadParameter(text),
            Error::QueryFailed(error) => Self::QueryFailed(shown(error)),
            Error::ValueConversionFailed(text) => Self::ValueConversionFailed(text),
            Error::Other(text) => Self::Other(text),
        }
    }
}

impl From<Error> for v2_types::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::ConnectionFailed(text) => Self::ConnectionFailed(text),
            Error::BadParameter(text) => Self::BadParameter(text),
            Error::QueryFailed(error) => Self::QueryFailed(shown(error)),
            Error::ValueConversionFailed(text) => Self::ValueConversionFailed(text),
            Error::Other(text) => Self::Other(text),
        }
    }
}

fn shown(error: QueryError) -> String {
    match error {
        QueryError::Text(text) => text,
        QueryError::DbError(error) => error.as_text,
    }
}
