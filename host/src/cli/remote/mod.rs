//! A running host, as the commands that change it see it: a small client of the admin API, and its answers in a person's words.

mod answers;
mod args;
mod client;
mod error;
pub mod show;
mod table;
mod url;

pub use answers::Function;
pub use args::RemoteArgs;
