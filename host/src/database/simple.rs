//! The host's own questions to a server, by the simple protocol: small tables of text, on one connection that is made anew when it
//! is gone. It is how PgBouncer's console is read, which speaks nothing else.
//!
//! Bounded: one deadline for all the questions that are asked together, connecting included, and a limit on what is held of an answer.

use std::time::Duration;

use super::address::{Address, AddressError};
use super::error::DatabaseError;
use super::message::Row;
use super::server::{Server, Step};
use super::statements::StatementMode;

/// An answer that is larger is refused. PgBouncer's largest has a line for each of its settings or pools.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// Now and then the connection is made anew, so that a change of the address behind a name is followed.
const MAX_LIFETIME: Duration = Duration::from_secs(30 * 60);

/// Asks one server.
#[derive(Debug)]
pub struct SimpleClient {
    address: Address,
    server: Option<Server>,
}

/// An answer: rows of text, whose values are found by their column's name, since columns move from one version to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    columns: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
}

/// One row of a table.
#[derive(Clone, Copy, Debug)]
pub struct TableRow<'t> {
    columns: &'t [String],
    values: &'t [Option<String>],
}

// === impl SimpleClient ===

impl SimpleClient {
    /// Connects nowhere yet.
    pub fn new(address: &str) -> Result<Self, AddressError> {
        Ok(Self {
            address: Address::parse(address)?,
            server: None,
        })
    }

    /// The database that it asks.
    pub fn database(&self) -> &str {
        self.address.database()
    }

    /// The answers to all of the questions, or an error within the deadline.
    pub async fn ask<const N: usize>(
        &mut self,
        questions: [&str; N],
        deadline: Duration,
    ) -> Result<[Table; N], DatabaseError> {
        // Away unless all of them are answered: what comes after a broken answer belongs to nobody.
        let server = self.server.take().filter(Server::is_fresh);
        let answered = async {
            let mut server = match server {
                Some(server) => server,
                None => {
                    Server::connect(&self.address, MAX_LIFETIME, StatementMode::Unnamed).await?
                }
            };
            let mut answers = std::array::from_fn(|_| Table::default());
            for (answer, question) in answers.iter_mut().zip(questions) {
                *answer = table(&mut server, question).await?;
            }
            Ok((server, answers))
        };
        let (server, answers) = tokio::time::timeout(deadline, answered)
            .await
            .unwrap_or(Err(DatabaseError::Deadline(deadline)))?;
        self.server = Some(server);
        Ok(answers)
    }
}

async fn table(server: &mut Server, question: &str) -> Result<Table, DatabaseError> {
    let fields = server.start_simple(question).await?.unwrap_or_default();
    let mut table = Table {
        columns: fields.into_iter().map(|field| field.name).collect(),
        rows: Vec::new(),
    };
    let mut bytes = 0;
    while let Step::Row(row) = server.next().await? {
        bytes += row.size();
        if bytes > MAX_ANSWER_BYTES {
            return Err(DatabaseError::TooLarge(MAX_ANSWER_BYTES));
        }
        table.rows.push(texts(&row)?);
    }
    Ok(table)
}

fn texts(row: &Row) -> Result<Vec<Option<String>>, DatabaseError> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let values = row.values()?;
    Ok(values
        .map(|value| Ok(value?.map(text)))
        .collect::<Result<_, super::Malformed>>()?)
}

// === impl Table ===

impl Table {
    pub fn rows(&self) -> impl Iterator<Item = TableRow<'_>> {
        self.rows.iter().map(|values| TableRow {
            columns: &self.columns,
            values,
        })
    }

    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The row that has this text in this column.
    pub fn find(&self, column: &str, text: &str) -> Option<TableRow<'_>> {
        self.rows().find(|row| row.text(column) == Some(text))
    }

    #[cfg(test)]
    pub fn new(columns: &[&str], rows: &[&[&str]]) -> Self {
        let owned = |texts: &[&str]| texts.iter().map(|&text| text.to_owned()).collect();
        Self {
            columns: owned(columns),
            rows: rows
                .iter()
                .map(|row| row.iter().map(|&text| Some(text.to_owned())).collect())
                .collect(),
        }
    }
}

// === impl TableRow ===

impl<'t> TableRow<'t> {
    /// `None`: there is no such column, or it is NULL here.
    pub fn text(&self, column: &str) -> Option<&'t str> {
        let index = self.columns.iter().position(|name| name == column)?;
        self.values.get(index)?.as_deref()
    }

    /// The same as a number.
    pub fn number<T: std::str::FromStr>(&self, column: &str) -> Option<T> {
        self.text(column)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_columns_name() {
        let old = Table::new(&["name", "size"], &[&["a", "1"], &["b", "x"]]);
        let new = Table::new(&["size", "more", "name"], &[&["1", "?", "a"]]);
        for table in [&old, &new] {
            let row = table.find("name", "a").unwrap();
            assert_eq!(row.number("size"), Some(1));
            assert_eq!(row.text("absent"), None);
        }
        assert_eq!(old.find("name", "b").unwrap().number::<u64>("size"), None);
        assert!(old.find("name", "c").is_none());
    }

    #[tokio::test]
    async fn nobody_there_is_an_error_in_time() {
        // It accepts, and says nothing.
        let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = silent.local_addr().unwrap().port();
        let address = format!("host=127.0.0.1 port={port} user=u dbname=pgbouncer");
        let mut client = SimpleClient::new(&address).unwrap();
        let deadline = Duration::from_millis(50);
        assert_eq!(
            client.ask(["SHOW POOLS"], deadline).await,
            Err(DatabaseError::Deadline(deadline))
        );
        drop(silent);
        let refused = client.ask(["SHOW POOLS"], Duration::from_secs(60)).await;
        assert!(matches!(refused, Err(DatabaseError::Connect(_))));
    }
}
