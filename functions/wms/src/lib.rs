//! What the WMS functions share. A function finds out who asks with [`caller`], reads its request with [`form`] and [`url`], does its
//! work in one statement (a read by [`Caller::read`], a [`write`](Write)), and answers with a [`Reply`] or a [`Problem`].
//!
//! The contract of the API is kept here once: who may call, how a number is written, how a page continues, what a client is
//! told when something is wrong. A function holds only its own fields, rules and SQL. What more than one function does, such as
//! registering a lot, is here too, beside the object that it is about.

// For the macros, which name this crate as everybody else does.
extern crate self as wms;

pub mod body;
pub mod caller;
pub mod cursor;
pub mod database;
pub mod decimal;
pub mod decision;
pub mod faults;
pub mod form;
pub mod gate;
mod json;
pub mod link;
pub mod lot;
pub mod metrics;
pub mod openapi;
pub mod operation;
pub mod page;
pub mod password;
pub mod problem;
pub mod reply;
pub mod run;
pub mod scalar;
pub mod settings;
mod sketch;
pub mod stamp;
mod submission;
pub mod url;
pub mod user;
mod vocabulary;
pub mod write;

pub use caller::{Caller, Role};
pub use database::{Database, Row};
pub use faults::Faults;
pub use form::Form;
pub use operation::Operation;
pub use problem::{Kind, Problem};
pub use reply::{Outcome, Reply, answer};
pub use submission::Submission;
pub use token;
pub use vocabulary::Name;
pub use write::{Facts, Write, Written};
#[doc(hidden)]
pub use {schemars, serde};
