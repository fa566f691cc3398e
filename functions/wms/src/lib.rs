//! What the WMS functions share. A function reads its request with [`caller`], [`form`] and [`url`], does its work in one
//! statement with [`database`], and answers with a [`Reply`] or a [`Problem`].
//!
//! The contract of the API is kept here once: who may call, how a number is written, how a page continues, what a client is
//! told when something is wrong. A function holds only its own fields, rules and SQL.

pub mod caller;
pub mod cursor;
pub mod database;
pub mod decimal;
pub mod faults;
pub mod form;
mod json;
pub mod lot;
pub mod metrics;
pub mod page;
pub mod problem;
pub mod reply;
pub mod settings;
pub mod token;
pub mod url;
mod vocabulary;

pub use caller::{Caller, Role};
pub use database::{Database, Row};
pub use faults::Faults;
pub use form::Form;
pub use problem::{Kind, Problem};
pub use reply::{Outcome, Reply, answer};
pub use vocabulary::Name;
