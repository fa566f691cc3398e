//! HTTP in: accept, route, admit, hand over to a function, and answer every failure with a problem.
//!
//! A request that was accepted is answered: on SIGTERM the host stops accepting, tells its clients to go elsewhere
//! (`Connection: close`, GOAWAY), finishes what is in flight, and only then ends.

mod admission;
mod beginning;
mod body;
mod client;
mod connection;
mod cors;
mod headers;
mod in_flight;
mod probe;
mod problem;
mod rates;
mod request;
mod schedule;
mod server;
mod upload;

pub use admission::Admission;
pub use body::Body;
pub use client::TrustedProxies;
pub use connection::Activity;
pub use cors::Cors;
pub use headers::RouteHeaders;
pub use probe::probe;
pub use rates::RateLimits;
pub use request::Gateway;
pub use server::{Drain, Server};
pub use upload::discard;
